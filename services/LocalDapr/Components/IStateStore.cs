namespace SpegelDapr.LocalDapr.Components;

/// <summary>What a state store holds under a key.</summary>
/// <param name="Data">The value.</param>
/// <param name="ETag">Its version.</param>
/// <param name="Metadata">Metadata, such as <c>ttlExpireTime</c> from stores that tell it.</param>
internal sealed record StateEntry(byte[] Data, string ETag, IReadOnlyDictionary<string, string> Metadata);

/// <summary>A change of one key.</summary>
/// <param name="Key">The key, with its prefix.</param>
/// <param name="Value">The value to set, or null to delete the key.</param>
/// <param name="ETag">The version that must be there; null or empty asks for none.</param>
/// <param name="Concurrency"><c>first-write</c>, <c>last-write</c> or empty.</param>
/// <param name="TtlInSeconds">After how many seconds the key expires; null when the request does not say.</param>
internal sealed record StateChange(string Key, byte[]? Value, string? ETag, string Concurrency, int? TtlInSeconds)
{
    public const string FirstWrite = "first-write";
    public const string LastWrite = "last-write";

    public bool HasETag => !string.IsNullOrEmpty(ETag);
}

/// <summary>The version that a change names is not the one in the store, or, with <paramref name="malformed"/>, cannot be one.</summary>
internal sealed class ETagException(string message, bool malformed = false) : Exception(message)
{
    public bool Malformed => malformed;
}

/// <summary>A state store as one sidecar sees it.</summary>
internal interface IStateStore : IAsyncDisposable
{
    /// <summary>What <c>/v1.0/metadata</c> lists, in the names of components-contrib.</summary>
    IReadOnlyList<string> Capabilities { get; }

    /// <summary>The entry of a key; null when there is none.</summary>
    Task<StateEntry?> GetAsync(string key, CancellationToken cancellation);

    /// <summary>Makes a change.</summary>
    /// <exception cref="ETagException">The version does not match.</exception>
    Task ChangeAsync(StateChange change, CancellationToken cancellation);

    /// <summary>Makes several changes as one transaction, in the store's sense of it.</summary>
    /// <exception cref="ETagException">A version does not match.</exception>
    Task TransactAsync(IReadOnlyList<StateChange> changes, CancellationToken cancellation);
}
