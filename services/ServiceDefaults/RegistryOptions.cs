using System.Text.RegularExpressions;
using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults;

/// <summary>
/// Which registries' content nodes share (section <c>Registries</c>). Discovery announces nothing else and blob answers nothing else, so
/// both services of a node are given the same.
/// </summary>
public sealed class RegistryOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Registries";

    /// <summary>
    /// The registries that are mirrored: <c>https://docker.io</c> or <c>docker.io</c>, with a port where the image's name has one. Empty, or
    /// with an entry <c>_default</c> or <c>*</c>: all. The same as Spegel's <c>mirroredRegistries</c>.
    /// </summary>
    public IList<string> Mirrored { get; set; } = [];

    /// <summary>
    /// Regular expressions that keep images out, searched for in <c>registry/repository</c> and, where a tag is announced or asked for, in
    /// <c>registry/repository:tag</c>: <c>^ghcr\.io/</c> or <c>:latest$</c>. The same as Spegel's <c>registryFilters</c>. containerd keeps no port with
    /// a layer's registry, so a filter on a registry with a port allows for its absence: <c>^localhost(:5000)?/</c>.
    /// </summary>
    public IList<string> Filters { get; set; } = [];

    /// <summary>Whether tags are announced and resolved, and not digests alone.</summary>
    public bool ResolveTags { get; set; } = true;

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        for (var i = 0; i < Mirrored.Count; i++)
        {
            if (!IsWildcard(Mirrored[i]) && !ImageReference.IsRegistry(RegistryOf(Mirrored[i])))
            {
                yield return $"Registries:Mirrored:{i} is '{Mirrored[i]}': give a registry without a path, such as https://docker.io or ghcr.io, or * for all.";
            }
        }

        for (var i = 0; i < Filters.Count; i++)
        {
            if (WhyNotRegex(Filters[i]) is { } reason)
            {
                yield return $"Registries:Filters:{i} is '{Filters[i]}': give a regular expression without look-around and back-references ({reason}).";
            }
        }
    }

    internal static bool IsWildcard(string entry) => entry is "_default" or "*";

    internal static string RegistryOf(string entry) =>
        entry.StartsWith("https://", StringComparison.Ordinal) ? entry["https://".Length..]
        : entry.StartsWith("http://", StringComparison.Ordinal) ? entry["http://".Length..]
        : entry;

    /// <summary>A filter's regular expression. Without backtracking, as in Spegel, so that the time of a search is linear in the name's length.</summary>
    internal static Regex ToRegex(string filter) => new(filter, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);

    private static string? WhyNotRegex(string filter)
    {
        try
        {
            _ = ToRegex(filter);
            return filter.Length == 0 ? "an empty one keeps everything out" : null;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            return e.Message.TrimEnd('.');
        }
    }
}
