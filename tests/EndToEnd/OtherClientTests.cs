using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>Clients that are not containerd, and ask a node's mirror as they ask any registry.</summary>
public sealed class OtherClientTests() : ClusterTests(nodes: 2)
{
    [ToolFact("crane")]
    public Task Crane_pulls_by_digest() => PullsAsync(ByDigest, Crane);

    [ToolFact("crane")]
    public Task Crane_pulls_by_tag() => PullsAsync(ByTag, Crane);

    [ToolFact("oras")]
    public Task Oras_copies_by_digest() => PullsAsync(ByDigest, Oras);

    [ToolFact("oras")]
    public Task Oras_copies_by_tag() => PullsAsync(ByTag, Oras);

    [RealFact]
    public Task Skopeo_copies_by_tag() => PullsAsync(ByTag, (from, to) =>
        ExternalProcess.RunAsync("skopeo", ["copy", "--insecure-policy", "--src-tls-verify=false", $"docker://{from}", $"oci:{to}:1"]));

    private static Task Crane(string from, string to) => ExternalProcess.RunAsync("crane", ["pull", "--insecure", "--format", "oci", from, to]);

    private static Task Oras(string from, string to) => ExternalProcess.RunAsync("oras", ["copy", "--from-plain-http", "--to-oci-layout", from, $"{to}:1"]);

    private static string ByDigest(TestImage image) => $"{image.Reference[(Registry.Host.Length + 1)..].Split(':')[0]}@{image.Manifest}";

    /// <summary>Only with its registry is a tag known: as the first part of the name.</summary>
    private static string ByTag(TestImage image) => image.Reference;

    /// <summary>Has a client pull from the mirror of the node that does not have the image, without a registry.</summary>
    private async Task PullsAsync(Func<TestImage, string> name, Func<string, string, Task> pullAsync)
    {
        var image = await PullOnAsync([3 * MiB, 5 * MiB], First);
        await Cluster.Registry.StopAsync();
        var pulled = Cluster.Directory.File("pulled");

        await pullAsync($"{Second.Identity.Address.Uri.Authority}/{name(image)}", pulled);

        AssertHolds(pulled, image);
        await Second.HasServedAsync(Tier.SameZone, image.BlobBytes);
    }

    private static void AssertHolds(string layout, TestImage image) =>
        Assert.All(image.Digests, key => Assert.True(File.Exists(Path.Combine(layout, "blobs", key.ToString().Replace(':', '/'))), key.ToString()));
}
