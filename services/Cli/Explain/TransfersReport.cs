using System.Globalization;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>How recorded transfers are written for people: lines, as in <see cref="ExplainReport"/>.</summary>
internal static class TransfersReport
{
    private const long LeastBytesOfSpeed = 64 * 1024;

    /// <summary>A shorter wait is nothing to tell of.</summary>
    private const double LeastWaitSeconds = 0.1;

    public static void Write(RecordedTransfers recorded, TextWriter output)
    {
        output.WriteLine($"{recorded.Node} in {recorded.Location}");
        foreach (var transfer in recorded.Transfers)
        {
            output.WriteLine();
            Write(transfer, output);
        }
    }

    private static void Write(RecordedTransfer transfer, TextWriter output)
    {
        output.WriteLine($"  {transfer.At.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture)}Z  {transfer.Kind} of {NameOf(transfer)}");
        if (transfer.Digest is { } digest)
        {
            output.WriteLine($"    {digest}{(transfer.First > 0 ? $" from byte {transfer.First}" : "")}");
        }

        output.WriteLine($"    {ResultOf(transfer)}");
        if (transfer.Reason is { } reason)
        {
            output.WriteLine($"    planned: {reason}");
        }

        foreach (var source in transfer.Sources.Where(source => source.Tier != Tier.Local))
        {
            output.WriteLine(
                $"    {PullReport.Size(source.Bytes)} from {source.Node} in {source.Location}, {PullReport.Title(source.Tier)}{(source.IsRelayed ? ", which was downloading it" : "")}");
        }

        foreach (var candidate in transfer.Candidates.Where(candidate => !candidate.IsUsed))
        {
            output.WriteLine($"    ✗ {candidate.Node} in {candidate.Location}: {candidate.Reason}");
        }

        if (transfer.Upstream is { } upstream)
        {
            output.WriteLine($"    {PullReport.Size(upstream.Bytes)} from the registry in {ExplainReport.Seconds(upstream.Seconds)}{SpeedOf(upstream.Bytes, upstream.Seconds)}");
        }
    }

    private static string NameOf(RecordedTransfer transfer) =>
        $"{(transfer.Registry is null ? "" : transfer.Registry + "/")}{transfer.Repository}{(transfer.Tag is null ? "" : ":" + transfer.Tag)}";

    private static string ResultOf(RecordedTransfer transfer)
    {
        var taken = $"{PullReport.Size(transfer.Bytes)} in {ExplainReport.Seconds(transfer.Seconds)}{SpeedOf(transfer.Bytes, transfer.Seconds)}";
        string?[] waits =
        [
            transfer.FirstByteSeconds is { } first ? $"first byte after {ExplainReport.Seconds(first)}" : null,
            transfer.LongestWaitSeconds >= LeastWaitSeconds ? $"longest wait {ExplainReport.Seconds(transfer.LongestWaitSeconds.Value)}" : null,
        ];
        return string.Join(", ", waits.Prepend(
            transfer.Bytes > 0 ? $"{Title(transfer.Outcome)}: {taken}" : $"{Title(transfer.Outcome)} after {ExplainReport.Seconds(transfer.Seconds)}").Where(text => text is not null));
    }

    private static string Title(string outcome) => TierNames.Parse(outcome) is { } tier ? PullReport.Title(tier) : outcome;

    /// <summary>What is small says nothing of speed.</summary>
    private static string SpeedOf(long bytes, double seconds) => bytes > LeastBytesOfSpeed && seconds > 0 ? $" ({PullReport.Size((long)(bytes / seconds))}/s)" : "";
}
