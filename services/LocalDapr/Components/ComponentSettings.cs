using System.Globalization;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>
/// A component's metadata for one app: names in any case, and Dapr's templates filled in (dapr/pkg/runtime/meta): <c>{uuid}</c> afresh at
/// each place and start, <c>{appID}</c>, <c>{namespace}</c> and <c>{podName}</c>.
/// </summary>
internal sealed class ComponentSettings
{
    private readonly Dictionary<string, string> _values = new(StringComparer.OrdinalIgnoreCase);

    public ComponentSettings(Component component, AppSpec app)
    {
        Component = component;
        AppId = app.AppId;
        foreach (var (name, value) in component.Metadata)
        {
            _values[name] = Fill(name, value, app);
        }
    }

    public Component Component { get; }

    public string AppId { get; }

    /// <summary>The consumer group of a pub/sub component: the app's id unless the metadata says otherwise.</summary>
    public string ConsumerId => Text("consumerID").Trim() is { Length: > 0 } id ? id : AppId;

    public string Text(string name, string otherwise = "") => _values.TryGetValue(name, out var value) && value.Length > 0 ? value : otherwise;

    public int Number(string name, int otherwise) =>
        Text(name) is not { Length: > 0 } text ? otherwise
        : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number
        : throw new LocalDaprException($"Component {Component.Name}: {name} is '{text}': give a whole number.");

    public TimeSpan Duration(string name, TimeSpan otherwise) => GoDuration.Parse(Text(name), otherwise, $"Component {Component.Name}: {name}");

    private string Fill(string name, string value, AppSpec app)
    {
        while (value.IndexOf("{uuid}", StringComparison.Ordinal) is var at and >= 0)
        {
            value = string.Concat(value.AsSpan(0, at), Guid.NewGuid().ToString(), value.AsSpan(at + "{uuid}".Length));
        }

        if (value.Contains("{podName}", StringComparison.Ordinal))
        {
            var pod = app.PodName ?? throw new LocalDaprException($"Component {Component.Name}: {name} refers to {{podName}}, but POD_NAME is not set.");
            value = value.Replace("{podName}", pod, StringComparison.Ordinal);
        }

        return value
            .Replace("{namespace}", $"{app.Namespace ?? AppSpec.DefaultNamespace}.{app.AppId}", StringComparison.Ordinal)
            .Replace("{appID}", app.AppId, StringComparison.Ordinal);
    }
}
