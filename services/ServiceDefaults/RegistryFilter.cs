using System.Collections.Frozen;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults;

/// <summary>Decides whose content is shared, by <see cref="RegistryOptions"/>.</summary>
public sealed class RegistryFilter
{
    /// <summary>Null when all registries are mirrored.</summary>
    private readonly FrozenSet<string>? _mirrored;
    private readonly Regex[] _filters;
    private readonly bool _resolveTags;

    /// <summary>The filter of the settings, which have been validated.</summary>
    public RegistryFilter(IOptions<RegistryOptions> options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var (mirrored, filters) = (options.Value.Mirrored, options.Value.Filters);
        _mirrored = mirrored.Count == 0 || mirrored.Any(RegistryOptions.IsWildcard)
            ? null
            : mirrored.Select(RegistryOptions.RegistryOf).ToFrozenSet(StringComparer.OrdinalIgnoreCase);
        _filters = [.. filters.Select(RegistryOptions.ToRegex)];
        _resolveTags = options.Value.ResolveTags;
    }

    /// <summary>Whether the registry, a host with an optional port, is among those mirrored.</summary>
    public bool IsMirrored(string registry) => _mirrored?.Contains(registry) ?? true;

    /// <summary>Whether content of a repository is shared or, with <paramref name="tag"/>, whether that tag is announced and resolved.</summary>
    public bool IsAllowed(string registry, string repository, string? tag = null)
    {
        if (!IsMirrored(registry) || (tag is not null && !_resolveTags))
        {
            return false;
        }

        return !IsFilteredOut($"{registry}/{repository}{(tag is null ? "" : ":" + tag)}");
    }

    /// <summary>Whether an image is shared. By its tag when it has no digest: with both, the digest alone decides what is fetched.</summary>
    public bool IsAllowed(ImageReference reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        return IsAllowed(reference.Registry, reference.Repository, reference.Digest is null ? reference.Tag : null);
    }

    /// <summary>
    /// Whether content is shared that came from a repository of a registry of which only the host is known, without its port. Every
    /// mirrored registry on that host may be meant, so none of them may be filtered out.
    /// </summary>
    public bool IsSourceAllowed(string host, string repository)
    {
        string[] registries = _mirrored is null ? [host] : [.. _mirrored.Where(registry => string.Equals(HostOf(registry), host, StringComparison.OrdinalIgnoreCase))];
        return registries.Length > 0 && !Array.Exists(registries, registry => IsFilteredOut($"{registry}/{repository}"));
    }

    /// <summary>A registry's host: without its port, and without the brackets of an IPv6 address.</summary>
    public static string HostOf(string registry)
    {
        ArgumentNullException.ThrowIfNull(registry);
        return registry.StartsWith('[') ? registry[1..registry.IndexOf(']', StringComparison.Ordinal)] : registry.Split(':')[0];
    }

    private bool IsFilteredOut(string name) => Array.Exists(_filters, filter => filter.IsMatch(name));
}

/// <summary>Adds the registry filter to a service.</summary>
public static class RegistryFilterExtensions
{
    /// <summary>Adds <see cref="RegistryFilter"/> and its settings, which are validated at start.</summary>
    public static IServiceCollection AddRegistryFilter(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<RegistryOptions>().BindConfiguration(RegistryOptions.Section).ValidateProblemsOnStart();
        return services.AddSingleton<RegistryFilter>();
    }
}
