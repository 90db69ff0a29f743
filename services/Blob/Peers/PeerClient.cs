using System.Buffers;
using System.Globalization;
using System.Net;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Peers;

/// <summary>What a peer is asked for.</summary>
/// <param name="Method">GET or HEAD.</param>
/// <param name="Target">The path and query.</param>
/// <param name="From">The first byte; null for the whole.</param>
/// <param name="To">The last byte; null for all to the end.</param>
/// <param name="Follow">Whether content will do that the peer is still downloading.</param>
/// <param name="Refer">Whether this node asks those to which the peer refers it, and passes on what it gets.</param>
internal sealed record PeerRequest(HttpMethod Method, string Target, long? From = null, long? To = null, bool Follow = false, bool Refer = false);

/// <summary>A peer does not give what it was asked for; the message says why, in one line whatever the peer has put into it.</summary>
internal class PeerException(string message, Exception? inner = null)
    : Exception(string.Concat(message.Select(letter => char.IsControl(letter) ? '?' : letter)), inner)
{
    /// <summary>Whether bytes that have come are not those that the peer meant to send.</summary>
    public bool IsCorrupt { get; init; }
}

/// <summary>A peer that is well does not give the content to this node now. It is neither absent nor silent, and worth asking again.</summary>
/// <param name="isChecking">Whether that is because it is still checking what it has.</param>
/// <param name="referrals">Nodes of its zone that are fetching the same from it.</param>
internal sealed class PeerDeclinedException(bool isChecking, IReadOnlyList<NodeName> referrals)
    : PeerException(isChecking ? "it is still checking it" : "it is busy, or is fed by this node")
{
    public bool IsChecking => isChecking;

    public IReadOnlyList<NodeName> Referrals => referrals;
}

/// <summary>Speaks to the blob services of other nodes, over plain HTTP/1.1, and trusts no part of their answers.</summary>
internal sealed class PeerClient : IDisposable
{
    /// <summary>After how long a peer is asked again that has declined.</summary>
    public static readonly TimeSpan DeclinedPause = TimeSpan.FromMilliseconds(200);

    private const int LongestHeadersKiB = 16;

    /// <summary>The specification's end-1, which says that the API is there.</summary>
    private const string Base = "/v2/";

    private readonly HttpMessageInvoker _http;
    private readonly string _claim;
    private readonly PeerLoads _loads;
    private readonly Routes _routes;
    private readonly TimeProvider _time;
    private readonly TimeSpan _connectBudget;
    private readonly TimeSpan _stallBudget;

    public PeerClient(PeerLoads loads, Routes routes, IOptions<BlobOptions> options, IOptions<NodeOptions> node, TimeProvider time)
        : this(loads, routes, options, node, time, NewHandler(options.Value))
    {
    }

    /// <param name="loads">Is told of each request.</param>
    /// <param name="routes">Is told of each body.</param>
    /// <param name="options">The budgets.</param>
    /// <param name="node">This node.</param>
    /// <param name="time">Measures.</param>
    /// <param name="network">What requests go over.</param>
    internal PeerClient(
        PeerLoads loads, Routes routes, IOptions<BlobOptions> options, IOptions<NodeOptions> node, TimeProvider time, HttpMessageHandler network)
    {
        (_loads, _routes, _time) = (loads, routes, time);
        (_connectBudget, _stallBudget) = (options.Value.PeerConnectBudget, options.Value.StallBudget);
        _claim = new PeerClaim(node.Value.Location, node.Value.Identity.Name).ToString();
        _http = new HttpMessageInvoker(network);
    }

