using System.Globalization;
using System.Text.RegularExpressions;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>Durations as Dapr's resources write them, in the grammar of Go's <c>time.ParseDuration</c>: <c>1m30s</c>, <c>250ms</c>.</summary>
internal static partial class GoDuration
{
    /// <summary>The duration, or <paramref name="otherwise"/> when the text is empty. A bare number is seconds.</summary>
    /// <exception cref="LocalDaprException">The text is no duration; the message starts with <paramref name="what"/>.</exception>
    public static TimeSpan Parse(string text, TimeSpan otherwise, string what)
    {
        if (text.Length == 0)
        {
            return otherwise;
        }

        if (double.TryParse(text, CultureInfo.InvariantCulture, out var seconds))
        {
            return TimeSpan.FromSeconds(seconds);
        }

        var match = Grammar.Match(text);
        if (!match.Success)
        {
            throw new LocalDaprException($"{what} is '{text}': give a duration such as 500ms, 15s or 1m.");
        }

        var sum = TimeSpan.Zero;
        for (var i = 0; i < match.Groups["number"].Captures.Count; i++)
        {
            var unit = match.Groups["unit"].Captures[i].Value switch
            {
                "ms" => TimeSpan.FromMilliseconds(1),
                "s" => TimeSpan.FromSeconds(1),
                "m" => TimeSpan.FromMinutes(1),
                _ => TimeSpan.FromHours(1),
            };
            sum += unit * double.Parse(match.Groups["number"].Captures[i].Value, CultureInfo.InvariantCulture);
        }

        return sum;
    }

    [GeneratedRegex(@"^(?:(?<number>\d+(?:\.\d+)?)(?<unit>ms|s|m|h))+$")]
    private static partial Regex Grammar { get; }
}
