using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// The network of a storm: a link to each node, with the same rate in both directions, and one from the registry. It knows what has gone over them, once
/// <see cref="Begin"/> has been called; until then nothing takes its time.
/// </summary>
/// <param name="registryRate">How many bytes a second the registry's link carries.</param>
/// <param name="nodeRates">How many each node's link carries in each direction.</param>
internal sealed class DemoNetwork(long registryRate, IReadOnlyDictionary<NodeName, long> nodeRates) : IAsyncDisposable
{
    private readonly Link _fromRegistry = new(registryRate);
    private readonly Dictionary<NodeName, Link> _fromNodes = nodeRates.ToDictionary(node => node.Key, node => new Link(node.Value));
    private readonly Dictionary<NodeName, Link> _toNodes = nodeRates.ToDictionary(node => node.Key, node => new Link(node.Value));
    private readonly ConcurrentDictionary<Digest, int> _registryGets = new();
    private readonly ConcurrentDictionary<NodeName, NodeName?> _latest = new();
    private readonly ConcurrentDictionary<(Digest Digest, NodeName To, NodeName? From), long> _carried = new();

    private volatile bool _hasBegun;

    /// <summary>From now on what is sent takes its time, and counts.</summary>
    public void Begin() => _hasBegun = true;

    /// <summary>How often the registry has been asked for some content by GET.</summary>
    public int RegistryGetsOf(Digest digest) => _registryGets.GetValueOrDefault(digest);

    /// <summary>The node that another one has asked last; null for the registry, and before it has asked anybody.</summary>
    public NodeName? LatestOf(NodeName node) => _latest.GetValueOrDefault(node);

    /// <summary>Who has given a node how much of the contents, who gave the most first.</summary>
    public IReadOnlyList<DemoFeed> FeedsOf(NodeName node, IReadOnlyCollection<Digest> digests) =>
    [
        .. _carried
            .Where(carried => carried.Key.To == node && digests.Contains(carried.Key.Digest))
            .GroupBy(carried => carried.Key.From, (from, carried) => new DemoFeed(from?.ToString(), carried.Sum(part => part.Value)))
            .OrderByDescending(feed => feed.Bytes),
    ];

    /// <summary>Has what the registry sends take its time.</summary>
    public void LimitRegistry(IApplicationBuilder app) => Limit(app, from: null, _fromRegistry);

    /// <summary>Has what a node's mirror sends to other nodes take its time.</summary>
    public IStartupFilter LimitNode(NodeName node) => new Filter(app => Limit(app, node, _fromNodes[node]));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var link in _fromNodes.Values.Concat(_toNodes.Values).Append(_fromRegistry))
        {
            await link.DisposeAsync();
        }
    }

    private void Limit(IApplicationBuilder app, NodeName? from, Link outbound) => app.Use(next => async context =>
    {
        // A node asks itself over no link.
        if (!_hasBegun
            || !HttpMethods.IsGet(context.Request.Method)
            || !PeerClaim.TryParse(context.Request.Headers[SpegelHeaders.Peer], out var asker)
            || !_toNodes.TryGetValue(asker.Name, out var inbound)
            || !Digest.TryParse(context.Request.Path.Value?.Split('/')[^1], out var digest))
        {
            await next(context);
            return;
        }

        if (from is null)
        {
            _registryGets.AddOrUpdate(digest, 1, (_, gets) => gets + 1);
        }

        _latest[asker.Name] = from;
        await using var body = new PacedBody(
            context.Response.Body, [inbound, outbound], bytes => _carried.AddOrUpdate((digest, asker.Name, from), bytes, (_, carried) => carried + bytes));
        context.Response.Body = body;
        await next(context);
    });

    private sealed class Filter(Action<IApplicationBuilder> limit) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            limit(app);
            next(app);
        };
    }
}
