using SpegelDapr.LocalDapr.Components;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>
/// Which topics an app may publish to and subscribe to, by a component's <c>allowedTopics</c>, <c>protectedTopics</c>,
/// <c>publishingScopes</c> and <c>subscriptionScopes</c> (dapr/pkg/scopes and dapr/pkg/runtime/pubsub/adapter.go).
/// </summary>
internal sealed class TopicScopes(ComponentSettings settings)
{
    private readonly HashSet<string> _allowed = Topics(settings.Text("allowedTopics"));
    private readonly HashSet<string> _protected = Topics(settings.Text("protectedTopics"));
    private readonly HashSet<string> _publishing = OfApp(settings.Text("publishingScopes"), settings.AppId);
    private readonly HashSet<string> _subscription = OfApp(settings.Text("subscriptionScopes"), settings.AppId);

    public bool MayPublish(string topic) => May(topic, _publishing);

    public bool MaySubscribe(string topic) => May(topic, _subscription);

    private bool May(string topic, HashSet<string> scoped)
    {
        if (_allowed.Count > 0 && !_allowed.Contains(topic))
        {
            return false;
        }

        return scoped.Count == 0 ? !_protected.Contains(topic) : scoped.Contains(topic);
    }

    private static HashSet<string> Topics(string text) => text.Length == 0 ? [] : [.. text.Replace(" ", "", StringComparison.Ordinal).Split(',')];

    // app1=topic1,topic2;app2=
    private static HashSet<string> OfApp(string text, string appId) =>
        [.. text.Replace(" ", "", StringComparison.Ordinal).Split(';')
            .Select(scope => scope.Split('='))
            .Where(scope => scope.Length >= 2 && scope[0] == appId)
            .SelectMany(scope => scope[1].Split(','))];
}
