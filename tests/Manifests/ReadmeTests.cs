using System.Text.RegularExpressions;

namespace SpegelDapr.Manifests;

/// <summary>README's table of settings is the services' options, no more and no less.</summary>
public sealed partial class ReadmeTests
{
    private static readonly IReadOnlyList<(string[] Names, string Default)> Rows = ReadRows();

    [Fact]
    public void README_lists_each_setting_once()
    {
        var listed = Rows.SelectMany(row => row.Names).Order(StringComparer.Ordinal);
        Assert.Equal(Settings.All.Keys.Order(StringComparer.Ordinal), listed);
    }

    [Fact]
    public void README_tells_the_defaults()
    {
        var wrong =
            from row in Rows
            from name in row.Names
            let value = Settings.All.GetValueOrDefault(name)
            where Literal().Match(row.Default) is { Success: true } literal && Text(value) is { } text && literal.Groups[1].Value != text
            select $"{name} is {Text(value)} and not {row.Default}";
        Assert.Empty(wrong);
    }

    /// <summary>A default as it is written in the table; null where it depends on the machine or is told in words.</summary>
    private static string? Text(object? value) => value switch
    {
        TimeSpan time => time.ToString(time.Milliseconds == 0 ? "c" : @"hh\:mm\:ss\.FFF"),
        bool flag => flag ? "true" : "false",
        int or double => FormattableString.Invariant($"{value}"),
        string { Length: > 0 } text => text,
        _ => null,
    };

    /// <summary>The names and defaults of the rows. In a list of names one that starts with a colon shares the section of the one before.</summary>
    private static List<(string[] Names, string Default)> ReadRows()
    {
        var section = File.ReadAllText(Checkout.Path("README.md")).Split("\n## Settings\n")[1].Split("\n## ")[0];
        return
        [
            .. from line in section.Split('\n')
               where line.StartsWith("| `", StringComparison.Ordinal)
               let cells = line.Split('|')
               select (ReadNames(cells[1]), cells[2].Trim()),
        ];
    }

    private static string[] ReadNames(string cell)
    {
        var names = new List<string>();
        foreach (var name in Quoted().Matches(cell).Select(match => match.Groups[1].Value))
        {
            if (ListItem().IsMatch(name))
            {
                // The first item names the list, further ones only show the form.
                names.AddRange(name.StartsWith(':') ? [] : [ListItem().Replace(name, "")]);
            }
            else
            {
                names.Add(name.StartsWith(':') ? names[^1][..names[^1].LastIndexOf(':')] + name : name);
            }
        }

        return [.. names];
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\A`([^`]+)`\z")]
    private static partial Regex Literal();

    [GeneratedRegex(@":\d+\z")]
    private static partial Regex ListItem();
}
