namespace SpegelDapr.Resolver.Store;

/// <summary>The state store as the resolver uses it: whole documents, read and written many at a time, each with its ETag.</summary>
internal interface IHolderStore
{
    /// <summary>The documents of these keys, in their order; one that does not exist has neither value nor ETag.</summary>
    /// <exception cref="StoreUnavailableException">At least one document could not be read.</exception>
    Task<IReadOnlyList<StoredDocument>> GetAsync(IReadOnlyList<string> keys, CancellationToken cancellation);

    /// <summary>
    /// Writes each document if it still has the ETag it was read with, or does not exist and was not found then. They are independent: some may be
    /// written although others are not.
    /// </summary>
    /// <returns>
    /// Whether all have been written. If not, some are in conflict or the store has failed: components answer both alike, so read again, which
    /// tells.
    /// </returns>
    /// <exception cref="StoreUnavailableException">The store cannot be reached.</exception>
    Task<bool> TrySaveAsync(IReadOnlyList<DocumentWrite> writes, CancellationToken cancellation);
}

/// <summary>A document as it was read.</summary>
/// <param name="Key">Its key.</param>
/// <param name="Value">Its JSON in UTF-8; null when it does not exist.</param>
/// <param name="ETag">Its ETag; null when it does not exist.</param>
internal sealed record StoredDocument(string Key, ReadOnlyMemory<byte>? Value, string? ETag);

/// <summary>A document to be written.</summary>
/// <param name="Key">Its key.</param>
/// <param name="Value">Its JSON in UTF-8.</param>
/// <param name="ETag">The ETag it was read with; null when it did not exist.</param>
/// <param name="TimeToLive">How long after this write the store may forget it.</param>
internal sealed record DocumentWrite(string Key, ReadOnlyMemory<byte> Value, string? ETag, TimeSpan TimeToLive);

/// <summary>The state store, or the sidecar before it, does not answer or answers with errors, or writes keep colliding.</summary>
internal sealed class StoreUnavailableException(string message, Exception? inner = null) : Exception(message, inner);
