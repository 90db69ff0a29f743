using System.Threading.Channels;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.ServiceDefaults.Kubernetes;

namespace SpegelDapr.Resolver.Nodes;

/// <summary>
/// Ends the leases of nodes that Kubernetes has lost, long before they would run out. A heartbeat that comes later renews the lease: a node that
/// can send one can most likely serve too, whatever its kubelet says, and when the control plane is cut off from all nodes at once they go on
/// serving each other. Each replica does this, and a lease that has ended stays as it is.
/// </summary>
internal sealed partial class LostNodes : BackgroundService
{
    private static readonly TimeSpan EndBudget = TimeSpan.FromSeconds(5);

    private readonly Channel<(LeaseHolder Node, NodeLoss Loss)> _lost = Channel.CreateUnbounded<(LeaseHolder, NodeLoss)>();
    private readonly LeaseBook _leases;
    private readonly ResolverMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<LostNodes> _logger;
    private readonly Reach _reach;

    public LostNodes(
        ClusterNodes nodes, LeaseBook leases, Reach reach, ResolverMetrics metrics, TimeProvider time, ILogger<LostNodes> logger)
    {
        (_leases, _metrics, _time, _logger, _reach) = (leases, metrics, time, logger, reach);
        nodes.Lost += Add;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var (node, loss) in _lost.Reader.ReadAllAsync(stoppingToken))
        {
            using var budget = new CancellationTokenSource(EndBudget, _time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, stoppingToken);
            try
            {
                if (await _leases.EndAsync(node, linked.Token))
                {
                    _metrics.LeaseEnded(loss);
                    Log.Ended(_logger, node.Name, node.Location, loss);
                }
            }
            catch (StoreUnavailableException e)
            {
                GiveUp(node, e.Message);
            }
            catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
            {
                GiveUp(node, $"the state store does not answer within {EndBudget.TotalSeconds} s");
            }
        }
    }

    /// <summary>The store of a location out of reach is for others to write.</summary>
    private void Add(ClusterNode node, NodeLoss loss)
    {
        if (_reach.Locations.Contains(node.Location))
        {
            _lost.Writer.TryWrite((new LeaseHolder(node.Location, node.Name), loss));
        }
    }

    /// <summary>Forgets the nodes that have come meanwhile as well: later, what Kubernetes said of them may no longer hold.</summary>
    private void GiveUp(LeaseHolder node, string reason)
    {
        var others = 0;
        while (_lost.Reader.TryRead(out _))
        {
            others++;
        }

        Log.NotEnded(_logger, node.Name, others, reason);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} in {Location} is no longer offered until it is heard of again: Kubernetes says {Loss}")]
        public static partial void Ended(ILogger logger, NodeName node, Location location, NodeLoss loss);

        [LoggerMessage(LogLevel.Warning, "The lease of node {Node}, and of {Others} others that Kubernetes has lost, has to run out by itself: {Reason}")]
        public static partial void NotEnded(ILogger logger, NodeName node, int others, string reason);
    }
}
