using SpegelDapr.Contracts;

namespace SpegelDapr.Cli;

/// <summary>Servers that the command line names.</summary>
internal static class Servers
{
    /// <summary>A client of the server that an option names.</summary>
    /// <exception cref="UserErrorException">The option is no address.</exception>
    public static HttpClient Connect(string option, string address) =>
        BlobAddress.TryParse(address, out var parsed)
            ? new HttpClient { BaseAddress = parsed.Uri }
            : throw new UserErrorException($"{option} is '{address}': give http://host:port.");
}
