using SpegelDapr.LocalDapr.Api;
using SpegelDapr.LocalDapr.Components;

namespace SpegelDapr.LocalDapr.State;

/// <summary>
/// What goes before an app's keys in a store, by the component's <c>keyPrefix</c>: <c>appid</c> (the default), <c>name</c>,
/// <c>namespace</c>, <c>none</c>, or a prefix of one's own (dapr/pkg/components/state/state_config.go).
/// </summary>
internal sealed class KeyPrefix
{
    private const string Separator = "||";

    private readonly string _prefix;

    public KeyPrefix(ComponentSettings settings, AppSpec app)
    {
        // The strategy is folded to lower case, and so is a prefix of one's own.
#pragma warning disable CA1308 // It is Dapr's rule, not a comparison.
        var strategy = settings.Text("keyPrefix", "appid").ToLowerInvariant();
#pragma warning restore CA1308
        if (strategy.Contains(Separator, StringComparison.Ordinal))
        {
            throw new LocalDaprException($"Component {settings.Component.Name}: keyPrefix '{strategy}' contains '{Separator}', which Dapr keeps for itself.");
        }

        _prefix = strategy switch
        {
            "none" => "",
            "name" => settings.Component.Name + Separator,
            "appid" => app.AppId + Separator,
            "namespace" => (app.Namespace is { Length: > 0 } name ? $"{name}.{app.AppId}" : app.AppId) + Separator,
            _ => strategy + Separator,
        };
    }

    /// <exception cref="DaprException">The key contains the separator.</exception>
    public string Add(string store, string key) =>
        key.Contains(Separator, StringComparison.Ordinal) ? throw DaprErrors.IllegalKey(store, key) : _prefix + key;
}
