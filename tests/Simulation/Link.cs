namespace SpegelDapr.Simulation;

/// <summary>
/// One direction of a link: pieces go over it one after the other. Each stream has one piece at a time in the queue of its sender, so they share it fairly.
/// </summary>
internal sealed class Link(VirtualTime time, double bytesPerSecond)
{
    private readonly Queue<(int Bytes, Action Done)> _waiting = new();
    private bool _isBusy;

    /// <summary>Its rate in bytes.</summary>
    public double BytesPerSecond => bytesPerSecond;

    /// <summary>Sends a piece.</summary>
    public void Send(int bytes, Action done)
    {
        _waiting.Enqueue((bytes, done));
        if (!_isBusy)
        {
            _isBusy = true;
            Next();
        }
    }

    private void Next()
    {
        if (!_waiting.TryDequeue(out var piece))
        {
            _isBusy = false;
            return;
        }

        time.After(TimeSpan.FromSeconds(piece.Bytes / bytesPerSecond), () =>
        {
            piece.Done();
            Next();
        });
    }
}
