using System.Net.Sockets;
using Grpc.Net.Client;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Cri;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A containerd daemon with a root, a state and a socket of its own, whose pulls go through a mirror by hosts.toml.</summary>
internal sealed class Containerd : IAsyncDisposable
{
    /// <summary>The namespace of Kubernetes' images.</summary>
    public const string Namespace = "k8s.io";

    private static readonly TimeSpan PullBudget = TimeSpan.FromMinutes(3);

    private readonly string _directory;
    private readonly string _config;
    private readonly Machine? _machine;
    private readonly Uri _mirror;
    private ExternalProcess? _daemon;

    public Containerd(string directory, Uri registry, Uri mirror, Machine? on = null)
    {
        _directory = directory;
        _machine = on;
        _mirror = mirror;
        _config = Path.Combine(directory, "containerd.toml");
        File.WriteAllText(_config, ContainerdRelease.Configuration(directory, Socket, Hosts));
        Directory.CreateDirectory(Path.Combine(Hosts, Registry.Host));
        SetUpstream(registry);
    }

    public string Socket => Path.Combine(_directory, "containerd.sock");

    public string ContentPath => Path.Combine(_directory, "root/io.containerd.content.v1.content");

    /// <summary>Its directory of registries.</summary>
    public string Hosts => Path.Combine(_directory, "certs.d");

    /// <summary>Its configuration, read when it starts.</summary>
    public string ConfigFile => _config;

    public string BlobPath(string digest) => Path.Combine(ContentPath, "blobs", digest.Replace(':', '/'));

    /// <summary>How many bytes of downloads that are under way are on disk.</summary>
    public long IngestedBytes => Ingests.Sum(file => file.Exists ? file.Length : 0);

    private IEnumerable<FileInfo> Ingests =>
        Directory.Exists(Path.Combine(ContentPath, "ingest"))
            ? new DirectoryInfo(Path.Combine(ContentPath, "ingest")).EnumerateFiles("data", SearchOption.AllDirectories)
            : [];

    /// <summary>The file of a layer's download that is under way; null when there is none.</summary>
    public FileInfo? IngestOf(Digest layer) => Ingests.FirstOrDefault(file =>
    {
        try
        {
            return File.ReadAllText(Path.Combine(file.DirectoryName!, "ref")).EndsWith($"layer-{layer}", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    });

    /// <summary>Has pulls that begin from now on go there when the mirror has nothing.</summary>
    public void SetUpstream(Uri registry) => File.WriteAllText(Path.Combine(Hosts, Registry.Host, "hosts.toml"), $"""
        server = "{registry}"

        [host."{_mirror}"]
          capabilities = ["pull", "resolve"]
        """);

    public async Task StartAsync()
    {
        _daemon = ExternalProcess.Start("containerd", _directory, ContainerdRelease.Daemon, ["--config", _config], ContainerdRelease.DaemonEnvironment, on: _machine);
        await Eventually.HoldsAsync("containerd answers", async () => (await ExternalProcess.TryRunAsync(ContainerdRelease.Ctr, Ctr("version"))).ExitCode == 0);
    }

    public Task StopAsync() => _daemon!.StopAsync();

    /// <summary>Has it take connections and not answer.</summary>
    public void Freeze() => _daemon!.Freeze();

    /// <summary>Ends <see cref="Freeze"/>.</summary>
    public void Thaw() => _daemon!.Thaw();

    /// <summary>Runs ctr and returns what it printed.</summary>
    public Task<string> CtrAsync(params string[] arguments) => ExternalProcess.RunAsync(ContainerdRelease.Ctr, Ctr(arguments), PullBudget, _machine);

    /// <summary><c>ctr images pull</c>, which unpacks the image too.</summary>
    public Task PullAsync(string image) => CtrAsync("images", "pull", "--hosts-dir", Hosts, image);

    /// <summary><c>ctr content fetch</c>, which does not unpack the image. With <c>--debug</c> it says whom it asks instead of drawing its progress.</summary>
    /// <param name="image">The image.</param>
    /// <param name="cancellation">Kills it: its download stays as it is.</param>
    public Task FetchAsync(string image, CancellationToken cancellation = default) =>
        ExternalProcess.RunAsync(ContainerdRelease.Ctr, ["--debug", .. Ctr("content", "fetch", "--hosts-dir", Hosts, image)], PullBudget, _machine, cancellation);

    /// <summary>Deletes images and collects the garbage. containerd's CRI adds a second record of each, named by its configuration, which must go too.</summary>
    public async Task RemoveAsync(params IReadOnlyCollection<string> images)
    {
        var records = (await CtrAsync("images", "ls")).Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(line => line.Length > 2).ToList();
        var removed = records.Where(record => images.Contains(record[0])).Select(record => record[2]).ToHashSet();
        if (removed.Count > 0)
        {
            await CtrAsync(["images", "rm", "--sync", .. records.Where(record => removed.Contains(record[2])).Select(record => record[0])]);
        }

        await CtrAsync("content", "prune", "references");
    }

    /// <summary>Pulls as the kubelet does.</summary>
    /// <param name="image">The image.</param>
    /// <param name="cancellation">Ends it as a kubelet that hangs up: its download stays as it is.</param>
    public async Task CriPullAsync(string image, CancellationToken cancellation = default)
    {
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = new SocketsHttpHandler
            {
                ConnectCallback = async (_, cancellationToken) =>
                {
                    var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(Socket), cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            },
        });
        var request = new PullImageRequest { Image = new ImageSpec { Image = image } };
        await new ImageService.ImageServiceClient(channel).PullImageAsync(request, deadline: DateTime.UtcNow + PullBudget, cancellationToken: cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        if (_daemon is not null)
        {
            await _daemon.DisposeAsync();
        }
    }

    private string[] Ctr(params string[] arguments) => ["--address", Socket, "--namespace", Namespace, .. arguments];
}
