using SpegelDapr.Cli.NodeSetup.Preflight;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>What containerd is to be told.</summary>
/// <param name="Registries">The registries to mirror.</param>
/// <param name="Mirrors">The mirrors, in the order in which containerd tries them.</param>
/// <param name="ResolveTags">Whether they are asked for tags, and not for digests alone.</param>
/// <param name="PrependExisting">Whether mirrors that were there before are kept, after these.</param>
internal sealed record MirrorSettings(IReadOnlyList<MirroredRegistry> Registries, IReadOnlyList<BlobAddress> Mirrors, bool ResolveTags, bool PrependExisting)
{
    private static readonly Version VersionWithBrackets = new(2, 0);

    /// <summary>
    /// containerd 1.x's parser takes no bracket in a table's header, quoted or not, so an IPv6 mirror's hosts.toml would be read by none of it
    /// (lexInsideTableKey in pelletier/go-toml 1).
    /// </summary>
    /// <exception cref="UserErrorException">containerd is known to be such a one.</exception>
    public void ThrowIfNotReadBy(ContainerdSettings? containerd)
    {
        if (containerd?.Number is { } number && number < VersionWithBrackets && Mirrors.Select(mirror => mirror.ToString()).FirstOrDefault(mirror => mirror.Contains('[', StringComparison.Ordinal)) is { } ipv6)
        {
            throw new UserErrorException($"--mirror is '{ipv6}', and containerd {containerd.Version} cannot read an IPv6 address in hosts.toml: give an IPv4 address or a name, or use containerd {VersionWithBrackets} or later.");
        }
    }
}
