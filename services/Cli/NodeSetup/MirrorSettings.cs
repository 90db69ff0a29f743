using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>What containerd is to be told.</summary>
/// <param name="Registries">The registries to mirror.</param>
/// <param name="Mirrors">The mirrors, in the order in which containerd tries them.</param>
/// <param name="ResolveTags">Whether they are asked for tags, and not for digests alone.</param>
/// <param name="PrependExisting">Whether mirrors that were there before are kept, after these.</param>
internal sealed record MirrorSettings(IReadOnlyList<MirroredRegistry> Registries, IReadOnlyList<BlobAddress> Mirrors, bool ResolveTags, bool PrependExisting);
