using System.Text;
using Tomlyn;
using Tomlyn.Model;
using Tomlyn.Parsing;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>TOML as containerd reads it, which rejects keys that are given twice.</summary>
internal static class StrictToml
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a file.</summary>
    /// <param name="content">What is in it.</param>
    /// <param name="path">Where it is, for the message.</param>
    /// <exception cref="UserErrorException">It is no TOML.</exception>
    public static TomlTable Parse(byte[] content, string path)
    {
        try
        {
            var text = StrictUtf8.GetString(content).TrimStart('\uFEFF');
            SyntaxParser.ParseStrict(text);
            return Ordinary(TomlSerializer.Deserialize<TomlTable>(text) ?? []);
        }
        catch (Exception e) when (e is TomlException or DecoderFallbackException)
        {
            throw new UserErrorException($"'{path}' is not TOML ({FirstLine(e.Message)}): mend or remove it.");
        }
    }

    /// <summary>Writes a file.</summary>
    public static byte[] Write(string comment, TomlTable file) => StrictUtf8.GetBytes(comment + TomlSerializer.Serialize(file));

    /// <summary>
    /// Tables within braces as tables with a header: the former are written before all of the latter, and hosts are tried in the order in which they
    /// are written.
    /// </summary>
    private static TomlTable Ordinary(TomlTable table)
    {
        var ordinary = new TomlTable();
        foreach (var (key, value) in table)
        {
            ordinary[key] = value is TomlTable inner ? Ordinary(inner) : value;
        }

        return ordinary;
    }

    private static string FirstLine(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault("");
}
