using System.Text.Json.Nodes;
using SpegelDapr.Cli.Components;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Manifests;

/// <summary>The Helm chart, held against the overlays.</summary>
public sealed class ChartTests : IDisposable
{
    private const string Zones = "zones: [{ region: eu-west-1, zone: eu-west-1a }, { region: eu-west-1, zone: eu-west-1b }]\n";

    private static readonly string[] HelmsOwn =
        ["helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "checksum/settings", "imagePullPolicy"];

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("spegel-dapr-chart-");

    [HelmTheory]
    [InlineData("overlays/isolated-zone", "mode: isolated\nboundary: zone\n")]
    [InlineData("overlays/isolated-region", "mode: isolated\nboundary: region\n")]
    [InlineData("overlays/preferred", "mode: preferred\n")]
    [InlineData("overlays/adaptive", "mode: adaptive\n")]
    public async Task The_chart_is_the_overlay_of_its_mode(string overlay, string mode)
    {
        var chart = StrictYaml.ReadNodes(await TemplateAsync(mode + Zones + "components: { subscriptions: false }\n"));
        var kustomized = StrictYaml.ReadNodes(await Programs.RunAsync("kubectl", "kustomize", Checkout.Path($"k8s/{overlay}")));
        Assert.Equal(kustomized.Where(node => (string?)node["kind"] != "Namespace").Select(Comparable).Order(), chart.Select(Comparable).Order());
    }

    [HelmTheory]
    [InlineData("preferred", "zone", "crossRegion")]
    [InlineData("adaptive", "zone", "sameRegion")]
    [InlineData("preferred", "zone", "sameZone")]
    [InlineData("isolated", "zone", "crossRegion")]
    [InlineData("isolated", "region", "crossRegion")]
    public async Task Its_components_and_subscriptions_are_for_its_zones_alone(string mode, string boundary, string farthest)
    {
        var values = $"mode: {mode}\nboundary: {boundary}\nsettings: {{ Zones__FarthestTier: {farthest} }}\nzones: [{{ region: eu, zone: a }}, {{ region: us, zone: c }}, {{ region: eu, zone: b }}]\n";
        var scoped = new ScopedResources(ScopedZone.All(
            [Location.Parse("eu/a"), Location.Parse("us/c"), Location.Parse("eu/b")], new ZoneOptions { Mode = mode, Boundary = boundary, FarthestTier = farthest }));
        var written = Directory.EnumerateFiles(Checkout.Path("components/redis"))
            .Append(Checkout.Path("components/common/resiliency.yaml"))
            .SelectMany(scoped.Read)
            .SelectMany(StrictYaml.ReadNodes)
            .ToList();
        var subscriptions = written.Where(node => (string?)node["kind"] == "Subscription");
        await AssertRendersAsync(written, "components: { backend: redis }\n");
        await AssertRendersAsync(subscriptions, "");
        await AssertRendersAsync(written.Except(subscriptions), "components: { backend: redis, subscriptions: false }\n");

        async Task AssertRendersAsync(IEnumerable<JsonNode> expected, string components)
        {
            var rendered = StrictYaml.ReadNodes(await TemplateAsync(values + components)).Where(node => (string?)node["kind"] is "Component" or "Resiliency" or "Subscription").ToList();
            Assert.All(rendered, node => Assert.True(node["metadata"]!.AsObject().Remove("namespace")));
            Assert.Equal(expected.Select(Comparable).Order(), rendered.Select(Comparable).Order());
        }
    }

    [HelmTheory]
    [InlineData("mode: best\n" + Zones, "mode")]
    [InlineData("boundary: planet\n" + Zones, "boundary")]
    [InlineData("mode: preferred\n", "zones is empty")]
    [InlineData("zones: [{ region: eu, zone: a-zone-whose-name-is-too-long-to-be-in-an-app-id-of-dapr }]\n", "zones.0.zone")]
    [InlineData("zones: [{ region: eu, zone: 'a b' }]\n", "zones.0.zone")]
    [InlineData("zones: [{ region: eu, zone: a }, { region: us, zone: a }]\n", "zones has a twice")]
    [InlineData("spegel: { mirroredRegistries: ['https://docker.io/library'] }\n" + Zones, "spegel.mirroredRegistries.0")]
    [InlineData("spegel: { additionalMirrorTargets: ['mirror:5000'] }\n" + Zones, "spegel.additionalMirrorTargets.0")]
    [InlineData("components: { backend: sqlite }\n" + Zones, "components.backend is 'sqlite': give one of ")]
    [InlineData("components: { backend: in-memory }\n" + Zones, "components.backend is 'in-memory': give one of ")]
    [InlineData("spegel: { resolveTag: false }\n" + Zones, "resolveTag")]
    public async Task A_wrong_value_is_named(string values, string name)
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => TemplateAsync(values));
        // Of what the schema finds, newer Helms name the place by slashes.
        Assert.True(
            error.Message.Contains(name, StringComparison.Ordinal) || error.Message.Contains($"'/{name.Replace('.', '/')}'", StringComparison.Ordinal), error.Message);
    }

    [HelmTheory]
    [InlineData(
        """
        spegel:
          logLevel: DEBUG
          mirroredRegistries: [https://docker.io, ghcr.io]
          registryFilters: [":latest$"]
          resolveTags: false
          prependExisting: true
          containerdSock: /run/k3s/containerd/containerd.sock
          additionalMirrorTargets: [http://10.0.0.9:5000]
          containerdRegistryConfigPath: /var/lib/rancher/k3s/agent/etc/containerd/certs.d
        blob: { clients: [10.9.0.0/16] }
        settings: { Zones__Prices__CrossRegion: 0.02, Resolver__MaxHoldersPerKey: 1000000 }
        dapr: { config: tracing }
        serviceMonitor: { enabled: true, relabelings: [{ action: labeldrop, regex: pod }] }
        components:
          backend: redis
          metadata:
            holder-store: { redisHost: "redis:6379", redisPassword: { secretKeyRef: { name: redis, key: password } } }

        """)]
    public async Task Every_value_has_its_place(string values)
    {
        var rendered = new Rendered(StrictYaml.Read(await TemplateAsync(values + Zones)));
        var containers = rendered.Containers.Select(container => container.Container).GroupBy(container => container.Name).ToDictionary(group => group.Key, group => group.First());
        Assert.Equal(
            ["--registry=https://docker.io", "--registry=ghcr.io"], containers["configure"].Args.Where(argument => argument.StartsWith("--registry", StringComparison.Ordinal)));
        Assert.Subset(containers["configure"].Args.ToHashSet(), new HashSet<string>
        {
            "--resolve-tags=false", "--prepend-existing=true", "--mirror=http://10.0.0.9:5000", "--containerd-config=/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        });
        var blob = rendered.Environment(containers["blob"]);
        Assert.Equal("10.9.0.0/16", blob["Blob__Clients__1"]);
        Assert.Equal("ghcr.io", blob["Registries__Mirrored__1"]);
        Assert.Equal(":latest$", blob["Registries__Filters__0"]);
        Assert.Equal("false", blob["Registries__ResolveTags"]);
        Assert.Equal("0.02", blob["Zones__Prices__CrossRegion"]);
        Assert.Equal("1000000", blob["Resolver__MaxHoldersPerKey"]);
        Assert.Equal("Debug", blob["Logging__LogLevel__Default"]);
        Assert.Equal("/run/k3s/containerd/containerd.sock", rendered.Environment(containers["discovery"])["Containerd__Socket"]);
        Assert.Equal(["/run/k3s/containerd"], containers["discovery"].VolumeMounts.Where(mount => mount.Name == "containerd-run").Select(mount => mount.MountPath));
        Assert.All(rendered.Pods, pod => Assert.Equal("tracing", pod.Pod.Metadata.Annotations["dapr.io/config"]));
        Assert.Single(rendered.All<PodMonitor>());
        var store = Assert.Single(rendered.All<DaprComponent>(), component => component.Metadata.Name == "holder-store").Spec.Metadata;
        Assert.Equal("redis:6379", (string?)Assert.Single(store, item => item.Name == "redisHost").Value);
        Assert.Equal(new DaprSecretKeyRef("redis", "password"), Assert.Single(store, item => item.Name == "redisPassword").SecretKeyRef);
    }

    [HelmTheory]
    [InlineData("eu-west-1", "us-east-1")]
    public async Task A_release_for_each_region_stands_beside_the_others(params string[] regions)
    {
        var releases = new List<Rendered>();
        foreach (var region in regions)
        {
            var values = $"mode: isolated\nboundary: region\nnodeSelector: {{ topology.kubernetes.io/region: {region} }}\nzones: [{{ region: {region}, zone: {region}a }}]\n";
            releases.Add(new Rendered(StrictYaml.Read(await TemplateAsync(values, region))));
        }

        Assert.All(releases.Zip(regions), release => Assert.All(
            release.First.Pods, pod => Assert.Equal(release.Second, pod.Pod.Spec.NodeSelector["topology.kubernetes.io/region"])));
        var names = releases.SelectMany(release => release.Objects).Select(thing => $"{thing.Kind} {thing.Metadata.NamespaceProperty}/{thing.Metadata.Name}").ToList();
        Assert.Equal(names.Count, names.Distinct().Count());
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private async Task<string> TemplateAsync(string values, string release = "spegel-dapr")
    {
        var file = Path.Combine(_directory.FullName, "values.yaml");
        await File.WriteAllTextAsync(file, values);
        return await Programs.RunAsync("helm", "template", release, Checkout.Path("k8s/chart/spegel-dapr"), "--namespace", release, "-f", file);
    }

    /// <summary>An object without what differs by nature: Helm's labels, the ConfigMap's name, tags; in one order.</summary>
    private static string Comparable(JsonNode node)
    {
        if ((string?)node["kind"] == "ConfigMap")
        {
            node["metadata"]!.AsObject().Remove("labels");
        }

        return Sort(node)!.ToJsonString();
    }

    private static JsonNode? Sort(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.Where(entry => !HelmsOwn.Contains(entry.Key)).OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => KeyValuePair.Create(entry.Key, Sort(entry.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sort)]),
        JsonValue value when value.TryGetValue(out string? text) && text.StartsWith("registry.example/", StringComparison.Ordinal) => text.Split(':')[0],
        JsonValue value when value.TryGetValue(out string? text) && (text == "spegel-dapr-settings" || text.StartsWith("settings-", StringComparison.Ordinal)) => "settings",
        null => null,
        _ => node.DeepClone(),
    };
}
