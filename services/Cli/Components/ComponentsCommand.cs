using System.CommandLine;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Components;

/// <summary><c>spegel-dapr components</c>: Dapr's resources for the zones of a cluster, which nobody else may use.</summary>
internal static class ComponentsCommand
{
    /// <summary>In a cluster Dapr takes an app id when with <c>-dapr</c> it is a DNS label (dapr/dapr, pkg/validation).</summary>
    private static readonly int MostZoneChars = 63 - DaprNames.Discovery("").Length - "-dapr".Length;

    public static Command Create()
    {
        var paths = new Argument<string[]>("path") { Description = "Directories and files of Dapr resources, such as components/redis.", Arity = ArgumentArity.OneOrMore };
        var zones = new Option<string[]>("--zone") { Description = "A zone as region/zone; give each.", Required = true };
        var mode = new Option<string>("--mode") { Description = "Zones:Mode of the cluster. In mode isolated each resolver may hear just the zones inside the boundary.", DefaultValueFactory = _ => "preferred" };
        mode.AcceptOnlyFromAmong("isolated", "preferred", "adaptive");
        var boundary = new Option<string>("--boundary") { Description = "What mode isolated closes.", DefaultValueFactory = _ => "zone" };
        boundary.AcceptOnlyFromAmong("zone", "region");
        var farthest = new Option<string>("--farthest-tier") { Description = "Zones:FarthestTier of the cluster, in the other modes.", DefaultValueFactory = _ => Tier.CrossRegion.Name() };
        farthest.AcceptOnlyFromAmong(Tier.SameZone.Name(), Tier.SameRegion.Name(), Tier.CrossRegion.Name());
        var command = new Command("components", "Print Dapr resources that zones' services alone may use.") { paths, zones, mode, boundary, farthest };
        command.SetAction(parsed => Print(
            parsed.GetRequiredValue(paths),
            ScopedZone.All(
                [.. parsed.GetRequiredValue(zones).Select(ParseZone)],
                new ZoneOptions
                {
                    Mode = parsed.GetRequiredValue(mode),
                    Boundary = parsed.GetRequiredValue(boundary),
                    FarthestTier = parsed.GetRequiredValue(farthest),
                })));
        return command;
    }

    private static void Print(IEnumerable<string> paths, IReadOnlyList<ScopedZone> zones)
    {
        var resources = new ScopedResources(zones);
        foreach (var document in paths.SelectMany(path => Resources(path, resources)).ToList())
        {
            Console.Write($"---\n{document}");
        }
    }

    private static List<string> Resources(string path, ScopedResources resources) =>
        Files(path).SelectMany(resources.Read).ToList() is { Count: > 0 } found ? found : throw new UserErrorException($"'{path}' has no Dapr resource.");

    private static IEnumerable<string> Files(string path) =>
        File.Exists(path) ? [path]
        : Directory.Exists(path) ? Directory.EnumerateFiles(path).Where(file => Path.GetExtension(file) is ".yaml" or ".yml").Order(StringComparer.Ordinal)
        : throw new UserErrorException($"There is no file or directory '{path}'.");

    private static Location ParseZone(string text) =>
        !Location.TryParse(text, out var location) ? throw new UserErrorException($"'{text}' is no zone: give region/zone, each of a-z, 0-9 and dash.")
        : location.Zone.Length > MostZoneChars ? throw new UserErrorException($"'{text}' is too long a zone: Dapr's app ids leave {MostZoneChars} characters for its name.")
        : location;
}
