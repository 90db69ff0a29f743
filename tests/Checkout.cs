namespace SpegelDapr.Tests;

/// <summary>The checkout that the tests were built from.</summary>
internal static class Checkout
{
    private static readonly string Root = Find();

    /// <summary>A path in the checkout.</summary>
    public static string Path(string relative) => System.IO.Path.Combine(Root, relative);

    private static string Find()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(directory.FullName, "spegel-dapr.sln")))
            {
                return directory.FullName;
            }
        }

        throw new InvalidOperationException("The tests run from a build within the checkout: there is no spegel-dapr.sln above them.");
    }
}
