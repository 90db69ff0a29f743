using SpegelDapr.Blob.Local;

namespace SpegelDapr.Unit.Blob.Local;

public sealed class TailTests
{
    private const int Capacity = 2 * ChunkSums.ChunkBytes;

    private readonly byte[] _content = TestContent.Bytes(3 * Capacity);

    [Theory]
    [InlineData(1000)]
    [InlineData(65_537)]
    [InlineData(ChunkSums.ChunkBytes)]
    [InlineData(Capacity)]
    [InlineData(Capacity + 1)]
    public void The_last_bytes_can_be_read_from_any_offset_however_they_came(int step)
    {
        using var tail = new Tail();
        var buffer = new byte[Capacity];
        for (var end = 0; end < _content.Length;)
        {
            var next = Math.Min(end + step, _content.Length);
            tail.Append(end, _content.AsSpan(end, next - end));
            end = next;
            foreach (var offset in new[] { Math.Max(0, end - Capacity), Math.Max(0, end - 777), end - 1 })
            {
                var read = tail.Read(offset, buffer);
                Assert.Equal(end - offset, read);
                Assert.True(_content.AsSpan(offset, read).SequenceEqual(buffer.AsSpan(0, read)));
            }

            Assert.Equal(0, tail.Read(end, buffer));
            Assert.Equal(0, tail.Read(end - Capacity - 1, buffer));
        }
    }

    [Fact]
    public void What_does_not_continue_replaces_what_was_there()
    {
        using var tail = new Tail();
        tail.Append(0, _content.AsSpan(0, 1000));
        tail.Append(5000, _content.AsSpan(5000, 10));

        Assert.Equal(0, tail.Read(500, new byte[10]));
        Assert.Equal(10, tail.Read(5000, new byte[100]));
    }

    [Fact]
    public void Whoever_waits_hears_of_more_and_of_the_end()
    {
        var tail = new Tail();
        var grown = tail.Grown;
        tail.Append(0, _content.AsSpan(0, 1));
        Assert.True(grown.IsCompleted);

        grown = tail.Grown;
        Assert.False(grown.IsCompleted);
        tail.Dispose();
        Assert.True(grown.IsCompleted);
        Assert.Equal(0, tail.Read(0, new byte[1]));
    }
}
