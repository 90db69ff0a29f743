using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Content;

/// <summary>Where a node keeps its content.</summary>
internal interface IContentSource
{
    /// <summary>Whether the source could be read when it was last tried.</summary>
    bool IsReadable { get; }

    /// <summary>
    /// Watches the content until <paramref name="cancellationToken"/> is cancelled. <paramref name="report"/> is given everything first and
    /// changes from then on, one call at a time; after an interruption it is given everything again. A source that is away is waited for,
    /// and reports nothing.
    /// </summary>
    Task WatchAsync(Action<ContentChange> report, CancellationToken cancellationToken);
}

/// <summary>What a source has to say about its content.</summary>
internal abstract record ContentChange;

/// <summary>All that is held; what it does not list is held no longer.</summary>
internal sealed record ContentListed(IReadOnlyCollection<HeldKey> Held) : ContentChange;

/// <summary>Content that has come.</summary>
internal sealed record ContentAdded(Digest Digest) : ContentChange;

/// <summary>Content that has gone.</summary>
internal sealed record ContentRemoved(Digest Digest) : ContentChange;
