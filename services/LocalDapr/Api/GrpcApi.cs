using Dapr.Client.Autogen.Grpc.v1;
using Google.Protobuf;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.PubSub;
using SpegelDapr.LocalDapr.State;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>
/// The gRPC service <c>dapr.proto.runtime.v1.Dapr</c>, as far as it is supported; other methods are unimplemented. Dapr.Protos has its messages
/// but no server base, so methods are bound one by one.
/// </summary>
internal sealed class GrpcApi(
    Publisher publisher, StateAccess state, Invoker invoker, MetadataEndpoints metadata, ApiGuard guard, Action shutdown)
{
    private const string Service = "dapr.proto.runtime.v1.Dapr";

    public ServerServiceDefinition Bind() => new Binder(guard)
        .Add<PublishEventRequest, Empty>("PublishEvent", PublishAsync)
        .Add<BulkPublishRequest, BulkPublishResponse>("BulkPublishEvent", PublishManyAsync)
        .Add<BulkPublishRequest, BulkPublishResponse>("BulkPublishEventAlpha1", PublishManyAsync)
        .Add<GetStateRequest, GetStateResponse>("GetState", GetAsync)
        .Add<GetBulkStateRequest, GetBulkStateResponse>("GetBulkState", GetManyAsync)
        .Add<SaveStateRequest, Empty>("SaveState", SaveAsync)
        .Add<DeleteStateRequest, Empty>("DeleteState", DeleteAsync)
        .Add<DeleteBulkStateRequest, Empty>("DeleteBulkState", DeleteManyAsync)
        .Add<ExecuteStateTransactionRequest, Empty>("ExecuteStateTransaction", TransactAsync)
        .Add<InvokeServiceRequest, InvokeResponse>("InvokeService", InvokeAsync)
        .Add<GetMetadataRequest, GetMetadataResponse>("GetMetadata", GetMetadataAsync)
        .Add<SetMetadataRequest, Empty>("SetMetadata", SetMetadataAsync)
        .Add<ShutdownRequest, Empty>("Shutdown", ShutdownAsync)
        .Build();

    private async Task<Empty> PublishAsync(PublishEventRequest request, ServerCallContext call)
    {
        await publisher.PublishAsync(
            request.PubsubName, request.Topic, request.Data.Memory, request.DataContentType, request.Metadata.ToDictionary(), TraceParentOf(call), call.CancellationToken);
        return new Empty();
    }

    private async Task<BulkPublishResponse> PublishManyAsync(BulkPublishRequest request, ServerCallContext call)
    {
        publisher.Find(request.PubsubName, request.Topic);
        var answer = new BulkPublishResponse();
        foreach (var entry in request.Entries)
        {
            var merged = new Dictionary<string, string>(request.Metadata.Concat(entry.Metadata).GroupBy(pair => pair.Key).Select(group => group.Last()));
            try
            {
                await publisher.PublishAsync(
                    request.PubsubName, request.Topic, entry.Event.Memory, entry.ContentType, merged, TraceParentOf(call), call.CancellationToken);
            }
            catch (DaprException e) when (e.HttpStatus >= StatusCodes.Status500InternalServerError)
            {
                answer.FailedEntries.Add(new BulkPublishResponseFailedEntry { EntryId = entry.EntryId, Error = e.Message });
            }
        }

        return answer;
    }

    private async Task<GetStateResponse> GetAsync(GetStateRequest request, ServerCallContext call)
    {
        var answer = new GetStateResponse();
        if (await state.GetAsync(request.StoreName, request.Key, call.CancellationToken) is { } entry)
        {
            answer.Data = ByteString.CopyFrom(entry.Data);
            answer.Etag = entry.ETag;
            Copy(entry.Metadata, answer.Metadata);
        }

        return answer;
    }

    private async Task<GetBulkStateResponse> GetManyAsync(GetBulkStateRequest request, ServerCallContext call)
    {
        var items = await state.GetManyAsync(request.StoreName, request.Keys, request.Parallelism, call.CancellationToken);
        var answer = new GetBulkStateResponse();
        foreach (var item in items)
        {
            var added = new BulkStateItem { Key = item.Key, Error = item.Error ?? "" };
            if (item.Entry is { } entry)
            {
                added.Data = ByteString.CopyFrom(entry.Data);
                added.Etag = entry.ETag;
                Copy(entry.Metadata, added.Metadata);
            }

            answer.Items.Add(added);
        }

        return answer;
    }

    private async Task<Empty> SaveAsync(SaveStateRequest request, ServerCallContext call)
    {
        await state.SaveAsync(request.StoreName, [.. request.States.Select(item => ToChange(item, deletes: false))], call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> DeleteAsync(DeleteStateRequest request, ServerCallContext call)
    {
        var change = new ChangeRequest(
            request.Key, null, request.Etag?.Value, Concurrency(request.Options), Consistency(request.Options), request.Metadata.ToDictionary());
        await state.DeleteAsync(request.StoreName, change, call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> DeleteManyAsync(DeleteBulkStateRequest request, ServerCallContext call)
    {
        await state.DeleteManyAsync(request.StoreName, [.. request.States.Select(item => ToChange(item, deletes: true))], call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> TransactAsync(ExecuteStateTransactionRequest request, ServerCallContext call)
    {
        var changes = request.Operations.Select(operation => operation.OperationType switch
        {
            "upsert" => ToChange(operation.Request, deletes: false),
            "delete" => ToChange(operation.Request, deletes: true),
            var other => throw DaprErrors.StateOperation(other),
        });
        await state.TransactAsync(request.StoreName, [.. changes], call.CancellationToken);
        return new Empty();
    }

    private async Task<InvokeResponse> InvokeAsync(InvokeServiceRequest request, ServerCallContext call)
    {
        var message = request.Message;
        var http = message.HttpExtension ?? throw new RpcException(new Grpc.Core.Status(StatusCode.InvalidArgument, "missing HTTP extension field"));
        var query = http.Querystring.Length > 0 ? "?" + http.Querystring : "";
        using var sent = new HttpRequestMessage(new HttpMethod(http.Verb.ToString().ToUpperInvariant()), $"/{message.Method.TrimStart('/')}{query}");
        if (message.Data is { Value.IsEmpty: false } data)
        {
            sent.Content = new ReadOnlyMemoryContent(data.Value.Memory);
            sent.Content.Headers.TryAddWithoutValidation("Content-Type", message.ContentType);
        }

        using var answer = await invoker.InvokeAsync(request.Id, sent, call.CancellationToken);
        var body = await answer.Content.ReadAsByteArrayAsync(call.CancellationToken);
        call.ResponseTrailers.Add("dapr-http-status", ((int)answer.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture));
        return answer.IsSuccessStatusCode
            ? new InvokeResponse
            {
                Data = new Any { Value = ByteString.CopyFrom(body) },
                ContentType = answer.Content.Headers.ContentType?.ToString() ?? "",
            }
            : throw new RpcException(new Grpc.Core.Status(FromHttp((int)answer.StatusCode), answer.StatusCode.ToString()));
    }

    private Task<GetMetadataResponse> GetMetadataAsync(GetMetadataRequest request, ServerCallContext call)
    {
        var answer = new GetMetadataResponse
        {
            Id = metadata.App.AppId,
            RuntimeVersion = MetadataEndpoints.RuntimeVersion,
            AppConnectionProperties = new AppConnectionProperties
            {
                ChannelAddress = metadata.App.AppChannelAddress,
                Port = metadata.App.AppPort ?? 0,
                Protocol = "http",
            },
        };
        Copy(metadata.Extended, answer.ExtendedMetadata);
        foreach (var (component, capabilities) in metadata.Components)
        {
            var added = new RegisteredComponents { Name = component.Name, Type = component.Type, Version = component.Version };
            added.Capabilities.Add(capabilities);
            answer.RegisteredComponents.Add(added);
        }

        answer.EnabledFeatures.Add(metadata.Features);
        foreach (var (name, route) in metadata.Subscriptions)
        {
            var added = new PubsubSubscription
            {
                PubsubName = route.PubSubName,
                Topic = route.Topic,
                DeadLetterTopic = route.DeadLetterTopic,
                Type = name is null ? PubsubSubscriptionType.Programmatic : PubsubSubscriptionType.Declarative,
                Rules = new PubsubSubscriptionRules { Rules = { new PubsubSubscriptionRule { Path = route.Path } } },
            };
            Copy(route.Metadata, added.Metadata);
            answer.Subscriptions.Add(added);
        }

        return Task.FromResult(answer);
    }

    private Task<Empty> SetMetadataAsync(SetMetadataRequest request, ServerCallContext call)
    {
        metadata.Set(request.Key, request.Value);
        return Task.FromResult(new Empty());
    }

    private Task<Empty> ShutdownAsync(ShutdownRequest request, ServerCallContext call)
    {
        shutdown();
        return Task.FromResult(new Empty());
    }

    private static ChangeRequest ToChange(StateItem item, bool deletes) => new(
        item.Key is { Length: > 0 } key ? key : throw DaprErrors.StateKeyMissing(),
        deletes ? null : item.Value.ToByteArray(),
        item.Etag?.Value,
        Concurrency(item.Options),
        Consistency(item.Options),
        item.Metadata.ToDictionary());

    private static string Concurrency(StateOptions? options) => options?.Concurrency switch
    {
        StateOptions.Types.StateConcurrency.ConcurrencyFirstWrite => StateChange.FirstWrite,
        StateOptions.Types.StateConcurrency.ConcurrencyLastWrite => StateChange.LastWrite,
        _ => "",
    };

    private static string Consistency(StateOptions? options) => options?.Consistency switch
    {
        StateOptions.Types.StateConsistency.ConsistencyStrong => "strong",
        StateOptions.Types.StateConsistency.ConsistencyEventual => "eventual",
        _ => "",
    };

    private static string? TraceParentOf(ServerCallContext call) => call.RequestHeaders.GetValue("traceparent");

    private static void Copy(IEnumerable<KeyValuePair<string, string>> from, MapField<string, string> to)
    {
        foreach (var (name, value) in from)
        {
            to[name] = value;
        }
    }

    // dapr/pkg/messaging/v1/util.go, CodeFromHTTPStatus.
    private static StatusCode FromHttp(int status) => status switch
    {
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.NotFound,
        408 => StatusCode.Cancelled,
        409 => StatusCode.AlreadyExists,
        429 => StatusCode.ResourceExhausted,
        501 => StatusCode.Unimplemented,
        503 => StatusCode.Unavailable,
        504 => StatusCode.DeadlineExceeded,
        _ => StatusCode.Unknown,
    };

    private sealed class Binder(ApiGuard guard)
    {
        private readonly ServerServiceDefinition.Builder _definition = ServerServiceDefinition.CreateBuilder();

        public Binder Add<TRequest, TResponse>(string name, UnaryServerMethod<TRequest, TResponse> method)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse>, new()
        {
            _definition.AddMethod(
                new Method<TRequest, TResponse>(MethodType.Unary, Service, name, Marshaller<TRequest>(), Marshaller<TResponse>()),
                async (request, call) =>
                {
                    if (!guard.Admits(call.RequestHeaders.GetValue(ApiGuard.TokenHeader)))
                    {
                        throw new RpcException(new Grpc.Core.Status(StatusCode.Unauthenticated, "authentication error: api token mismatch"));
                    }

                    try
                    {
                        return await method(request, call);
                    }
                    catch (DaprException e)
                    {
                        throw e.ToRpcException();
                    }
                });
            return this;
        }

        public ServerServiceDefinition Build() => _definition.Build();

        private static Marshaller<T> Marshaller<T>()
            where T : class, IMessage<T>, new() => Marshallers.Create(message => message.ToByteArray(), new MessageParser<T>(() => new T()).ParseFrom);
    }
}
