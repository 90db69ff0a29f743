using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace SpegelDapr.ServiceDefaults;

/// <summary>A listener's address as a setting.</summary>
internal static class ListenUrl
{
    /// <summary>Reads <c>http://address:port</c>, where <c>*</c> is every address of the machine.</summary>
    /// <exception cref="OptionsValidationException">The setting is absent or not such a URL.</exception>
    public static BindingAddress Read(IConfiguration configuration, string key)
    {
        var text = configuration[key];
        return TryParse(text)
            ?? throw new OptionsValidationException(
                key,
                typeof(string),
                [$"{key} is '{text}': give http://address:port to listen on, such as http://127.0.0.1:5000 or http://*:5000."]);
    }

    private static BindingAddress? TryParse(string? text)
    {
        try
        {
            return text is not null && BindingAddress.Parse(text) is { Scheme: "http", Port: > 0 and <= 65535, PathBase: "" } address ? address : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
