using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob;

/// <summary>Whether blob notices who answers where its node's containerd looks for it.</summary>
public sealed class MirrorAddressWatchTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _time = new();
    private readonly CollectingLogger _log = new();
    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Uri _address = Loopback.FreeUri();
    private WebApplication? _server;
    private volatile string? _answers;
    private int _questions;

    public async Task InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseSetting("urls", _address.ToString());
        _server = builder.Build();
        _server.Run(context =>
        {
            if (_answers is { Length: > 0 } name)
            {
                context.Response.Headers[SpegelHeaders.Holder] = name;
            }

            Interlocked.Increment(ref _questions);
            return Task.CompletedTask;
        });
        await _server.StartAsync();
    }

    public async Task DisposeAsync()
    {
        await _server!.DisposeAsync();
        await _meters.DisposeAsync();
    }

    [Theory]
    [InlineData("node-b", "the mirror of node-b")]
    [InlineData("", "something that is no mirror")]
    public async Task It_is_said_once_that_another_answers_and_once_that_it_is_over(string other, string who)
    {
        using var watch = new MirrorAddressWatch(
            Options.Create(new BlobOptions { MirrorAddress = _address.ToString().TrimEnd('/') }),
            Options.Create(new NodeOptions { Name = "node-a", Address = "http://10.0.0.1:5000" }),
            new BlobMetrics(_meters.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), _time),
            _time,
            _log);
        _answers = "node-a";
        await watch.StartAsync(CancellationToken.None);
        await AskedAsync(2);
        Assert.Empty(_log.Lines);
        Assert.Equal(0, Taken());

        _answers = other;
        await AskedAsync(3);
        Assert.Contains($"answers {who}: ", Assert.Single(_log.Warnings), StringComparison.Ordinal);
        Assert.Equal(1, Taken());

        _answers = "node-a";
        await AskedAsync(2);
        Assert.Equal(2, _log.Lines.Count);
        Assert.Equal(0, Taken());
        await watch.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task That_nobody_answers_tells_nothing()
    {
        await _server!.StopAsync();
        using var watch = new MirrorAddressWatch(
            Options.Create(new BlobOptions { MirrorAddress = _address.ToString().TrimEnd('/') }),
            Options.Create(new NodeOptions { Name = "node-a", Address = "http://10.0.0.1:5000" }),
            new BlobMetrics(_meters.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), _time),
            _time,
            _log);
        await watch.StartAsync(CancellationToken.None);
        for (var minute = 0; minute < 20; minute++)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            await Task.Delay(5);
        }

        Assert.Empty(_log.Lines);
        Assert.False(watch.ExecuteTask!.IsFaulted);
        await watch.StopAsync(CancellationToken.None);
    }

    /// <summary>Lets time pass until it has asked so often, and once more, so that the answer before has been taken.</summary>
    private async Task AskedAsync(int more)
    {
        var until = Volatile.Read(ref _questions) + more;
        for (var deadline = DateTime.UtcNow.AddSeconds(30); Volatile.Read(ref _questions) < until; await Task.Delay(2))
        {
            Assert.True(DateTime.UtcNow < deadline, "It does not ask.");
            _time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    private long Taken()
    {
        long? value = null;
        var factory = _meters.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Name == "spegel_dapr.blob.mirror_address_taken" && instrument.Meter.Scope == factory)
                {
                    self.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<int>((_, measurement, _, _) => value = measurement);
        listener.Start();
        listener.RecordObservableInstruments();
        return value!.Value;
    }
}
