using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

public sealed class DeliveryFaultsTests
{
    [LocalTheory]
    [OnMemory]
    [OnRedis]
    public async Task Deliveries_are_duplicated_and_reordered_and_none_is_lost(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend, new DeliveryFaults(seed: 1, duplicates: 100, TimeSpan.FromMilliseconds(50)));
        var app = await runtime.StartAppAsync("app", [Runtime.To("orders")]);

        for (var i = 0; i < 20; i++)
        {
            await app.PublishAsync("events", "orders", i);
        }

        var order = new List<string>();
        for (var i = 0; i < 40; i++)
        {
            order.Add((await app.NextAsync()).Text("data"));
        }

        var published = Enumerable.Range(0, 20).Select(i => $"{i}").ToList();
        Assert.All(published, data => Assert.Equal(2, order.Count(received => received == data)));
        Assert.NotEqual(published, order.Distinct());
    }
}
