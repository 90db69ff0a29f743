using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Cli;
using SpegelDapr.Cli.NodeSetup.Preflight;
using SpegelDapr.Unit.Resolver;

namespace SpegelDapr.Unit.NodeSetup;

public sealed class CriStatusTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("spegel-dapr-unit-");
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));

    private string Socket => Path.Combine(_directory.FullName, "containerd.sock");

    /// <summary>The statuses are those of containerd 1.7 and of 2.0.</summary>
    [Theory]
    [InlineData("2")]
    [InlineData("14")]
    public async Task A_containerd_that_is_not_initialized_yet_is_waited_for(string status)
    {
        var calls = 0;
        await using var containerd = await StartAsync(() => Interlocked.Increment(ref calls) < 3 ? (status, "server is not initialized yet") : ("12", "unknown method"));

        var error = await Assert.ThrowsAsync<UserErrorException>(ReadAsync);

        Assert.Contains("does not speak CRI v1", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, calls);
    }

    [Fact]
    public async Task A_socket_that_is_not_there_yet_is_waited_for()
    {
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.False(reading.IsCompleted);
        await using var containerd = await StartAsync(() => ("12", "unknown method"));

        var error = await Assert.ThrowsAsync<UserErrorException>(() => reading);

        Assert.Contains("does not speak CRI v1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_that_is_never_there_is_named_after_a_minute()
    {
        var reading = CriStatus.ReadAsync(Socket, _time, TextWriter.Null, CancellationToken.None);
        while (await Task.WhenAny(reading, Task.Delay(TimeSpan.FromMilliseconds(10))) != reading)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        var error = await Assert.ThrowsAsync<ContainerdSilentException>(() => reading);
        Assert.StartsWith($"{Socket} has not answered for 60 s (it does not exist)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_even_a_directory_is_not_waited_for() => Assert.Contains(
        "its directory does not exist",
        (await Assert.ThrowsAsync<UserErrorException>(() => CriStatus.ReadAsync("/none/containerd.sock", _time, TextWriter.Null, CancellationToken.None))).Message,
        StringComparison.Ordinal);

    public void Dispose() => _directory.Delete(recursive: true);

    private Task<ContainerdSettings> ReadAsync() => _time.RunAsync(CriStatus.ReadAsync(Socket, _time, TextWriter.Null, CancellationToken.None));

    /// <summary>Stands for containerd, and answers each call by a gRPC status and its message.</summary>
    private async Task<WebApplication> StartAsync(Func<(string Status, string Message)> answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(options => options.ListenUnixSocket(Socket, listen => listen.Protocols = HttpProtocols.Http2));
        var server = builder.Build();
        server.Run(context =>
        {
            var (status, message) = answer();
            context.Response.ContentType = "application/grpc";
            (context.Response.Headers["grpc-status"], context.Response.Headers["grpc-message"]) = (status, message);
            return Task.CompletedTask;
        });
        await server.StartAsync();
        return server;
    }
}