    /// <summary>Asks a holder; returns when its headers are there and are an answer to the request.</summary>
    /// <exception cref="PeerException">It cannot be reached, or it answers something else.</exception>
    public async Task<PeerAnswer> AskAsync(Holder holder, PeerRequest request, CancellationToken cancellation)
    {
        using var message = new HttpRequestMessage(request.Method, new Uri(holder.Node.Address.Uri, request.Target));
        message.Headers.TryAddWithoutValidation(SpegelHeaders.Peer, _claim);
        if (request.Follow)
        {
            message.Headers.TryAddWithoutValidation(SpegelHeaders.Follow, "1");
            message.Headers.TryAddWithoutValidation(SpegelHeaders.Pieces, "1");
        }

        if (request.Refer)
        {
            message.Headers.TryAddWithoutValidation(SpegelHeaders.Refer, "1");
        }

        if (request.From is { } from)
        {
            message.Headers.TryAddWithoutValidation("Range", string.Create(CultureInfo.InvariantCulture, $"bytes={from}-{request.To}"));
        }

        HttpResponseMessage? response = null;
        PeerAnswer? answer = null;
        _loads.Begin(holder.Node.Name);
        try
        {
            response = await _http.SendAsync(message, cancellation);
            var inPieces = request.Follow ? NumberIn(response, SpegelHeaders.Pieces) : null;
            var (offset, length, total) = PartOf(request, response, inPieces);
            var body = await response.Content.ReadAsStreamAsync(cancellation);
            answer = new PeerAnswer(
                holder, response, inPieces is null ? body.ReadAsync : new PieceReader(body, offset, length).ReadAsync, offset, length, total, _time, Ended)
            {
                IsChecked = inPieces is not null,
                Patience = _stallBudget,
            };
            return answer;
        }
        catch (HttpRequestException e)
        {
            throw new PeerException(e.Message, e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new PeerException("no connection in time", e);
        }
        finally
        {
            if (answer is null)
            {
                response?.Dispose();
                _loads.End(holder.Node.Name, 0, TimeSpan.Zero);
            }
        }
    }

    /// <summary>How far a node of the zone has come with some content; null when it does not say so within the time that a connection may take.</summary>
    public async Task<PeerProgress?> ProgressAsync(NodeIdentity node, string target, CancellationToken cancellation)
    {
        using var message = new HttpRequestMessage(HttpMethod.Head, new Uri(node.Address.Uri, target));
        message.Headers.TryAddWithoutValidation(SpegelHeaders.Peer, _claim);
        message.Headers.TryAddWithoutValidation(SpegelHeaders.Follow, "1");
        using var budget = new CancellationTokenSource(_connectBudget, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        try
        {
            using var response = await _http.SendAsync(message, either.Token);
            return response.IsSuccessStatusCode && NumberIn(response, SpegelHeaders.Progress) is { } bytes
                ? new PeerProgress(
                    bytes,
                    NodeName.TryParse(TextIn(response, SpegelHeaders.Source), out var source) ? source : null,
                    NumberIn(response, SpegelHeaders.Fastest),
                    NumberIn(response, SpegelHeaders.Upstream))
                : null;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            cancellation.ThrowIfCancellationRequested();
            return null;
        }
    }

    /// <summary>Whether a node's blob service answers at all, within so much time.</summary>
    public async Task<bool> IsAliveAsync(NodeIdentity node, TimeSpan patience, CancellationToken cancellation)
    {
        using var message = new HttpRequestMessage(HttpMethod.Head, new Uri(node.Address.Uri, Base));
        message.Headers.TryAddWithoutValidation(SpegelHeaders.Peer, _claim);
        using var budget = new CancellationTokenSource(patience, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        try
        {
            using var response = await _http.SendAsync(message, either.Token);
            return response.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static SocketsHttpHandler NewHandler(BlobOptions options) => new()
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        UseProxy = false,
        ActivityHeadersPropagator = null,
        ConnectTimeout = options.PeerConnectBudget,
        MaxResponseHeadersLength = LongestHeadersKiB,

        // An answer that is not read to its end is closed: reading on only to reuse its connection would cost more.
        MaxResponseDrainSize = 0,
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
    };

    private void Ended(PeerAnswer answer, long bytes, TimeSpan duration)
    {
        // A node that is still downloading itself is as fast as its own source, which says nothing of it or of the way from there.
        var measured = answer.IsRelayed ? 0 : bytes;
        _loads.End(answer.Holder.Node.Name, measured, duration);
        _routes.Received(answer.Holder.Node.Location, measured, duration);
    }

    private static string? TextIn(HttpResponseMessage response, string header) =>
        response.Headers.TryGetValues(header, out var values) ? values.FirstOrDefault() : null;

    private static long? NumberIn(HttpResponseMessage response, string header) =>
        long.TryParse(TextIn(response, header), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static (long Offset, long Length, long Total) PartOf(PeerRequest request, HttpResponseMessage response, long? inPieces)
    {
        var expected = request.From is null ? HttpStatusCode.OK : HttpStatusCode.PartialContent;
        var isChecking = response.Headers.Contains(SpegelHeaders.Checking);
        if (response.StatusCode == HttpStatusCode.ServiceUnavailable && (isChecking || response.Headers.Contains(SpegelHeaders.Declined)))
        {
            throw new PeerDeclinedException(isChecking, NodeNames.In(response, SpegelHeaders.Declined));
        }

        if (response.StatusCode != expected)
        {
            throw new PeerException($"status {(int)response.StatusCode} instead of {(int)expected}");
        }

        if (response.Content.Headers.ContentEncoding.Count > 0)
        {
            throw new PeerException("an encoded answer");
        }

        if ((inPieces ?? response.Content.Headers.ContentLength) is not { } length)
        {
            throw new PeerException("an answer without Content-Length");
        }

        if (request.From is not { } from)
        {
            return (0, length, length);
        }

        var range = response.Content.Headers.ContentRange;
        if (range is not { Unit: "bytes", From: { } first, To: { } last, Length: { } total }
            || first != from
            || last != Math.Min(request.To ?? long.MaxValue, total - 1)
            || length != last - first + 1)
        {
            throw new PeerException($"Content-Range '{range}' with {length} bytes instead of the range from {from}");
        }

        return (first, length, total);
    }
}

/// <summary>How far a node has come with some content.</summary>
/// <param name="Bytes">How much it has, from the first byte on.</param>
/// <param name="Source">The node of its zone that it comes from; null when it is complete, or comes from elsewhere.</param>
/// <param name="Fastest">The most bytes a second that have come to it lately from another node; null when nothing has.</param>
/// <param name="Upstream">How many bytes a second the content's registry has given it in the last hour; null when it has given nothing.</param>
internal sealed record PeerProgress(long Bytes, NodeName? Source, long? Fastest, long? Upstream);

/// <summary>The beginning of a peer's answer, and its body as a stream.</summary>
/// <param name="holder">The peer.</param>
/// <param name="response">The answer, which is disposed of with this.</param>
/// <param name="read">Reads the next bytes of content out of the body.</param>
/// <param name="offset">Where in the content the body begins.</param>
/// <param name="length">How many bytes of content are in the body.</param>
/// <param name="total">The content's length in bytes.</param>
/// <param name="time">Times the body.</param>
/// <param name="ended">Told once how much of the body has been read, and how long that took.</param>
internal sealed class PeerAnswer(
    Holder holder,
    HttpResponseMessage response,
    Func<Memory<byte>, CancellationToken, ValueTask<int>> read,
    long offset,
    long length,
    long total,
    TimeProvider time,
    Action<PeerAnswer, long, TimeSpan> ended) : IDisposable
{
    private readonly long _started = time.GetTimestamp();
    private readonly CancellationTokenSource _left = new();
    private byte[]? _ahead;
    private int _given;
    private TimeSpan _duration;
    private long _received;
    private int _disposed;

    public Holder Holder => holder;

    /// <summary>Whether the peer is still downloading the content itself.</summary>
    public bool IsRelayed { get; } = response.Headers.Contains(SpegelHeaders.Relayed);

    /// <summary>Whether what is read of it is known to be what the peer meant to send.</summary>
    public required bool IsChecked { get; init; }

    /// <summary>How long it may send nothing.</summary>
    public required TimeSpan Patience { get; set; }

    public long Offset => offset;

    public long Length => length;

    public long Total => total;

    /// <summary>Is cancelled when the peer is to be left for another.</summary>
    public CancellationToken Left => _left.Token;

    /// <summary>Why it is; null when it is not.</summary>
    public string? LeftBecause { get; private set; }

    /// <summary>Makes the reader go on with another peer.</summary>
    public void Leave(string reason)
    {
        LeftBecause = reason;
        _left.Cancel();
    }

    /// <summary>Reads the whole body into memory, out of which <see cref="ReadAsync"/> then gives it.</summary>
    /// <exception cref="PeerException">The body ends too early or has changed, or the connection broke.</exception>
    public async Task ReadAheadAsync(CancellationToken cancellation)
    {
        var ahead = ArrayPool<byte>.Shared.Rent((int)length);
        _ahead = ahead;
        for (var filled = 0; filled < (int)length;)
        {
            filled += await ReadBodyAsync(ahead.AsMemory(filled, (int)length - filled), cancellation);
        }
    }

    /// <summary>Reads the next bytes.</summary>
    /// <exception cref="PeerException">The body ends too early or has changed, or the connection broke.</exception>
    public ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        if (_ahead is null)
        {
            return ReadBodyAsync(buffer, cancellation);
        }

        var count = Math.Min(buffer.Length, (int)length - _given);
        _ahead.AsMemory(_given, count).CopyTo(buffer);
        _given += count;
        return ValueTask.FromResult(count);
    }

    private async ValueTask<int> ReadBodyAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        try
        {
            var count = await read(buffer, cancellation);
            _received += count;
            _duration = time.GetElapsedTime(_started);
            return count > 0 ? count : throw new PeerException("the answer ended early");
        }
        catch (IOException e)
        {
            throw new PeerException(e.Message, e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            response.Dispose();
            if (_ahead is not null)
            {
                ArrayPool<byte>.Shared.Return(_ahead);
            }

            ended(this, _received, _duration);
        }
    }
}
