namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Repository
{
    private static readonly string Root = Find(new DirectoryInfo(AppContext.BaseDirectory));

    /// <summary>A path in the checkout.</summary>
    public static string Path(string relative) => System.IO.Path.Combine(Root, relative);

    private static string Find(DirectoryInfo directory) =>
        File.Exists(System.IO.Path.Combine(directory.FullName, "spegel-dapr.sln"))
            ? directory.FullName
            : Find(directory.Parent ?? throw new InvalidOperationException("The tests run from a build within the checkout: there is no spegel-dapr.sln above them."));
}
