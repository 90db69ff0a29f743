using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>Clients that are not containerd, and ask a node's mirror as they ask any registry.</summary>
public sealed class OtherClientTests() : ClusterTests(nodes: 2)
{
    [ToolFact("crane")]
    public async Task Crane_pulls_by_digest()
    {
        var image = await PullOnAsync([3 * MiB, 5 * MiB], First);
        await Cluster.Registry.StopAsync();
        var pulled = Cluster.Directory.File("crane");

        await ExternalProcess.RunAsync("crane", ["pull", "--insecure", "--format", "oci", Reference(image), pulled]);

        AssertHolds(pulled, image);
        Assert.True(await Second.ServedAsync(Tier.SameZone) >= image.BlobBytes);
    }

    [ToolFact("oras")]
    public async Task Oras_copies_by_digest()
    {
        var image = await PullOnAsync([3 * MiB, 5 * MiB], First);
        await Cluster.Registry.StopAsync();
        var copied = Cluster.Directory.File("oras");

        await ExternalProcess.RunAsync("oras", ["copy", "--from-plain-http", "--to-oci-layout", Reference(image), $"{copied}:1"]);

        AssertHolds(copied, image);
        Assert.True(await Second.ServedAsync(Tier.SameZone) >= image.BlobBytes);
    }

    /// <summary>The image by digest, at the mirror of the node that does not have it.</summary>
    private string Reference(TestImage image)
    {
        var name = image.Reference[(Registry.Host.Length + 1)..].Split(':')[0];
        return $"{Second.Identity.Address.Uri.Authority}/{name}@{image.Manifest}";
    }

    private static void AssertHolds(string layout, TestImage image) =>
        Assert.All(image.Digests, key => Assert.True(File.Exists(Path.Combine(layout, "blobs", key.ToString().Replace(':', '/'))), key.ToString()));
}
