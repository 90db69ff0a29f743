using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>A download in a node's content store, in the files that containerd would write (content/local/store.go).</summary>
internal sealed class Download
{
    private readonly byte[] _content;
    private readonly string _blob;
    private readonly string _ingest;

    public Download(BlobNode node, byte[] content, string refPrefix = "k8s.io/1/layer-")
        : this(node, content, content, refPrefix)
    {
    }

    /// <param name="node">The node.</param>
    /// <param name="content">What comes.</param>
    /// <param name="wanted">What should come.</param>
    /// <param name="refPrefix">What containerd puts before the digest.</param>
    public Download(BlobNode node, byte[] content, byte[] wanted, string refPrefix = "k8s.io/1/layer-")
    {
        (_content, Digest) = (content, Digest.OfSha256(wanted));
        _blob = node.PathOf(Digest);
        _ingest = Path.Combine(node.ContentPath, "ingest", Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(_ingest);
        File.WriteAllText(Path.Combine(_ingest, "ref"), $"{refPrefix}{Digest}");
        File.WriteAllText(Path.Combine(_ingest, "total"), $"{content.Length}");
        File.WriteAllBytes(DataPath, []);
    }

    public Digest Digest { get; }

    public string DataPath => Path.Combine(_ingest, "data");

    /// <summary>Writes on, up to so many bytes in all.</summary>
    public Download GrowTo(int length)
    {
        using var data = new FileStream(DataPath, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        data.Write(_content, (int)data.Position, length - (int)data.Position);
        return this;
    }

    /// <summary>Writes the rest, and moves the file to where complete content is.</summary>
    public void Commit()
    {
        GrowTo(_content.Length);
        File.Move(DataPath, _blob);
        Directory.Delete(_ingest, recursive: true);
    }

    /// <summary>Removes it, incomplete.</summary>
    public void GiveUp() => Directory.Delete(_ingest, recursive: true);

    /// <summary>Begins anew, as containerd does when its writer is reset.</summary>
    public void Truncate() => File.WriteAllBytes(DataPath, []);
}
