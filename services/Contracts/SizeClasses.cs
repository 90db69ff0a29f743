namespace SpegelDapr.Contracts;

/// <summary>
/// Classes of content by its size. What takes long for a large layer is no sign of a slow link, and what is small tells of the first byte alone, so figures of
/// different classes are not compared.
/// </summary>
public static class SizeClasses
{
    private const long KiB = 1024;
    private const long MiB = 1024 * KiB;

    private static readonly (string Name, long MaxBytes)[] Classes = [("64KiB", 64 * KiB), ("1MiB", MiB), ("16MiB", 16 * MiB), ("128MiB", 128 * MiB), ("more", long.MaxValue)];

    /// <summary>The class of content by its length in bytes: the most that content of the class has, as in <c>16MiB</c>; that of the last one is <c>more</c>.</summary>
    public static string Of(long bytes) => Array.Find(Classes, of => bytes <= of.MaxBytes).Name;
}
