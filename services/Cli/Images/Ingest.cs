using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Images;

/// <summary>
/// Content on its way into a layout, kept as containerd keeps it (content/local/store.go): <c>ingest/&lt;id&gt;</c> with <c>ref</c>, <c>total</c> and a
/// growing <c>data</c>, which becomes the blob by rename. So a mirror of the layout can pass on what is there already. What has not been committed
/// goes with this.
/// </summary>
internal sealed class Ingest : IAsyncDisposable
{
    private readonly OciLayout _layout;
    private readonly string _directory;
    private readonly FileStream _data;
    private bool _hasTotal;

    private Ingest(OciLayout layout, string directory, string reference, long? total)
    {
        (_layout, _directory) = (layout, directory);
        File.WriteAllText(Path.Combine(directory, "ref"), reference);
        Expect(total);

        // Unbuffered, so that whoever follows sees each byte at once, and shared: File.Create would lock the followers out.
        _data = new FileStream(DataPath, FileMode.CreateNew, FileAccess.Write, FileShare.Read | FileShare.Delete, bufferSize: 0, useAsync: true);
    }

    /// <summary>How many bytes are there.</summary>
    public long Length { get; private set; }

    private string DataPath => Path.Combine(_directory, "data");

    /// <summary>Begins to take content in.</summary>
    /// <param name="layout">Where it goes.</param>
    /// <param name="key">What it is, as containerd says it: <c>layer-sha256:…</c>, <c>manifest-sha256:…</c>.</param>
    /// <param name="total">Its size in bytes, if that is known.</param>
    public static Ingest Begin(OciLayout layout, string key, long? total)
    {
        // containerd locks the reference. Here each ingest has one of its own, so that several pulls into one layout cannot meet.
        var reference = $"spegel-dapr/{Guid.NewGuid():N}/{key}";
        var id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(reference)));
        var directory = Directory.CreateDirectory(Path.Combine(layout.Path, "ingest", id)).FullName;
        try
        {
            return new Ingest(layout, directory, reference, total);
        }
        catch
        {
            Directory.Delete(directory, recursive: true);
            throw;
        }
    }

    /// <summary>Says how many bytes will come, unless that has been said or is still unknown.</summary>
    public void Expect(long? total)
    {
        if (_hasTotal || total is not > 0)
        {
            return;
        }

        // By rename, since others may be reading by now.
        var partial = Path.Combine(_directory, "total.tmp");
        File.WriteAllText(partial, total.Value.ToString(CultureInfo.InvariantCulture));
        File.Move(partial, Path.Combine(_directory, "total"));
        _hasTotal = true;
    }

    /// <summary>Appends bytes.</summary>
    public async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await _data.WriteAsync(bytes, cancellationToken);
        Length += bytes.Length;
    }

    /// <summary>Makes what has come the content of its digest, whose hash the caller has checked.</summary>
    public void Commit(Digest digest) => _layout.Commit(DataPath, digest);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _data.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}
