using System.Collections;
using System.Reflection;
using SpegelDapr.Blob;
using SpegelDapr.Discovery;
using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Manifests;

/// <summary>All settings of all services, by their options classes.</summary>
internal static class Settings
{
    /// <summary>The listeners, which are read before there are options.</summary>
    private static readonly string[] Listeners = ["App:Url", "Telemetry:Url"];

    private static readonly Assembly[] Services =
        [typeof(BlobService).Assembly, typeof(DiscoveryService).Assembly, typeof(ResolverService).Assembly, typeof(IValidatedOptions).Assembly];

    /// <summary>The options class of each section.</summary>
    public static IReadOnlyDictionary<string, Type> Sections { get; } = Services
        .SelectMany(assembly => assembly.GetTypes())
        .Where(type => type.IsClass && type.IsAssignableTo(typeof(IValidatedOptions)))
        .ToDictionary(type => (string)type.GetField("Section")!.GetValue(null)!);

    /// <summary>Each setting's name, such as <c>Zones:Prices:Second</c>, and its default; that of a list is empty.</summary>
    public static IReadOnlyDictionary<string, object?> All { get; } = Sections
        .SelectMany(section => Of(section.Key, Activator.CreateInstance(section.Value)!))
        .Concat(Listeners.Select(listener => KeyValuePair.Create<string, object?>(listener, null)))
        .ToDictionary();

    /// <summary>Those of them that are lists.</summary>
    public static IReadOnlySet<string> Lists { get; } = All.Where(setting => setting.Value is IList).Select(setting => setting.Key).ToHashSet();

    /// <summary>Whether an environment variable sets one of them.</summary>
    public static bool IsVariable(string variable)
    {
        var name = variable.Replace("__", ":", StringComparison.Ordinal);
        var last = name.LastIndexOf(':');
        return (All.ContainsKey(name) && !Lists.Contains(name)) || (last > 0 && Lists.Contains(name[..last]) && int.TryParse(name[(last + 1)..], out _));
    }

    private static IEnumerable<KeyValuePair<string, object?>> Of(string section, object options)
    {
        foreach (var property in options.GetType().GetProperties().Where(property => property.SetMethod is not null || IsList(property)))
        {
            var (name, value) = ($"{section}:{property.Name}", property.GetValue(options));
            foreach (var setting in IsNested(property) ? Of(name, value!) : [KeyValuePair.Create(name, value)])
            {
                yield return setting;
            }
        }
    }

    private static bool IsList(PropertyInfo property) => property.PropertyType == typeof(IList<string>);

    private static bool IsNested(PropertyInfo property) => property.PropertyType is { IsClass: true } type && type != typeof(string);
}
