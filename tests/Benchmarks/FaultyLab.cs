using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>Two zones whose nodes have slow links and disks of their own, so that storms have a middle and faults a place.</summary>
internal sealed class FaultyLab : IAsyncDisposable
{
    private const int LinkRate = 40;
    private const int SlowPart = 10;

    private readonly ZoneLab _lab;
    private readonly Dictionary<Node, ContentDisk> _disks = [];

    private FaultyLab(ZoneLab lab) => _lab = lab;

    public IReadOnlyList<Node> Nodes => _lab.Cluster.Nodes;

    public static async Task<FaultyLab> StartAsync()
    {
        var lab = new FaultyLab(await StormLab.StartAsync(LinkRate, new LabZone(Location.Parse("north/zone-a"), 5), new LabZone(Location.Parse("north/zone-b"), 3)));
        try
        {
            foreach (var node in lab.Nodes)
            {
                lab._disks[node] = await ContentDisk.MountAsync(node);
            }

            await StormLab.WarmUpAsync(lab._lab);
            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>Pushes a new image.</summary>
    public Task<TestImage> PushAsync(IReadOnlyList<long> layerSizes) => _lab.Cluster.Images.PushAsync(layerSizes);

    /// <summary>Deletes an image that is on no node any more.</summary>
    public void Remove(TestImage image) => _lab.Cluster.Registry.Remove(image);

    /// <summary>Has a fault happen to a node that pulls this image, or has it.</summary>
    public Task StrikeAsync(Fault fault, TestImage image) => fault.Kind switch
    {
        FaultKind.BlobKilled => fault.Node.Blob.KillAsync(),
        FaultKind.LinkCut => _lab.CutAsync(fault.Node),
        FaultKind.ZoneCut => _lab.CutAsync(ZoneOf(fault)),
        FaultKind.LinkSlow => _lab.LimitAsync(fault.Node, LinkRate / SlowPart),
        FaultKind.DiskFull => _disks[fault.Node].FillAsync(fault.Bytes),
        FaultKind.ResolverKilled => ZoneOf(fault).Resolver.KillAsync(),
        _ => CorruptAsync(fault, image),
    };

    /// <summary>Ends it.</summary>
    public Task MendAsync(Fault fault) => fault.Kind switch
    {
        FaultKind.BlobKilled => fault.Node.Blob.RestartAsync(),
        FaultKind.LinkCut => _lab.JoinAsync(fault.Node),
        FaultKind.ZoneCut => _lab.JoinAsync(ZoneOf(fault)),
        FaultKind.LinkSlow => _lab.LimitAsync(fault.Node, LinkRate),
        FaultKind.DiskFull => _disks[fault.Node].EmptyAsync(),
        FaultKind.ResolverKilled => ZoneOf(fault).Resolver.RestartAsync(),
        _ => Task.CompletedTask,
    };

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Task.WhenAll(_disks.Values.Select(disk => disk.DisposeAsync().AsTask()));
        }
        finally
        {
            await _lab.DisposeAsync();
        }
    }

    private static Task CorruptAsync(Fault fault, TestImage image)
    {
        var layer = image.Layers.ElementAt((int)(fault.Bytes % image.Layers.Count()));
        Rot.FlipByte(fault.Node.Containerd.BlobPath(layer.Digest.ToString()), fault.Bytes % layer.Size);
        return Task.CompletedTask;
    }

    private Zone ZoneOf(Fault fault) => _lab.Cluster.Zones.Single(zone => zone.Nodes.Contains(fault.Node));
}
