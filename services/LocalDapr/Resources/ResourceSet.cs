using SpegelDapr.LocalDapr.PubSub;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>What the resource files of an app say, as far as its scopes admit the app.</summary>
/// <param name="Components">The components.</param>
/// <param name="Subscriptions">The declarative subscriptions, in the order of the files.</param>
/// <param name="InboundRetries">The retry policy for deliveries, by the pub/sub component's name.</param>
internal sealed record ResourceSet(
    IReadOnlyList<Component> Components,
    IReadOnlyList<DeclaredSubscription> Subscriptions,
    IReadOnlyDictionary<string, RetryPolicy> InboundRetries);
