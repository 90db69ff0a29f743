using Google.Protobuf.Collections;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Containerd;

/// <summary>What discovery asks of containerd's gRPC API, in one namespace.</summary>
/// <remarks>All calls throw <see cref="RpcException"/>: <see cref="StatusCode.Unavailable"/> when containerd is away.</remarks>
internal sealed class ContainerdClient : IDisposable
{
    private static readonly TimeSpan CallBudget = TimeSpan.FromSeconds(10);

    private readonly string _namespace;
    private readonly TimeProvider _time;
    private readonly Metadata _headers;
    private readonly GrpcChannel _channel;
    private readonly Api.Content.ContentClient _content;
    private readonly Api.Images.ImagesClient _images;
    private readonly Api.Events.EventsClient _events;

    /// <summary>Does not connect; each call does when need be.</summary>
    public ContainerdClient(IOptions<ContainerdOptions> options, TimeProvider time)
    {
        (_namespace, _time) = (options.Value.Namespace, time);
        _headers = new Metadata { { "containerd-namespace", _namespace } };
        _channel = ContainerdChannel.Open(options.Value.Socket);
        _content = new Api.Content.ContentClient(_channel);
        _images = new Api.Images.ImagesClient(_channel);
        _events = new Api.Events.EventsClient(_channel);
    }

    /// <summary>
    /// Tells of each change to images and of each content that a client deletes. containerd's garbage collector tells nothing of content, nor
    /// does a commit of content before containerd 2; nor is the subscription's start acknowledged.
    /// </summary>
    public async IAsyncEnumerable<string> SubscribeAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var request = new Api.SubscribeRequest
        {
            Filters = { $"""namespace=="{_namespace}",topic~="^/images/" """.TrimEnd(), $"""namespace=="{_namespace}",topic=="/content/delete" """.TrimEnd() },
        };
        using var call = _events.Subscribe(request, _headers, cancellationToken: cancellationToken);
        await foreach (var envelope in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            yield return envelope.Topic;
        }
    }

    /// <summary>All content, with its labels.</summary>
    public async Task<Dictionary<Digest, MapField<string, string>>> ListContentAsync(CancellationToken cancellationToken)
    {
        var content = new Dictionary<Digest, MapField<string, string>>();
        using var call = _content.List(new Api.ListContentRequest(), _headers, Deadline(), cancellationToken);
        await foreach (var response in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            foreach (var info in response.Info)
            {
                if (Digest.TryParse(info.Digest, out var digest))
                {
                    content[digest] = info.Labels;
                }
            }
        }

        return content;
    }

    /// <summary>The labels of some content; null when containerd does not have it, in this namespace.</summary>
    public async Task<MapField<string, string>?> FindLabelsAsync(Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            var response = await _content.InfoAsync(new Api.InfoRequest { Digest = digest.ToString() }, _headers, Deadline(), cancellationToken);
            return response.Info.Labels;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>All image records.</summary>
    public async Task<IReadOnlyList<Api.Image>> ListImagesAsync(CancellationToken cancellationToken) =>
        (await _images.ListAsync(new Api.ListImagesRequest(), _headers, Deadline(), cancellationToken)).Images;

    public void Dispose() => _channel.Dispose();

    private DateTime Deadline() => (_time.GetUtcNow() + CallBudget).UtcDateTime;
}
