using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>Names of nodes in a header, separated by commas.</summary>
internal static class NodeNames
{
    /// <summary>As many names as a header holds: with the longest ones some KiB.</summary>
    public const int Most = 32;

    /// <summary>The header's value.</summary>
    public static string Join(IEnumerable<NodeName> names) => string.Join(',', names.Take(Most));

    /// <summary>The names in an answer's header; what is no name is left out.</summary>
    public static IReadOnlyList<NodeName> In(HttpResponseMessage response, string header)
    {
        var names = new List<NodeName>();
        if (response.Headers.TryGetValues(header, out var values))
        {
            foreach (var text in values.SelectMany(value => value.Split(',', StringSplitOptions.TrimEntries)).Take(Most))
            {
                if (NodeName.TryParse(text, out var name))
                {
                    names.Add(name);
                }
            }
        }

        return names;
    }
}
