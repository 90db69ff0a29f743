using Grpc.Core;
using SpegelDapr.LocalDapr.Components;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>
/// Dapr's errors, with the codes of dapr/pkg/api/errors, dapr/pkg/messages/predefined.go and dapr/pkg/messages/errorcodes. Where HTTP and
/// gRPC differ there, they differ here.
/// </summary>
internal static class DaprErrors
{
    public static DaprException PubSubNotFound(string pubSub) =>
        new(404, StatusCode.InvalidArgument, "ERR_PUBSUB_NOT_FOUND", $"pubsub {pubSub} is not found", "DAPR_PUBSUB_NOT_FOUND");

    public static DaprException PubSubNameEmpty() =>
        new(404, StatusCode.InvalidArgument, "ERR_PUBSUB_EMPTY", "pubsub name is empty", "DAPR_PUBSUB_NAME_EMPTY");

    public static DaprException TopicEmpty(string pubSub) =>
        new(404, StatusCode.InvalidArgument, "ERR_TOPIC_NAME_EMPTY", $"topic is empty in pubsub {pubSub}", "DAPR_PUBSUB_TOPIC_NAME_EMPTY");

    public static DaprException MetadataMalformed(string reason) =>
        new(400, StatusCode.InvalidArgument, "ERR_PUBSUB_REQUEST_METADATA", $"failed deserializing metadata. Error: {reason}", "DAPR_PUBSUB_METADATA_DESERIALIZATION");

    public static DaprException CloudEventCreation(string appId, string reason) =>
        new(500, StatusCode.InvalidArgument, "ERR_PUBSUB_CLOUD_EVENTS_SER", "cannot create cloudevent", "DAPR_PUBSUB_CLOUD_EVENT_CREATION", Details(("appID", appId), ("error", reason)));

    public static DaprException EventsMalformed(string pubSub, string topic, string reason) =>
        new(400, StatusCode.InvalidArgument, "ERR_PUBSUB_EVENTS_SER", $"error when unmarshaling the request for topic {topic} pubsub {pubSub}: {reason}", "DAPR_PUBSUB_UNMARSHAL_EVENTS");

    public static DaprException PublishForbidden(string topic, string appId) =>
        new(403, StatusCode.PermissionDenied, "ERR_PUBSUB_FORBIDDEN", $"topic {topic} is not allowed for app id {appId}", "DAPR_PUBSUB_FORBIDDEN", Details(("topic", topic)));

    public static DaprException Publish(string pubSub, string topic, string reason) =>
        new(500, StatusCode.Internal, "ERR_PUBSUB_PUBLISH_MESSAGE", $"error when publishing to topic {topic} in pubsub {pubSub}: {reason}", "DAPR_PUBSUB_PUBLISH_MESSAGE", Details(("topic", topic), ("error", reason)));

    public static DaprException StateStoreNotConfigured(string store, string appId) =>
        new(500, StatusCode.FailedPrecondition, "ERR_STATE_STORE_NOT_CONFIGURED", $"state store {store} is not configured", "DAPR_STATE_NOT_CONFIGURED", Details(("appID", appId)));

    public static DaprException StateStoreNotFound(string store, string appId) =>
        new(400, StatusCode.InvalidArgument, "ERR_STATE_STORE_NOT_FOUND", $"state store {store} is not found", "DAPR_STATE_NOT_FOUND", Details(("appID", appId)));

    public static DaprException IllegalKey(string store, string key)
    {
        var reason = $"input key/keyPrefix '{key}' can't contain '||'";
        return new(400, StatusCode.InvalidArgument, "ERR_MALFORMED_REQUEST", reason, "DAPR_STATE_ILLEGAL_KEY", Details(("store", store)));
    }

    public static DaprException StateGet(string store, string key, string reason) =>
        new(500, StatusCode.Internal, "ERR_STATE_GET", $"fail to get {key} from state store {store}: {reason}");

    public static DaprException StateSave(string store, Exception error, string reason) =>
        StateChange(error, "ERR_STATE_SAVE", $"failed saving state in state store {store}: {reason}");

    public static DaprException StateDelete(string key, Exception error, string reason) =>
        StateChange(error, "ERR_STATE_DELETE", $"failed deleting state with key {key}: {reason}");

    public static DaprException StateDeleteMany(string store, Exception error, string reason) =>
        StateChange(error, "ERR_STATE_BULK_DELETE", $"failed deleting state in state store {store}: {reason}");

    public static DaprException StateTransaction(string reason) =>
        new(500, StatusCode.Internal, "ERR_STATE_TRANSACTION", $"error while executing state transaction: {reason}");

    public static DaprException StateKeyMissing() =>
        new(400, StatusCode.InvalidArgument, "ERR_MALFORMED_REQUEST", "\"key\" is a required field");

    public static DaprException StateOperation(string operation) =>
        new(400, StatusCode.Unimplemented, "ERR_NOT_SUPPORTED_STATE_OPERATION", $"operation type {operation} not supported");

    public static DaprException Malformed(string reason) =>
        new(400, StatusCode.InvalidArgument, "ERR_MALFORMED_REQUEST", $"failed deserializing HTTP body: {reason}");

    // Each API fails in its own way to read the body (dapr/pkg/api/http: onPublish, onDirectMessage, and the JSON of the others).
    public static DaprException TooLarge(PathString path)
    {
        const string Reason = "http: request body too large";
        return path.StartsWithSegments("/v1.0/publish") ? new(500, StatusCode.Internal, "ERR_PUBSUB_PUBLISH_MESSAGE", Reason, "DAPR_PUBSUB_PUBLISH_MESSAGE")
            : path.StartsWithSegments("/v1.0/invoke") || !path.StartsWithSegments("/v1.0") ? Invoke("", Reason)
            : Malformed(Reason);
    }

    public static DaprException NoAppId() =>
        new(404, StatusCode.NotFound, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or the header dapr-app-id");

    public static DaprException Invoke(string appId, string reason) =>
        new(500, StatusCode.Internal, "ERR_DIRECT_INVOKE", $"failed to invoke, id: {appId}, err: {reason}");

    public static DaprException NotReady(string what) =>
        new(500, StatusCode.Internal, "ERR_HEALTH_NOT_READY", $"dapr is not ready: [{what}]");

    public static DaprException OtherAppId() =>
        new(500, StatusCode.Internal, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match");

    public static DaprException NoSuchMethod(string path) =>
        new(404, StatusCode.Unimplemented, "ERR_METHOD_NOT_FOUND", $"method \"{path}\" is not found");

    private static DaprException StateChange(Exception error, string code, string message) => error switch
    {
        ETagException { Malformed: true } => new(400, StatusCode.InvalidArgument, code, message),
        ETagException => new(409, StatusCode.Aborted, code, message),
        _ => new(500, StatusCode.Internal, code, message),
    };

    private static Dictionary<string, string> Details(params IEnumerable<(string Name, string Value)> details) => details.ToDictionary();
}
