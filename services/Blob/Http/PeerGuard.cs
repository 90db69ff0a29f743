using System.Net.Sockets;
using System.Net;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Keeps a closed boundary on the side that serves. Anybody can claim to be any node, so a claim counts only with the address: the resolver,
/// which hears nobody from outside the boundary, must know the node as alive at the address that the request comes from. A request
/// without a claim is a containerd's, and must come from the node itself.
/// </summary>
internal sealed partial class PeerGuard(
    ResolverClient resolver,
    OwnAddresses own,
    IOptions<ZoneOptions> zones,
    IOptions<NodeOptions> node,
    IOptions<BlobOptions> options,
    BlobMetrics metrics,
    TimeProvider time,
    ILogger<PeerGuard> logger) : IDisposable
{
    private const int MostRemembered = 10_000;

    private static readonly TimeSpan AdmissionLives = TimeSpan.FromSeconds(30);

    /// <summary>A node that starts becomes known any moment; a stranger must not make the resolver busy.</summary>
    private static readonly TimeSpan RefusalLives = TimeSpan.FromSeconds(1);

    private readonly MemoryCache _known = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly bool _isOpen = zones.Value.ParsedMode != ZoneMode.Isolated;
    private readonly Location _here = node.Value.Location;
    private readonly LogThrottle _throttle = new(time);

    /// <summary>Passes a request on, or refuses it.</summary>
    public async Task HandleAsync(HttpContext context, RequestDelegate next)
    {
        if (_isOpen || await AdmitsAsync(context))
        {
            await next(context);
        }
        else
        {
            metrics.Denied();
            context.Response.Headers[SpegelHeaders.Holder] = node.Value.Name;
            await OciError.OutsideBoundary.WriteAsync(context.Response);
        }
    }

    private async ValueTask<bool> AdmitsAsync(HttpContext context)
    {
        if (context.Connection.RemoteIpAddress is not { } remote)
        {
            return false;
        }

        var address = OwnAddresses.Plain(remote);
        var claim = context.Request.Headers[SpegelHeaders.Peer];
        var admits = claim.Count == 0
            ? own.Contains(address)
            : PeerClaim.TryParse(claim, out var peer) && await IsPeerAsync(peer, address, context.RequestAborted);
        if (!admits && _throttle.IsOpen())
        {
            Log.Refused(logger, address);
        }

        return admits;
    }

    /// <inheritdoc/>
    public void Dispose() => _known.Dispose();

    private async ValueTask<bool> IsPeerAsync(PeerClaim peer, IPAddress address, CancellationToken cancellation)
    {
        if (!zones.Value.Allows(_here, peer.Location))
        {
            return false;
        }

        if (_known.TryGetValue((peer, address), out bool known))
        {
            return known;
        }

        if (await resolver.FindAsync(peer, cancellation) is not { } answer)
        {
            // A peer that cannot be told from a stranger now may be told from one the next time.
            return false;
        }

        var isPeer = answer.Node is { } identity && await IsAtAsync(identity.Address, address, cancellation);
        _known.Set(
            (peer, address),
            isPeer,
            new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = isPeer ? AdmissionLives : RefusalLives });
        return isPeer;
    }

    private async Task<bool> IsAtAsync(BlobAddress blob, IPAddress address, CancellationToken cancellation)
    {
        try
        {
            var addresses = Dns.GetHostAddressesAsync(blob.Uri.IdnHost.Trim('[', ']'), cancellation);
            return (await addresses.WaitAsync(options.Value.ResolveBudget, time, cancellation)).Select(OwnAddresses.Plain).Contains(address);
        }
        catch (Exception e) when (e is SocketException or TimeoutException)
        {
            // A name that does not resolve is nobody's.
            return false;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Warning,
            "Refused a request from {Address}, which is neither the node itself (see Blob:Clients) nor a live node inside the boundary. More are only counted.")]
        public static partial void Refused(ILogger logger, IPAddress address);
    }
}
