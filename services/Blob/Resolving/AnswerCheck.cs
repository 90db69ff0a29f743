using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Resolving;

/// <summary>
/// What a resolver's answer must satisfy besides being well formed, which its types see to. It may be a sidecar's error, the answer to another
/// question or a stranger's: so each repeats what was asked.
/// </summary>
internal static class AnswerCheck
{
    /// <summary>Whether it says who holds these keys, in their order, and if it says whom to follow, then with the only one.</summary>
    public static bool Fits(ResolveAnswer answer, IReadOnlyList<ContentKey> keys) =>
        answer.Keys.Count == keys.Count
        && answer.Keys.Zip(keys).All(pair => Fits(pair.First, pair.Second))
        && (answer.Follow is null || (keys is [{ Digest: { } digest }] && Fits(answer.Follow, digest)));

    /// <summary>Whether it says what is known of this node.</summary>
    public static bool Fits(NodeAnswer answer, PeerClaim node) =>
        answer.Asked == node && (answer.Node is not { } known || new PeerClaim(known.Location, known.Name) == node);

    /// <summary>Whether it says whom to follow for this content: one that leads follows nobody.</summary>
    public static bool Fits(FollowAnswer answer, Digest digest) =>
        answer.Digest == digest && answer.Depth >= 0 && (answer.Depth == 0) == (answer.Parent is null);

    /// <summary>Whether it says who is in flight with this content.</summary>
    public static bool Fits(InFlightAnswer answer, Digest digest) =>
        answer.Digest == digest && answer.Nodes.All(node => (InFlightNode?)node is not null);

    /// <summary>JSON's <c>null</c> in a list is not seen to by the types.</summary>
    private static bool Fits(ResolvedKey? answer, ContentKey key) =>
        answer is not null
        && answer.Key == key
        && answer.Holders.Count <= ResolvedKey.MaxHolders
        && answer.Holders.All(holder => (Holder?)holder is not null)
        && (key.IsTag ? answer.Digest is not null || answer.Holders.Count == 0 : answer.Digest is null);
}
