using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A file system of its own for what a node's containerd downloads, which can be full. It is in memory.</summary>
internal sealed class ContentDisk : IAsyncDisposable
{
    private const long Size = 1L << 30;

    private readonly string _path;

    private ContentDisk(string path) => _path = path;

    /// <summary>Gives one to a node, which has no content that it wants to keep. Its programs are started again.</summary>
    public static async Task<ContentDisk> MountAsync(Node node)
    {
        var path = node.Containerd.ContentPath;
        await node.Containerd.StopAsync();
        await ExternalProcess.RunAsync("mount", ["-t", "tmpfs", "-o", SizeIs(Size), "tmpfs", path]);
        var disk = new ContentDisk(path);
        try
        {
            await node.Containerd.StartAsync();
            await node.RestartAsync();
            return disk;
        }
        catch
        {
            await disk.DisposeAsync();
            throw;
        }
    }

    /// <summary>Fills the disk until this number of bytes is free.</summary>
    public async Task FillAsync(long left)
    {
        var drive = new DriveInfo(_path);
        await ResizeAsync(drive.TotalSize - drive.TotalFreeSpace + left);
    }

    /// <summary>Ends <see cref="FillAsync"/>.</summary>
    public async Task EmptyAsync() => await ResizeAsync(Size);

    /// <summary>Takes it away, also while it is in use.</summary>
    public async ValueTask DisposeAsync() => await ExternalProcess.RunAsync("umount", ["--lazy", _path]);

    private Task<string> ResizeAsync(long size) => ExternalProcess.RunAsync("mount", ["-o", $"remount,{SizeIs(size)}", _path]);

    private static string SizeIs(long bytes) => $"size={bytes.ToString(CultureInfo.InvariantCulture)}";
}
