using System.Diagnostics;
using System.Net.Sockets;

namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>A Redis without persistence on a free port, which can be stopped and started again.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private Process? _process;

    /// <summary>The program, or null when it is not installed.</summary>
    public static string? Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(directory => Path.Combine(directory, "redis-server")).FirstOrDefault(File.Exists);

    public int Port { get; } = FreePorts.Next();

    public async Task StartAsync()
    {
        _process = Process.Start(new ProcessStartInfo(
            Program ?? throw new InvalidOperationException("redis-server is not installed."),
            ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"])
        {
            RedirectStandardOutput = true,
        });
        await Eventually.TrueAsync(async () =>
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync("127.0.0.1", Port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        });
    }

    public async Task StopAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            _process = null;
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync();
}
