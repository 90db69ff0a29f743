using System.Runtime.InteropServices;
using System.Text;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// Changes to the node's files, each of which is on disk when the method returns. A process that is killed in the middle leaves the old or
/// the new state in sight, and what it had begun under a name that <see cref="DeleteLeftovers"/> and <see cref="DeleteLeftoversIn"/> know.
/// </summary>
/// <param name="beforeStep">Told of each system call that changes something, before it is made. Tests stop there.</param>
/// <remarks>All methods throw <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>, with a message that names the path.</remarks>
internal sealed partial class NodeFiles(Action<string>? beforeStep = null)
{
    private const string NewSuffix = ".spegel-dapr-new";
    private const string OldSuffix = ".spegel-dapr-old";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode DirectoryMode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private const int LockExclusiveAtOnce = 2 | 4;
    private const int Unlock = 8;

    private const int Interrupted = 4;

    /// <summary>PATH_MAX.</summary>
    private const int LongestPath = 4096;

    /// <summary>Writes a file, or replaces what bears its name, be it a link.</summary>
    public void Write(string path, byte[] content, UnixFileMode mode)
    {
        var beside = New(path);
        WriteInPlace(beside, content, mode);
        Step("rename", path);
        File.Move(beside, path, overwrite: true);
        Flush(DirectoryOf(path));
    }

    /// <summary>Gives a file or a link a second name in its directory, in place of what bore that name.</summary>
    public void Link(string path, string secondPath)
    {
        Delete(secondPath);
        Step("link", secondPath);
        Check(LinkCall(path, secondPath), secondPath);
        Flush(DirectoryOf(path));
    }

    /// <summary>Renames a file or a link within its directory, over what bears the new name.</summary>
    public void Rename(string path, string newPath)
    {
        Step("rename", newPath);
        File.Move(path, newPath, overwrite: true);
        Flush(DirectoryOf(newPath));
    }

    /// <summary>Deletes a file or a link, if it exists.</summary>
    public void Delete(string path)
    {
        if (File.Exists(path))
        {
            Step("delete", path);
            File.Delete(path);
            Flush(DirectoryOf(path));
        }
    }

    /// <summary>Makes a directory that does not exist, which appears with a file in it.</summary>
    public void CreateDirectory(string path, string fileName, byte[] content, UnixFileMode mode)
    {
        var beside = New(path);
        Step("make", beside);
        Directory.CreateDirectory(beside);

        // Not as it is made, which leaves out what the process's umask has.
        Step("set mode", beside);
        File.SetUnixFileMode(beside, DirectoryMode);
        WriteInPlace(Path.Combine(beside, fileName), content, mode);
        Flush(beside);
        Step("rename", path);
        Directory.Move(beside, path);
        Flush(DirectoryOf(path));
    }

    /// <summary>Removes a directory with the files in it, which disappear together.</summary>
    public void RemoveDirectory(string path)
    {
        var beside = Old(path);
        Step("rename", beside);
        Directory.Move(path, beside);
        Flush(DirectoryOf(path));
        DeleteTree(beside);
    }

    /// <summary>Deletes what a run that was killed has left of a change to <paramref name="path"/>.</summary>
    public void DeleteLeftovers(string path)
    {
        Delete(New(path));
        DeleteTree(New(path));
        DeleteTree(Old(path));
    }

    /// <summary>Deletes what runs that were killed have left of changes to anything in a directory.</summary>
    public void DeleteLeftoversIn(string directory)
    {
        foreach (var suffix in new[] { NewSuffix, OldSuffix })
        {
            foreach (var entry in Directory.GetFileSystemEntries(directory, ".*" + suffix))
            {
                Delete(entry);
                DeleteTree(entry);
            }
        }
    }

    /// <summary>A path without links, by which what has several is known; null where it leads nowhere.</summary>
    public static string? RealPath(string path)
    {
        var resolved = new byte[LongestPath];
        return RealPathCall(path, resolved) == 0 ? null : Encoding.UTF8.GetString(resolved.AsSpan()[..resolved.AsSpan().IndexOf((byte)0)]);
    }

    /// <summary>Keeps other runs off a directory while what is returned is not disposed of; null when one is at work there.</summary>
    public static IDisposable? TryLock(string directory)
    {
        var handle = new DirectoryHandle(directory);
        if (LockCall(handle.Descriptor, LockExclusiveAtOnce) == 0)
        {
            return new DirectoryLock(handle);
        }

        handle.Dispose();
        return null;
    }

    /// <summary>Beside the path and with a leading dot, which begins no registry's name.</summary>
    private static string New(string path) => Path.Combine(DirectoryOf(path), "." + Path.GetFileName(path) + NewSuffix);

    private static string Old(string path) => Path.Combine(DirectoryOf(path), "." + Path.GetFileName(path) + OldSuffix);

    private static string DirectoryOf(string path) => Path.GetDirectoryName(path)!;

    private static void Check(int result, string path)
    {
        if (result < 0)
        {
            throw new IOException($"{Marshal.GetLastPInvokeErrorMessage()}: '{path}'");
        }
    }

    private void WriteInPlace(string path, byte[] content, UnixFileMode mode)
    {
        Step("create", path);
        using var file = new FileStream(
            path,
            new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 0, UnixCreateMode = OwnerOnly });
        Step("write", path);
        file.Write(content);
        Step("set mode", path);
        File.SetUnixFileMode(file.SafeFileHandle, mode);
        Step("flush", path);
        file.Flush(flushToDisk: true);
    }

    private void DeleteTree(string path)
    {
        if (!Directory.Exists(path))
        {
            return;
        }

        foreach (var file in Directory.EnumerateFiles(path))
        {
            Step("delete", file);
            File.Delete(file);
        }

        Step("delete", path);
        Directory.Delete(path, recursive: true);
        Flush(DirectoryOf(path));
    }

    private void Flush(string directory)
    {
        Step("flush", directory);
        using var handle = new DirectoryHandle(directory);
        Check(FlushCall(handle.Descriptor), directory);
    }

    private void Step(string change, string path) => beforeStep?.Invoke($"{change} {path}");

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LinkCall(string path, string secondPath);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenCall(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int CloseCall(int descriptor);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FlushCall(int descriptor);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int LockCall(int descriptor, int operation);

    [LibraryImport("libc", EntryPoint = "realpath", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint RealPathCall(string path, [Out] byte[] resolved);

    /// <summary>A directory that is open, which .NET itself does not offer.</summary>
    private sealed class DirectoryHandle : IDisposable
    {
        public DirectoryHandle(string path)
        {
            do
            {
                Descriptor = OpenCall(path, 0);
            }
            while (Descriptor < 0 && Marshal.GetLastPInvokeError() == Interrupted);
            Check(Descriptor, path);
        }

        public int Descriptor { get; }

        public void Dispose() => _ = CloseCall(Descriptor);
    }

    /// <summary>A lock on a directory. Closing the descriptor alone would keep it while a process that was being started has a copy.</summary>
    private sealed class DirectoryLock(DirectoryHandle directory) : IDisposable
    {
        public void Dispose()
        {
            _ = LockCall(directory.Descriptor, Unlock);
            directory.Dispose();
        }
    }
}
