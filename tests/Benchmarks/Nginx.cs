using System.Globalization;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.Benchmarks;

/// <summary>nginx, which serves a directory with and without sendfile, and proxies to itself without buffering.</summary>
internal sealed class Nginx : IAsyncDisposable
{
    private readonly ExternalProcess _server;

    private Nginx(ExternalProcess server, int sendfile, int buffered, int proxy) =>
        (_server, Sendfile, Buffered, Proxy) = (server, new Uri($"http://127.0.0.1:{sendfile}/"), new Uri($"http://127.0.0.1:{buffered}/"), new Uri($"http://127.0.0.1:{proxy}/"));

    /// <summary>Serves with sendfile.</summary>
    public Uri Sendfile { get; }

    /// <summary>Serves through buffers of 256 KiB.</summary>
    public Uri Buffered { get; }

    /// <summary>Passes on what <see cref="Buffered"/> serves.</summary>
    public Uri Proxy { get; }

    /// <summary>The processes that serve.</summary>
    public IReadOnlyList<int> Workers =>
        [.. File.ReadAllText($"/proc/{_server.Id}/task/{_server.Id}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture))];

    public static async Task<Nginx> StartAsync(TestDirectory directory, string root)
    {
        var (sendfile, buffered, proxy) = (FreePorts.Next(), FreePorts.Next(), FreePorts.Next());
        var home = directory.Sub("nginx");
        var config = Path.Combine(home, "nginx.conf");
        await File.WriteAllTextAsync(config, $$"""
            user root;
            daemon off;
            worker_processes 2;
            pid {{home}}/nginx.pid;
            error_log stderr warn;
            events { worker_connections 128; }
            http {
              access_log off;
              client_body_temp_path {{home}}/body; proxy_temp_path {{home}}/proxy; fastcgi_temp_path {{home}}/fastcgi; uwsgi_temp_path {{home}}/uwsgi; scgi_temp_path {{home}}/scgi;
              server { listen 127.0.0.1:{{sendfile}}; root {{root}}; sendfile on; tcp_nopush on; sendfile_max_chunk 2m; }
              server { listen 127.0.0.1:{{buffered}}; root {{root}}; sendfile off; output_buffers 2 256k; }
              server { listen 127.0.0.1:{{proxy}}; location / { proxy_pass http://127.0.0.1:{{buffered}}; proxy_http_version 1.1; proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 8 256k; proxy_busy_buffers_size 512k; } }
            }
            """);
        var server = ExternalProcess.Start("nginx", home, "/usr/sbin/nginx", ["-c", config, "-p", home]);
        var nginx = new Nginx(server, sendfile, buffered, proxy);
        using var http = new HttpClient();
        await Eventually.HoldsAsync("nginx answers", async () =>
        {
            using var response = await http.GetAsync(nginx.Proxy);
            return true;
        });
        return nginx;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();
}
