using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Planning;

/// <summary>Prepares for the requests that follow a manifest: those for all that it refers to.</summary>
internal sealed class Prefetch(LocalContent local, HolderLookup holders, ManifestMemory manifests)
{
    /// <summary>No image has as many layers. What a manifest names beyond is not prepared for, so that none makes much work.</summary>
    private const int MostChecked = 512;

    /// <summary>
    /// After a manifest for the node's own containerd: finds the holders of what the node lacks, in one question, so that the requests for
    /// layers find them in memory, and remembers its size.
    /// </summary>
    public void ForNode(OciManifest manifest, string? registry)
    {
        manifests.Add(manifest, registry);
        holders.FindAhead(manifest.Children
            .Select(child => child.Digest)
            .Where(digest => !local.Has(digest))
            .Select(ContentKey.FromDigest));
    }

    /// <summary>After a manifest for another node: hashes what this node has of it, so that it can be served without a wait.</summary>
    public void ForPeer(OciManifest manifest)
    {
        foreach (var digest in manifest.Children.Select(child => child.Digest).Distinct().Take(MostChecked))
        {
            local.VerifyAhead(digest);
        }
    }
}
