using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Unit.Discovery;

public class KeyChunksTests
{
    private static readonly NodeIdentity NodeWithLongestNames = new(
        NodeName.Parse(string.Join('.', Enumerable.Repeat(new string('n', 62), 4))),
        Location.Parse($"{new string('r', 63)}/{new string('z', 63)}"),
        BlobAddress.Parse($"http://{string.Join('.', Enumerable.Repeat(new string('h', 62), 4))}:65535"));

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(LayerEvent.MaxKeys, 1)]
    [InlineData(LayerEvent.MaxKeys + 1, 2)]
    [InlineData((4 * LayerEvent.MaxKeys) + 1, 5)]
    public void Short_keys_are_cut_by_their_number(int keys, int chunks) =>
        Assert.Equal(chunks, KeyChunks.Of(Enumerable.Range(0, keys).Select(number => new HeldKey(Some.Digest(number))), held => held).Count());

    [Fact]
    public void Every_chunk_fits_into_an_event_however_long_its_keys_are()
    {
        var keys = Enumerable.Range(0, 2000).Select(LongestTag).ToList();

        var chunks = KeyChunks.Of(keys, held => held).ToList();

        Assert.Equal(keys, chunks.SelectMany(chunk => chunk));
        Assert.All(chunks, chunk =>
        {
            Assert.InRange(chunk.Count, 1, LayerEvent.MaxKeys);
            var asSnapshot = new SnapshotEvent { Node = NodeWithLongestNames, Epoch = long.MaxValue, Sequence = long.MaxValue, Chunk = 999, Chunks = 999, Keys = chunk };
            var asDelta = new DeltaEvent { Node = NodeWithLongestNames, Epoch = long.MaxValue, Sequence = long.MaxValue, Removed = chunk, Added = [] };
            Assert.InRange(ContractsJson.Serialize(asSnapshot).Length, 1, LayerEvent.MaxBytes);
            Assert.InRange(ContractsJson.Serialize(asDelta).Length, 1, LayerEvent.MaxBytes);
        });
    }

    private static HeldKey LongestTag(int number) => new(
        ContentKey.Parse($"[2001:db8::1]:65535/{new string('a', 255)}:{new string('t', 122)}{number:000000}"),
        Digest.Parse("sha512:" + new string('a', 128)),
        DateTimeOffset.MaxValue);
}
