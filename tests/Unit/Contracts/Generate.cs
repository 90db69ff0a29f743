using FsCheck;
using FsCheck.Fluent;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit;

/// <summary>Random values of the contracts' types, and text that is nearly one.</summary>
internal static class Generate
{
    private const string Hostile = "\0\n\r\t /\\.:@-_%?#[]{}\"'+~A\u00e9\u202e\ud83d";

    public static Gen<string> Hex(int length) => Text("0123456789abcdef", length, length);

    public static Gen<Digest> Digests =>
        Gen.OneOf(Hex(64).Select(hex => "sha256:" + hex), Hex(128).Select(hex => "sha512:" + hex)).Select(Digest.Parse);

    /// <summary>Registries of all kinds: names, names with ports, addresses of both families.</summary>
    public static Gen<string> Registries => Gen.OneOf(
        Gen.Elements("localhost", "ghcr.io", "registry.k8s.io", "localhost:5000", "registry:5000", "10.0.0.1:5000", "[::1]", "[2001:db8::7]:443", "Registry.Example.COM"),
        from labels in Text("abcxyz019", 1, 10).ListOf(2)
        from port in Gen.Choose(1, 65535)
        select $"{string.Join('.', labels)}:{port}");

    public static Gen<string> Repositories =>
        from separators in Gen.Elements(".", "_", "__", "-", "---").ListOf(4)
        from words in Text("abcxyz019", 1, 8).ListOf(5)
        from depth in Gen.Choose(1, 4)
        select string.Join('/', Enumerable.Range(0, depth).Select(i => words[i] + separators[i % separators.Count] + words[i + 1]));

    public static Gen<string> Tags =>
        from first in Text("abcXYZ019_", 1, 1)
        from rest in Text("abcXYZ019_.-", 0, 127)
        select first + rest;

    public static Gen<ContentKey> Keys => Gen.OneOf(
        Digests.Select(ContentKey.FromDigest),
        from registry in Registries
        from repository in Repositories
        from tag in Tags
        select ContentKey.Parse($"{registry}/{repository}:{tag}"));

    public static Gen<HeldKey> HeldKeys =>
        from key in Keys
        from digest in Digests
        from milliseconds in Gen.Choose(0, int.MaxValue)
        select key.IsTag ? new HeldKey(key, digest, DateTimeOffset.UnixEpoch.AddMilliseconds(milliseconds)) : new HeldKey(key);

    public static Gen<NodeIdentity> Nodes =>
        from name in Text("abcxyz019", 1, 20)
        from region in Text("abc019-", 1, 63)
        from zone in Text("abc019-", 1, 63)
        from port in Gen.Choose(1, 65535)
        select new NodeIdentity(NodeName.Parse($"{name}.example"), Location.Parse($"{region}/{zone}"), BlobAddress.Parse($"http://{name}.example:{port}"));

    public static Gen<LayerEvent> Events =>
        from node in Nodes
        from epoch in Gen.Choose(1, int.MaxValue)
        from sequence in Gen.Choose(1, int.MaxValue)
        from chunk in Gen.Choose(0, 9)
        from keys in HeldKeys.ListOf()
        from others in HeldKeys.ListOf()
        from one in Gen.Elements<LayerEvent>(
            new SnapshotEvent { Node = node, Epoch = epoch, Sequence = sequence, Chunk = chunk, Chunks = 10, Keys = keys },
            new DeltaEvent { Node = node, Epoch = epoch, Sequence = sequence, Added = keys, Removed = others },
            new HeartbeatEvent { Node = node, Epoch = epoch, Sequence = sequence, Summary = ContentSummary.Of(keys) },
            new LeavingEvent { Node = node, Epoch = epoch, Sequence = sequence })
        select one;

    /// <summary>Well-formed text with characters put in, taken out or replaced.</summary>
    public static Gen<string> Damaged(Gen<string> wellFormed) =>
        from text in wellFormed
        from at in Gen.Choose(0, text.Length)
        from taken in Gen.Choose(0, Math.Min(2, text.Length - at))
        from put in Text(Hostile, 0, 2)
        select text[..at] + put + text[(at + taken)..];

    public static Arbitrary<T> Arb<T>(this Gen<T> gen) => FsCheck.Fluent.Arb.From(gen);

    private static Gen<string> Text(string characters, int least, int most) =>
        from length in Gen.Choose(least, most)
        from text in Gen.Elements(characters.ToCharArray()).ListOf(length)
        select string.Concat(text);
}
