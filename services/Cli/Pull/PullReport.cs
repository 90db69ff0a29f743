using System.Globalization;
using Spectre.Console;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Pull;

/// <summary>How figures of pulls are written for people.</summary>
internal static class PullReport
{
    private static readonly (Tier Tier, string Title)[] Tiers =
    [
        (Tier.Local, "local"),
        (Tier.SameZone, "same zone"),
        (Tier.SameRegion, "same region"),
        (Tier.CrossRegion, "cross region"),
        (Tier.Upstream, "upstream"),
    ];

    /// <summary>
    /// A table with a row for each pull: the given titles and cells first, then bytes by tier, and seconds. Where bytes were relayed these have a
    /// column, for which tiers without bytes make room: a terminal of 80 columns has none for both.
    /// </summary>
    public static Table ByTier(
        IReadOnlyList<string> titles, IReadOnlyCollection<(IReadOnlyList<string> Cells, TierBytes Bytes, long Relayed, double Seconds)> pulls)
    {
        var isAnyRelayed = pulls.Any(pull => pull.Relayed > 0);
        var tiers = isAnyRelayed ? [.. Tiers.Where(t => pulls.Any(pull => pull.Bytes[t.Tier] > 0))] : Tiers;
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumns([.. titles.Select(title => new TableColumn(title).NoWrap().Padding(0, 1))]);
        foreach (var (_, title) in tiers)
        {
            table.AddColumn(new TableColumn(title).RightAligned().Padding(1, 0));
        }

        if (isAnyRelayed)
        {
            table.AddColumn(new TableColumn("relayed").RightAligned().Padding(1, 0));
        }

        table.AddColumn(new TableColumn("seconds").RightAligned().Padding(1, 0));
        foreach (var (cells, bytes, relayed, seconds) in pulls)
        {
            table.AddRow(
                [.. cells.Select(Markup.Escape), .. tiers.Select(t => Size(bytes[t.Tier])), .. isAnyRelayed ? [Size(relayed)] : (string[])[], Seconds(seconds)]);
        }

        return table;
    }

    /// <summary>A table with a row for each manifest and blob of a pull.</summary>
    public static Table ByBlob(IEnumerable<FetchedBlob> blobs)
    {
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumns("digest", "type");
        table.AddColumn(new TableColumn("size").RightAligned());
        table.AddColumns("from", "node");
        table.AddColumn(new TableColumn("seconds").RightAligned());
        foreach (var blob in blobs)
        {
            table.AddRow(
                ShortDigest(blob.Digest),
                Markup.Escape(blob.MediaType[(blob.MediaType.LastIndexOf('/') + 1)..]),
                Size(blob.Size),
                blob.Relayed > 0 ? $"{Title(blob.Tier)}, relayed" : Title(blob.Tier),
                Markup.Escape(blob.Holder ?? "–"),
                Seconds(blob.Seconds));
        }

        return table;
    }

    /// <summary>A tier's name for people.</summary>
    public static string Title(Tier tier) => Tiers.First(t => t.Tier == tier).Title;

    /// <summary>A digest's algorithm and first digits.</summary>
    public static string ShortDigest(Digest digest) => digest.ToString()[..19];

    /// <summary>Bytes with a binary unit; a dot for none.</summary>
    public static string Size(long bytes) => bytes switch
    {
        0 => "·",
        < 1L << 10 => $"{bytes} B",
        < 1L << 20 => Scaled(bytes, 10, "KiB"),
        < 1L << 30 => Scaled(bytes, 20, "MiB"),
        _ => Scaled(bytes, 30, "GiB"),
    };

    private static string Scaled(long bytes, int power, string unit) =>
        ((double)bytes / (1L << power)).ToString("0.0", CultureInfo.InvariantCulture) + " " + unit;

    private static string Seconds(double seconds) => seconds.ToString("0.00", CultureInfo.InvariantCulture);
}
