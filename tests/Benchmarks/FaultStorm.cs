using System.Diagnostics;
using System.Globalization;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>
/// A storm with faults. Each pull must succeed at its first attempt, and all bytes be right then, which are hashed here. A node whose disk is full may fail
/// for that reason alone, as it would without a mirror, and must succeed when there is space again.
/// </summary>
internal static class FaultStorm
{
    private const string DiskIsFull = "no space left on device";

    /// <summary>What containerd says of a download whose bytes are wrong, or too many.</summary>
    private const string Refusal = "unexpected commit";

    private const int LongestReason = 300;

    /// <summary>Runs one.</summary>
    public static async Task<FaultStormResult> RunAsync(FaultyLab lab, StormPlan plan, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var failures = new List<string>();
        var (wrong, repeated) = (0, 0);
        try
        {
            await Task.WhenAll(lab.Nodes.Select(node => node.CanResolveAsync()));
            var image = await lab.PushAsync(plan.Layers);
            await using (var held = new PullStorm(image))
            await using (var storm = new PullStorm(image))
            {
                held.Start(plan.Holders);
                await held.EndsAsync();
                foreach (var holder in plan.Holders)
                {
                    await holder.IsOfferedAsync([.. image.Digests, image.Tag]);
                }

                clock.Restart();
                var faults = Task.WhenAll(plan.Faults.Select(fault => CarryOutAsync(lab, fault, image, cancellation)));
                string?[] ends;
                try
                {
                    foreach (var (node, gap) in plan.Pulls)
                    {
                        await Task.Delay(gap, cancellation);
                        storm.Start([node]);
                    }

                    ends = await Task.WhenAll(plan.Pulls.Select(pull => FailureOfAsync(storm, pull.Node))).WaitAsync(cancellation);
                    clock.Stop();
                }
                finally
                {
                    // None reaches into the next storm.
                    await faults;
                }

                foreach (var ((node, _), failure) in plan.Pulls.Zip(ends))
                {
                    if (failure is not null)
                    {
                        storm.Again(node);
                        var again = await FailureOfAsync(storm, node).WaitAsync(cancellation);
                        repeated++;
                        wrong += failure.Contains(Refusal, StringComparison.Ordinal) ? 1 : 0;
                        if (again is not null || !plan.Faults.Any(fault => fault.Kind == FaultKind.DiskFull && fault.Node == node) || !failure.Contains(DiskIsFull, StringComparison.Ordinal))
                        {
                            failures.Add($"{node.Identity.Name}: {Shorten(failure)}{(again is null ? "; the second attempt succeeds" : $"; and again: {Shorten(again)}")}");
                        }

                        if (again is not null)
                        {
                            continue;
                        }
                    }

                    var lacking = await storm.LacksAsync(node);
                    wrong += lacking.Count;
                    failures.AddRange(lacking.Select(digest => $"{node.Identity.Name} has wrong bytes of {digest}"));
                }
            }

            lab.Remove(image);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested && e is TimeoutException or InvalidOperationException or IOException or HttpRequestException)
        {
            failures.Add($"the lab: {Shorten(e.Message)}");
        }

        return new FaultStormResult(plan, clock.Elapsed, failures, wrong, repeated);
    }

    private static async Task CarryOutAsync(FaultyLab lab, Fault fault, TestImage image, CancellationToken cancellation)
    {
        await Task.Delay(fault.At, cancellation);
        try
        {
            await lab.StrikeAsync(fault, image);
            await Task.Delay(fault.For, cancellation);
        }
        finally
        {
            await lab.MendAsync(fault);
        }
    }

    /// <summary>Why a node's pull has failed, by its containerd; null when it has succeeded.</summary>
    private static async Task<string?> FailureOfAsync(PullStorm storm, Node node)
    {
        try
        {
            await storm.EndOfAsync(node);
            return null;
        }
        catch (OperationCanceledException)
        {
            return "it has not ended in time";
        }
        catch (InvalidOperationException e)
        {
            return e.Message;
        }
    }

    /// <summary>The last line is the reason, after all that has been tried.</summary>
    private static string Shorten(string output)
    {
        var reason = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault("");
        return reason.Length <= LongestReason ? reason : "…" + reason[^LongestReason..];
    }
}

/// <summary>How a storm with faults went.</summary>
/// <param name="Plan">What was planned.</param>
/// <param name="Took">From the first pull to the last one's end.</param>
/// <param name="Failures">What must not be, a line for each.</param>
/// <param name="Wrong">How many blobs had wrong bytes, on a node or when its containerd refused them.</param>
/// <param name="Repeated">How many pulls were repeated.</param>
internal sealed record FaultStormResult(StormPlan Plan, TimeSpan Took, IReadOnlyList<string> Failures, int Wrong, int Repeated)
{
    /// <inheritdoc/>
    public override string ToString()
    {
        var together = Plan.Pulls.Count(pull => pull.Gap == TimeSpan.Zero);
        return string.Create(CultureInfo.InvariantCulture, $"layers of {string.Join(", ", Plan.Layers.Select(size => size >> 20))} MiB; ")
            + $"{(Plan.Holders.Count == 0 ? "nobody" : string.Join(", ", Plan.Holders.Select(node => node.Identity.Name)))} had it; "
            + $"{Plan.Pulls.Count} pull, {together} of them with the one before; {string.Join(", ", Plan.Faults)}: "
            + string.Create(CultureInfo.InvariantCulture, $"{Took.TotalSeconds:0.0} s")
            + (Repeated > 0 ? $", {Repeated} repeated" : "")
            + (Failures.Count == 0 ? "" : $", {Failures.Count} FAILED")
            + string.Concat(Failures.Select(failure => $"\n  {failure}"));
    }
}
