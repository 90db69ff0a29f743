using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Simulation;

/// <summary>
/// The nodes of a zone that pull one layer, in virtual time. The classes of blob and resolver are the real ones; what is simulated is HTTP between nodes and to
/// the resolver, links as rates, the registry and containerd. The same plan gives the same run.
/// </summary>
internal sealed class Swarm : IDisposable
{
    /// <summary>A tenth of a rate of 100 Mbit/s needs 10 minutes for the layers of these tests.</summary>
    private static readonly TimeSpan Most = TimeSpan.FromHours(2);

    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly ContentVerifier _verifier;
    private readonly Dictionary<string, Node> _byHost = [];
    private readonly List<Node> _holders = [];
    private readonly Random _random;
    private readonly byte[]? _content;
    private readonly byte[] _shared = new byte[VerifyingReader.HeldBackBytes];
    private readonly HashSet<NodeName> _reported = [];

    private Swarm(SwarmPlan plan, TextWriter? log)
    {
        (Plan, Log) = (plan, log);
        _random = new Random(plan.Seed);
        Registry = new Link(Time, plan.RegistryBytesPerSecond);
        Metrics = new BlobMetrics(_meters.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), Time);
        _verifier = new ContentVerifier(BlobOptions, Metrics, Time, Lifetime, NullLogger<ContentVerifier>.Instance);
        Local = new LocalContent(BlobOptions, _verifier, NullLogger<LocalContent>.Instance);
        if (plan.IsHashed)
        {
            _content = new byte[plan.Bytes];
            _random.NextBytes(_content);
        }

        Digest = Digest.OfSha256(_content ?? []);
        Manifests.Add(new OciManifest { SchemaVersion = 2, Layers = [new OciDescriptor(OciMediaTypes.LayerGzip, Digest, plan.Bytes)] }, registry: null);
        Resolver = new ZoneResolver(this, _meters.GetRequiredService<IMeterFactory>());
        foreach (var (number, node) in plan.Nodes.Index())
        {
            var simulated = new Node(this, number, node);
            Nodes.Add(simulated);
            _byHost[simulated.Identity.Address.Uri.Host] = simulated;
            Resolver.Lease(simulated.Identity, DateTimeOffset.MaxValue);
        }
    }

    public SwarmPlan Plan { get; }

    /// <summary>Where nodes write what they do; null for nowhere.</summary>
    public TextWriter? Log { get; }

    public SwarmResult Result { get; } = new();

    public VirtualTime Time { get; } = new();

    public Digest Digest { get; }

    /// <summary>What the registry sends over.</summary>
    public Link Registry { get; }

    public ZoneResolver Resolver { get; }

    public List<Node> Nodes { get; } = [];

    public BlobMetrics Metrics { get; }

    public ManifestMemory Manifests { get; } = new();

    /// <summary>The disk of each node, on which nothing is: what has come is in memory.</summary>
    public LocalContent Local { get; }

    public IHostApplicationLifetime Lifetime { get; } = new Stopped();

    public IOptions<BlobOptions> BlobOptions { get; } = Options.Create(new BlobOptions { ContentPath = "/nonexistent" });

    /// <summary>Runs it to its end.</summary>
    /// <param name="plan">What is simulated.</param>
    /// <param name="log">Where nodes write what they do; null for nowhere.</param>
    /// <exception cref="TimeoutException">It has none.</exception>
    public static SwarmResult Run(SwarmPlan plan, TextWriter? log = null)
    {
        using var swarm = new Swarm(plan, log);
        var started = Stopwatch.GetTimestamp();
        EventLoop.Run(swarm.Time, () => Task.WhenAll(swarm.Nodes.Select(node => node.PullAsync())), Most);
        swarm.Result.Complete(swarm, Stopwatch.GetElapsedTime(started));
        return swarm.Result;
    }

    public Node NodeAt(string host) => _byHost[host];

    /// <summary>The zone comes to know that a node has the layer.</summary>
    public void Announce(Node node) => _holders.Add(node);

    /// <summary>The holders that the resolver would name: some that count as alive.</summary>
    public IReadOnlyList<Holder> HoldersFor(Node asker) =>
        [.. _holders.Where(node => node != asker).OrderBy(_ => _random.Next()).Take(ResolvedKey.MaxHolders).Select(node => new Holder(node.Identity, Tier.SameZone))];

    /// <summary>A node gives no sign of life any more.</summary>
    public void Died(Node node) => Resolver.Lease(node.Identity, Time.GetUtcNow() + (Resolver.LeaseDuration * _random.NextDouble()));

    /// <summary>The resolver has been asked.</summary>
    public void Asked(FollowRequest question)
    {
        Result.Questions++;
        foreach (var failed in question.Failed.Where(failed => !_byHost[failed.ToString()].IsDead && _reported.Add(failed)))
        {
            Result.Reported.Add(failed.ToString());
        }
    }

    /// <summary>A node begins to get bytes from another, or from the registry.</summary>
    public void Began(Body body)
    {
        if (body.Sender is null)
        {
            Result.RegistryRequests++;
            return;
        }

        var depth = 0;
        for (var at = body.Sender; at is not null && !at.IsComplete; at = at.Source)
        {
            depth++;
            if (at == body.Receiver || depth > Nodes.Count)
            {
                Result.Loops++;
                return;
            }
        }

        Result.Deepest = Math.Max(Result.Deepest, depth);
    }

    /// <summary>A buffer to read into. Where bytes do not matter all share one.</summary>
    public byte[] Rent() => _content is null ? _shared : new byte[VerifyingReader.HeldBackBytes];

    /// <summary>The content's bytes.</summary>
    public void Copy(long offset, Span<byte> target) => _content?.AsSpan((int)offset, target.Length).CopyTo(target);

    /// <summary>Sees to it that these bytes are the content's.</summary>
    public void Check(long offset, ReadOnlySpan<byte> bytes)
    {
        if (_content is not null && !bytes.SequenceEqual(_content.AsSpan((int)offset, bytes.Length)))
        {
            throw new InvalidOperationException($"Wrong bytes from {offset} on.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Nodes.ForEach(node => node.Dispose());
        Resolver.Dispose();
        Manifests.Dispose();
        _verifier.Dispose();
        _meters.Dispose();
    }

    /// <summary>The life of a service that stops, so nothing reads along with what is on no disk.</summary>
    private sealed class Stopped : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping { get; } = new(canceled: true);

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication()
        {
        }
    }
}
