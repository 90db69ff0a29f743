using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>What containerd is to be told.</summary>
/// <param name="Registries">The registries to mirror.</param>
/// <param name="Mirrors">The mirrors, in the order in which containerd tries them.</param>
/// <param name="ResolveTags">Whether they are asked for tags, and not for digests alone.</param>
/// <param name="PrependExisting">Whether mirrors that were there before are kept, after these.</param>
internal sealed record MirrorSettings(IReadOnlyList<MirroredRegistry> Registries, IReadOnlyList<BlobAddress> Mirrors, bool ResolveTags, bool PrependExisting)
{
    /// <summary>The first containerd that reads <c>hosts.toml</c> with pelletier/go-toml 2, and a file without hosts at all.</summary>
    public static readonly Version SecondContainerd = new(2, 0);

    /// <summary>containerd's version; null where it is not known.</summary>
    public Version? Containerd { get; init; }

    /// <summary>
    /// The parser of containerd 1.x takes no bracket in a table's header, quoted or not, so an IPv6 mirror's hosts.toml would not be read at all
    /// (lexInsideTableKey in pelletier/go-toml 1).
    /// </summary>
    /// <exception cref="UserErrorException">containerd is such a one, or is not known not to be.</exception>
    public void ThrowIfUnreadable()
    {
        if (Containerd >= SecondContainerd || Mirrors.Select(mirror => mirror.ToString()).FirstOrDefault(mirror => mirror.Contains('[', StringComparison.Ordinal)) is not { } ipv6)
        {
            return;
        }

        throw new UserErrorException(Containerd is null
            ? $"--mirror is '{ipv6}', which containerd reads in hosts.toml from {SecondContainerd} on, but its version is not known: give its socket as --containerd-sock, or an IPv4 address or a name."
            : $"--mirror is '{ipv6}', and containerd {Containerd} cannot read an IPv6 address in hosts.toml: give an IPv4 address or a name, or use containerd {SecondContainerd} or later.");
    }
}
