using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using RpcStatus = Google.Rpc.Status;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>An error of Dapr's API, in both its forms: HTTP status with <c>errorCode</c> and <c>message</c>, and gRPC status.</summary>
internal sealed class DaprException(
    int httpStatus, StatusCode grpcStatus, string errorCode, string message, string? reason = null, IReadOnlyDictionary<string, string>? details = null)
    : Exception(message)
{
    private const string Domain = "dapr.io";

    public int HttpStatus => httpStatus;

    public JsonObject ToJson()
    {
        var json = new JsonObject { ["errorCode"] = errorCode, ["message"] = Message };
        if (reason is not null)
        {
            json["details"] = new JsonArray(new JsonObject
            {
                ["@type"] = "type.googleapis.com/google.rpc.ErrorInfo",
                ["domain"] = Domain,
                ["metadata"] = new JsonObject((details ?? new Dictionary<string, string>()).Select(detail => KeyValuePair.Create(detail.Key, (JsonNode?)detail.Value))),
                ["reason"] = reason,
            });
        }

        return json;
    }

    public RpcException ToRpcException()
    {
        var info = new ErrorInfo { Domain = Domain, Reason = reason ?? errorCode };
        info.Metadata.Add(details?.ToDictionary() ?? []);
        var status = new RpcStatus { Code = (int)grpcStatus, Message = Message, Details = { Any.Pack(info) } };
        return new RpcException(new Grpc.Core.Status(grpcStatus, Message), new Metadata { { "grpc-status-details-bin", status.ToByteArray() } });
    }
}
