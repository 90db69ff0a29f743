using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>Asks a node time and again who is in flight with some content.</summary>
/// <param name="node">The node to ask.</param>
/// <param name="digest">The content.</param>
internal sealed class InFlightWatch(DemoNode node, Digest digest)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>The nodes when there were the most, the last time that there were so many.</summary>
    public IReadOnlyList<InFlightNode> Most { get; private set; } = [];

    /// <summary>Asks until <paramref name="until"/> has ended, and tells <paramref name="seen"/> each answer.</summary>
    public async Task RunAsync(Task until, Action<IReadOnlyList<InFlightNode>> seen, CancellationToken cancellationToken)
    {
        while (!until.IsCompleted)
        {
            if (await node.ExplainAsync(ContentKey.FromDigest(digest), cancellationToken) is { InFlight: var inFlight })
            {
                Most = inFlight.Count >= Most.Count ? inFlight : Most;
                seen(inFlight);
            }

            await Task.WhenAny(until, Task.Delay(Interval, cancellationToken));
        }
    }
}
