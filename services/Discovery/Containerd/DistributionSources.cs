using Google.Protobuf.Collections;

namespace SpegelDapr.Discovery.Containerd;

/// <summary>
/// Where content was pulled from: a label <c>containerd.io/distribution.source.&lt;host&gt;</c> for each registry, whose value lists the repositories,
/// with commas between them. The host has no port (containerd's core/remotes/docker/handler.go).
/// </summary>
internal static class DistributionSources
{
    private const string LabelPrefix = "containerd.io/distribution.source.";

    /// <summary>The registries' hosts and the repositories that the labels name.</summary>
    public static IEnumerable<(string Host, string Repository)> Of(MapField<string, string> labels)
    {
        foreach (var (name, value) in labels)
        {
            if (name.StartsWith(LabelPrefix, StringComparison.Ordinal))
            {
                foreach (var repository in value.Split(',', StringSplitOptions.RemoveEmptyEntries))
                {
                    yield return (name[LabelPrefix.Length..], repository);
                }
            }
        }
    }
}
