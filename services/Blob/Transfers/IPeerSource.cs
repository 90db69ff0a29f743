using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Where one transfer finds the peers that give it its content, one after the other.</summary>
internal interface IPeerSource : IDisposable
{
    /// <summary>How long the first byte may take, however many peers are asked for it.</summary>
    TimeSpan StartBudget { get; }

    /// <summary>Finds a peer that gives the content, or its rest; null when there is none, or when it is cancelled before one has answered.</summary>
    Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation);

    /// <summary>Whether a peer may go on being silent, after so long; otherwise another one continues.</summary>
    Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation);

    /// <summary>Is told what has come, and from which byte of the content on.</summary>
    void Received(long offset, ReadOnlySpan<byte> bytes);
}
