using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using k8s;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>
/// The nodes of the cluster, from the Kubernetes API. KubernetesClient finds the API server and proves who asks; its AOT flavour has no watches,
/// so requests are made and answers are read here. Each request has a budget.
/// </summary>
public sealed class NodeApi : IDisposable
{
    private const string NodesPath = "api/v1/nodes";

    /// <summary>The most nodes of one answer, so that an answer keeps to its budget in a cluster of any size.</summary>
    private const int PageSize = 500;

    private static readonly TimeSpan ConnectBudget = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RequestBudget = TimeSpan.FromSeconds(10);

    /// <summary>After this time the server ends a watch, and a moment later it is given up: what is silent may be a connection that is gone.</summary>
    private static readonly TimeSpan WatchDuration = TimeSpan.FromMinutes(5);

    /// <summary>A connection over HTTP/2, as all real API servers speak it, that does not answer a ping within as much time again is gone.</summary>
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(10);

    private readonly KubernetesOptions _options;
    private readonly TimeProvider _time;
    private readonly k8s.Kubernetes _client;
    private readonly string? _tlsServerName;

    /// <summary>Reads the kubeconfig or the pod's service account; nothing is asked yet.</summary>
    /// <exception cref="OptionsValidationException">There is none, or it is not usable.</exception>
    public NodeApi(IOptions<KubernetesOptions> options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _time) = (options.Value, time);
        try
        {
            var configuration = Configure(_options.Kubeconfig);
            configuration.FirstMessageHandlerSetup = handler =>
            {
                handler.ConnectTimeout = ConnectBudget;
                handler.KeepAlivePingDelay = PingDelay;
                handler.KeepAlivePingTimeout = PingDelay;
            };
            _tlsServerName = configuration.TlsServerName;
            _client = new k8s.Kubernetes(configuration);
        }
        catch (Exception e)
        {
            // KubernetesClient throws whatever it meets in the file, and bare exceptions of its own.
            throw new OptionsValidationException(
                KubernetesOptions.Section,
                typeof(KubernetesOptions),
                [$"The Kubernetes API is not configured ({e.Message.TrimEnd('.')}): mount the service account's token, give Kubernetes:Kubeconfig, or set Kubernetes:Enabled to false."]);
        }
    }

    /// <summary>The node of this name.</summary>
    /// <exception cref="NodeApiException">The API server does not answer, refuses, or knows no such node.</exception>
    public async Task<ClusterNode> GetAsync(NodeName name, CancellationToken cancellation)
    {
        var node = await ReadAsync($"{NodesPath}/{name}", "get", NodeJson.Default.NodeObject, cancellation);
        return node.ToNode(_options);
    }

    /// <summary>All nodes.</summary>
    /// <exception cref="NodeApiException">The API server does not answer or refuses.</exception>
    public async Task<ClusterNodeList> ListAsync(CancellationToken cancellation)
    {
        var nodes = new List<ClusterNode>();
        NodeListMetadata? page = null;
        do
        {
            var query = $"?limit={PageSize}{(page is null ? "" : $"&continue={Uri.EscapeDataString(page.Continue!)}")}";
            var list = await ReadAsync(NodesPath + query, "list", NodeJson.Default.NodeListObject, cancellation);
            nodes.AddRange((list.Items ?? []).Select(node => node.ToNode(_options)));
            page = list.Metadata;
        }
        while (page.Continue is { Length: > 0 });

        return new ClusterNodeList(nodes, page.ResourceVersion);
    }

    /// <summary>
    /// What becomes of nodes after the moment of <paramref name="resourceVersion"/>, until the API server ends the watch, as it does every few
    /// minutes (Kubernetes' documentation, "Kubernetes API Concepts", efficient detection of changes).
    /// </summary>
    /// <exception cref="NodeApiException">The connection is lost, or the API server refuses.</exception>
    public async IAsyncEnumerable<ClusterNodeChange> WatchAsync(string resourceVersion, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(resourceVersion);
        var seconds = WatchDuration.TotalSeconds.ToString(CultureInfo.InvariantCulture);
        var query = $"?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={Uri.EscapeDataString(resourceVersion)}";
        using var response = await BoundAsync(RequestBudget, token => SendAsync(NodesPath + query, "watch", token), cancellation);

        using var end = new CancellationTokenSource(WatchDuration + RequestBudget, _time);
        using var watching = CancellationTokenSource.CreateLinkedTokenSource(end.Token, cancellation);
        await using var stream = await response.Content.ReadAsStreamAsync(cancellation);
        await using var events = JsonSerializer
            .DeserializeAsyncEnumerable(stream, NodeJson.Default.WatchEvent, topLevelValues: true, watching.Token)
            .GetAsyncEnumerator(watching.Token);
        while (await TranslateAsync(async () => await events.MoveNextAsync(), cancellation))
        {
            yield return ToChange(events.Current ?? throw new NodeApiException($"{_client.BaseUri} has sent an event that is null."));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private static KubernetesClientConfiguration Configure(string kubeconfig) =>
        kubeconfig.Length > 0 ? KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfig)
        : KubernetesOptions.IsInPod ? KubernetesClientConfiguration.InClusterConfig()
        : KubernetesClientConfiguration.BuildDefaultConfig();

    private ClusterNodeChange ToChange(WatchEvent watchEvent)
    {
        try
        {
            if (watchEvent.Type == "ERROR")
            {
                var status = watchEvent.Object.Deserialize(NodeJson.Default.StatusObject);
                throw new NodeApiException($"the API server ends the watch: {status?.Code} {status?.Message}") { IsRefusal = true };
            }

            var node = watchEvent.Object.Deserialize(NodeJson.Default.NodeObject);
            return node?.Metadata.ResourceVersion is { } version
                ? new ClusterNodeChange(version, watchEvent.Type == "BOOKMARK" ? null : node.ToNode(_options), watchEvent.Type == "DELETED")
                : throw new JsonException("The object has no resource version.");
        }
        catch (JsonException e)
        {
            throw new NodeApiException($"{_client.BaseUri} has sent an event that cannot be read: {e.Message}", e) { IsRefusal = true };
        }
    }

    private Task<T> ReadAsync<T>(string path, string verb, JsonTypeInfo<T> type, CancellationToken cancellation) => BoundAsync(
        RequestBudget,
        async token =>
        {
            using var response = await SendAsync(path, verb, token);
            await using var stream = await response.Content.ReadAsStreamAsync(token);
            return await JsonSerializer.DeserializeAsync(stream, type, token) ?? throw new JsonException("The answer is null.");
        },
        cancellation);

    private async Task<HttpResponseMessage> SendAsync(string path, string verb, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_client.BaseUri, path)) { Version = HttpVersion.Version20 };
        request.Headers.Host = _tlsServerName;
        if (_client.Credentials is { } credentials)
        {
            await credentials.ProcessHttpRequestAsync(request, cancellation);
        }

        var response = await _client.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            var reason = $"the API server answers {(int)response.StatusCode} ({await ReadReasonAsync(response, cancellation)})";
            throw new NodeApiException(reason + Remedy(response.StatusCode, verb)) { IsRefusal = true };
        }
    }

    private static async Task<string> ReadReasonAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        try
        {
            await using var stream = await response.Content.ReadAsStreamAsync(cancellation);
            var status = await JsonSerializer.DeserializeAsync(stream, NodeJson.Default.StatusObject, cancellation);
            return status?.Message?.ReplaceLineEndings(" ") ?? $"{response.ReasonPhrase}";
        }
        catch (JsonException)
        {
            // It comes from a proxy, or the server is too ill for more than a line of text.
            return $"{response.ReasonPhrase}";
        }
    }

    private static string Remedy(HttpStatusCode status, string verb) => status switch
    {
        HttpStatusCode.Forbidden => $": allow the service account to {verb} nodes, by a ClusterRole and its ClusterRoleBinding",
        HttpStatusCode.Unauthorized => ": give a service account's token, or a kubeconfig's user, that the API server accepts",
        HttpStatusCode.NotFound => ": set Node:Name to the name that kubectl get nodes shows, in a pod from spec.nodeName",
        _ => "",
    };

    private async Task<T> BoundAsync<T>(TimeSpan budget, Func<CancellationToken, Task<T>> ask, CancellationToken cancellation)
    {
        using var end = new CancellationTokenSource(budget, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(end.Token, cancellation);
        return await TranslateAsync(() => ask(linked.Token), cancellation);
    }

    private async Task<T> TranslateAsync<T>(Func<Task<T>> ask, CancellationToken cancellation)
    {
        try
        {
            return await ask();
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new NodeApiException($"{_client.BaseUri} does not answer in time", e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException)
        {
            throw new NodeApiException($"{_client.BaseUri} cannot be asked: {e.Message.TrimEnd('.')}", e);
        }
    }
}

/// <summary>The API server does not answer, or not with nodes. It can be asked again.</summary>
public sealed class NodeApiException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Whether the API server has answered, and will answer the same question alike: a watch starts anew, with a list.</summary>
    public bool IsRefusal { get; init; }
}
