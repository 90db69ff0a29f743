using System.Security.Cryptography;
using System.Text;

namespace SpegelDapr.LocalDapr.Running;

/// <summary>The default place in which sidecars of one user and the same resources find each other.</summary>
internal static class ResolutionDirectory
{
    public static string For(IEnumerable<string> resourcesPaths)
    {
        var key = string.Join('\n', resourcesPaths.Select(Path.GetFullPath).Order(StringComparer.Ordinal));
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..16];
        return Path.Combine(Path.GetTempPath(), $"localdapr-{Environment.UserName}", name);
    }
}
