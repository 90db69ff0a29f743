namespace SpegelDapr.EndToEnd.Harness;

/// <summary>What happens to files on disks.</summary>
internal static class Rot
{
    /// <summary>Changes a bit of a file, also of one that somebody is writing.</summary>
    public static void FlipByte(string path, long offset)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        file.Position = offset;
        var value = file.ReadByte();
        file.Position = offset;
        file.WriteByte((byte)(value ^ 1));
    }
}
