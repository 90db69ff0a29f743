using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>Cuts keys into chunks that each fit into one event, by <see cref="LayerEvent.MaxKeys"/> and <see cref="LayerEvent.MaxBytes"/>.</summary>
internal static class KeyChunks
{
    /// <summary>More than the JSON of an event takes without its keys: names, numbers, node name, region, zone and address at their longest.</summary>
    private const int EnvelopeBytes = 2048;

    /// <summary>More than the JSON of a key takes besides key and digest: the names, the punctuation and the time.</summary>
    private const int KeyOverheadBytes = 128;

    /// <summary>The chunks, in order; none when there are no keys.</summary>
    /// <param name="keys">What to cut.</param>
    /// <param name="keyOf">A key, of each of them.</param>
    public static IEnumerable<IReadOnlyList<T>> Of<T>(IEnumerable<T> keys, Func<T, HeldKey> keyOf)
    {
        List<T> chunk = [];
        var bytes = EnvelopeBytes;
        foreach (var key in keys)
        {
            var keyBytes = Bytes(keyOf(key));
            if (chunk.Count == LayerEvent.MaxKeys || bytes + keyBytes > LayerEvent.MaxBytes)
            {
                yield return chunk;
                (chunk, bytes) = ([], EnvelopeBytes);
            }

            chunk.Add(key);
            bytes += keyBytes;
        }

        if (chunk.Count > 0)
        {
            yield return chunk;
        }
    }

    /// <summary>At most so many bytes: keys are ASCII, and JSON escapes none of their characters.</summary>
    private static int Bytes(HeldKey held) => held.Key.ToString().Length + (held.Digest?.ToString().Length ?? 0) + KeyOverheadBytes;
}
