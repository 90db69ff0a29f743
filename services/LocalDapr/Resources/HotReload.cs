using System.Threading.Channels;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.PubSub;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>
/// Takes changed resources into a running sidecar as Dapr does (dapr/pkg/runtime/hotreload): a component is ended and made anew, with the subscriptions
/// to it; declarative subscriptions come and go; a component that was left out with its error is tried once a minute; and for another <c>Resiliency</c>
/// Dapr starts its runtime again, which asks the app for its subscriptions. What is not well-formed leaves all as it was. A component that cannot be made
/// ends the sidecar unless it ignores errors, and so does a declarative subscription, which cannot ignore them.
/// </summary>
internal sealed partial class HotReload(
    AppSpec app,
    ResourceFiles files,
    ResourceWatches watches,
    ComponentSet components,
    SubscriptionSet subscriptions,
    TimeProvider time,
    ILogger<HotReload> logger)
{
    /// <summary>The feature's name in a <c>Configuration</c> and in the metadata.</summary>
    public const string Feature = "HotReload";

    /// <summary>A file is written in several steps, and some files are written together.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(100);

    /// <summary>Watches and reloads until cancelled.</summary>
    /// <param name="askApp">Asks the app for its subscriptions and starts them.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="LocalDaprException">A component, or a declarative subscription, could not be made.</exception>
    public async Task RunAsync(Func<Task> askApp, CancellationToken cancellation)
    {
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var watching = watches.Watch(app.ResourcesPaths, () => changes.Writer.TryWrite(true));

        // For what has changed since the sidecar read it.
        changes.Writer.TryWrite(true);
        while (true)
        {
            await WaitAsync(changes.Reader, cancellation);
            ResourceSet resources;
            try
            {
                resources = files.Read(app.ResourcesPaths, app.AppId);
            }
            catch (Exception e) when (e is LocalDaprException or IOException or UnauthorizedAccessException)
            {
                Log.Unreadable(logger, app.AppId, e.Message);
                continue;
            }

            await ReloadComponentsAsync([.. resources.Components, .. app.Components], cancellation);
            await ReloadSubscriptionsAsync(resources.Subscriptions, cancellation);
            if (resources.InboundRetries.Count != subscriptions.Retries.Count || resources.InboundRetries.Except(subscriptions.Retries).Any())
            {
                Log.Restarted(logger, app.AppId);
                subscriptions.SetRetries(resources.InboundRetries);
                await askApp();
            }
        }
    }

    private async Task WaitAsync(ChannelReader<bool> changes, CancellationToken cancellation)
    {
        using var changed = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var change = changes.WaitToReadAsync(changed.Token).AsTask();
        var isChange = await Task.WhenAny(change, Task.Delay(app.ReconcileInterval, time, changed.Token)) == change;
        await changed.CancelAsync();
        cancellation.ThrowIfCancellationRequested();
        if (isChange)
        {
            await Task.Delay(Settling, cancellation);
            changes.TryRead(out _);
        }
    }

    private async Task ReloadComponentsAsync(IReadOnlyList<Component> wanted, CancellationToken cancellation)
    {
        var loaded = components.All.Select(item => item.Component).ToList();
        foreach (var gone in loaded.ExceptBy(wanted.Select(component => component.Name), component => component.Name).ToList())
        {
            Log.Removed(logger, app.AppId, "component", gone.Name);
            await subscriptions.ReloadAsync(gone.Name, () => components.RemoveAsync(gone.Name), cancellation);
        }

        foreach (var component in wanted.Where(component => !loaded.Exists(other => other.IsSame(component))))
        {
            try
            {
                await subscriptions.ReloadAsync(
                    component.Name,
                    async () =>
                    {
                        await components.RemoveAsync(component.Name);
                        await components.AddAsync(component, cancellation);
                    },
                    cancellation);
                Log.Loaded(logger, app.AppId, "component", component.Name);
            }
            catch (LocalDaprException e) when (component.IgnoreErrors)
            {
                Log.LeftOut(logger, app.AppId, component.Name, e.Message);
            }
        }
    }

    private async Task ReloadSubscriptionsAsync(IReadOnlyList<DeclaredSubscription> wanted, CancellationToken cancellation)
    {
        var declared = subscriptions.Declared;
        foreach (var gone in declared.ExceptBy(wanted.Select(subscription => subscription.Name), subscription => subscription.Name))
        {
            Log.Removed(logger, app.AppId, "subscription", gone.Name);
            await subscriptions.WithdrawAsync(gone.Name, cancellation);
        }

        foreach (var subscription in wanted.Where(subscription => !declared.Any(other => other.IsSame(subscription))))
        {
            await subscriptions.DeclareAsync(subscription, cancellation);
            Log.Loaded(logger, app.AppId, "subscription", subscription.Name);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "Changed resources are not taken into the sidecar of {App}: {Reason}")]
        public static partial void Unreadable(ILogger logger, string app, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "The sidecar of {App} has taken in the {Kind} {Name}.")]
        public static partial void Loaded(ILogger logger, string app, string kind, string name);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The sidecar of {App} goes without the component {Name}, as its ignoreErrors says: {Reason}")]
        public static partial void LeftOut(ILogger logger, string app, string name, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "The sidecar of {App} has dropped the {Kind} {Name}.")]
        public static partial void Removed(ILogger logger, string app, string kind, string name);

        [LoggerMessage(Level = LogLevel.Information, Message = "The sidecar of {App} asks for its subscriptions again, since its Resiliency has changed.")]
        public static partial void Restarted(ILogger logger, string app);
    }
}
