using System.Globalization;
using k8s.Models;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Publishing;
using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;
using Options = Microsoft.Extensions.Options.Options;

namespace SpegelDapr.Manifests;

/// <summary>What holds for each overlay.</summary>
public sealed class OverlayTests
{
    private const string Component = "app.kubernetes.io/component";
    private const string ZoneLabel = "topology.kubernetes.io/zone";
    private const string Placement = "dapr.io/placement-host-address";
    private const string Scheduler = "dapr.io/scheduler-host-address";
    private const int BlobPort = 5000;
    private const int SidecarPort = 50002;

    /// <summary>What Dapr's injector reads, of that which is used here (dapr/dapr, pkg/injector/annotations, 1.15 to 1.18).</summary>
    private static readonly string[] KnownAnnotations =
    [
        "dapr.io/enabled", "dapr.io/app-id", "dapr.io/app-port", "dapr.io/config", "dapr.io/enable-metrics", "dapr.io/metrics-port", "dapr.io/log-level",
        "dapr.io/sidecar-cpu-request", "dapr.io/sidecar-cpu-limit", "dapr.io/sidecar-memory-request", "dapr.io/sidecar-memory-limit",
        "dapr.io/block-shutdown-duration", Placement, Scheduler,
    ];

    private static readonly string[] Names = [.. Directory.GetDirectories(Checkout.Path("k8s/overlays")).Select(directory => $"overlays/{Path.GetFileName(directory)}").Order()];

    public static TheoryData<string> Overlays { get; } = [.. Names];

    public static TheoryData<string> Everything { get; } = [.. Names, "cleanup"];

    [KubectlTheory]
    [MemberData(nameof(Everything))]
    public async Task No_container_can_do_more_than_it_must(string directory)
    {
        foreach (var (pod, container) in (await Rendered.KustomizeAsync(directory)).Containers)
        {
            Assert.Null(pod.HostNetwork);
            Assert.Null(pod.HostPID);
            Assert.Null(pod.HostIPC);
            Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
            Assert.True(container.SecurityContext.ReadOnlyRootFilesystem);
            Assert.False(container.SecurityContext.AllowPrivilegeEscalation);
            Assert.Null(container.SecurityContext.Privileged);
            Assert.Equal(["ALL"], container.SecurityContext.Capabilities.Drop);
            Assert.Equal(IsNodeSetup(container) ? ["DAC_OVERRIDE", "FOWNER"] : null, container.SecurityContext.Capabilities.Add);
            Assert.Contains("memory", container.Resources.Limits.Keys);
            Assert.Contains("cpu", container.Resources.Requests.Keys);
            Assert.True(IsRootsWork(container) ? container.SecurityContext.RunAsUser == 0 : container.SecurityContext is { RunAsNonRoot: true, RunAsUser: > 0 });
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Everything))]
    public async Task The_sidecar_inherits_no_user_and_can_be_restarted(string directory)
    {
        // daprd has runAsNonRoot, and is asked to exit when a zone comes into reach.
        foreach (var (_, pod) in (await Rendered.KustomizeAsync(directory)).Pods)
        {
            Assert.Null(pod.Spec.SecurityContext.RunAsUser);
            Assert.True(pod.Spec.RestartPolicy is null or "Always");
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Everything))]
    public async Task Workloads_select_their_own_pods(string directory)
    {
        var rendered = await Rendered.KustomizeAsync(directory);
        var selectors = rendered.All<V1DaemonSet>().Select(set => (set.Spec.Selector, set.Spec.Template))
            .Concat(rendered.All<V1Deployment>().Select(set => (set.Spec.Selector, set.Spec.Template))).ToList();
        Assert.NotEmpty(selectors);
        foreach (var (selector, own) in selectors)
        {
            Assert.Equal([own], rendered.Pods.Select(pod => pod.Pod).Where(pod => Selects(selector, pod)));
        }

        foreach (var budget in rendered.All<V1PodDisruptionBudget>())
        {
            var deployment = Assert.Single(rendered.All<V1Deployment>(), deployment => Selects(budget.Spec.Selector, deployment.Spec.Template));
            Assert.Equal(deployment.Metadata.Name, budget.Metadata.Name);
            Assert.True(deployment.Spec.Replicas > int.Parse(budget.Spec.MaxUnavailable, CultureInfo.InvariantCulture));
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task A_node_that_goes_takes_one_resolver_of_its_zone_and_not_for_long(string overlay)
    {
        foreach (var pod in (await Rendered.KustomizeAsync(overlay)).All<V1Deployment>().Select(deployment => deployment.Spec.Template))
        {
            var spread = Assert.Single(pod.Spec.TopologySpreadConstraints);
            Assert.True(Selects(spread.LabelSelector, pod));
            Assert.Equal(("kubernetes.io/hostname", 1, "DoNotSchedule"), (spread.TopologyKey, spread.MaxSkew, spread.WhenUnsatisfiable));
            // Otherwise pods of the former revision count in a rollout, and a node that takes none keeps the others from taking a second one.
            Assert.Equal(["pod-template-hash"], spread.MatchLabelKeys);
            Assert.Equal("Honor", spread.NodeTaintsPolicy);
            Assert.All(["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"], taint => Assert.Contains(
                pod.Spec.Tolerations, toleration => toleration is { OperatorProperty: "Exists", Effect: "NoExecute", TolerationSeconds: 30 } && toleration.Key == taint));
        }
    }

    /// <summary>A blank keeps Dapr's injector from its default, and daprd from a connection (dapr/dapr 1.15 to 1.18, pkg/injector/patcher).</summary>
    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Sidecars_are_connected_to_nothing_that_is_not_used(string overlay) => Assert.All(
        (await Rendered.KustomizeAsync(overlay)).Pods,
        pod => Assert.All([Placement, Scheduler], address => Assert.Equal(" ", pod.Pod.Metadata.Annotations[address])));

    /// <summary>While the sidecar waits its pod does not end, and so the next one of the node does not start.</summary>
    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task A_sidecar_waits_just_for_discovery_to_leave(string overlay) => Assert.All(
        (await Rendered.KustomizeAsync(overlay)).All<V1DaemonSet>(),
        set => Assert.Equal($"{Announcer.LeavingBudget.TotalSeconds:0}s", set.Spec.Template.Metadata.Annotations["dapr.io/block-shutdown-duration"]));

    [KubectlTheory]
    [MemberData(nameof(Everything))]
    public async Task Objects_are_in_the_namespace_that_is_made_for_them(string directory)
    {
        var rendered = await Rendered.KustomizeAsync(directory);
        var name = Assert.Single(rendered.All<V1Namespace>()).Metadata.Name;
        Assert.All(
            rendered.Objects.Where(thing => thing is not (V1Namespace or V1ClusterRole or V1ClusterRoleBinding)), thing => Assert.Equal(name, thing.Metadata.NamespaceProperty));
        Assert.All(rendered.All<V1ClusterRoleBinding>(), binding => Assert.Equal(name, Assert.Single(binding.Subjects).NamespaceProperty));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task The_network_reaches_blob_alone_and_blob_reaches_no_socket(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var (pod, container) in rendered.Containers)
        {
            var mounts = (container.VolumeMounts ?? []).ToDictionary(mount => mount, mount => pod.Volumes.Single(volume => volume.Name == mount.Name).HostPath);
            var sees = mounts.Where(mount => mount.Value is { } host && "/run/containerd/containerd.sock".StartsWith(host.Path + "/", StringComparison.Ordinal)).ToList();
            // Its directory, at the same place: the socket itself would be the one of the containerd that made it.
            Assert.Equal(container.Name is "discovery" or "configure" ? [("/run/containerd", "/run/containerd")] : [], sees.Select(mount => (mount.Key.MountPath, mount.Value.Path)));
            Assert.All(mounts, mount => Assert.True(mount.Key.ReadOnlyProperty == true || (container.Name == "configure" && mount.Value?.Path is null or "/etc/containerd/certs.d")));
            Assert.All(container.Ports ?? [], port => Assert.True(port.HostPort is null || container.Name == "blob"));
            if (container.Name == "blob")
            {
                Assert.Equal("Directory", Assert.Single(mounts).Value.Type);
            }
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Each_pod_has_one_sidecar_with_the_app_id_of_its_zone(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var (name, pod) in rendered.Pods)
        {
            var annotations = pod.Metadata.Annotations.Where(annotation => annotation.Key.StartsWith("dapr.io/", StringComparison.Ordinal)).ToDictionary();
            Assert.Subset(KnownAnnotations.ToHashSet(), annotations.Keys.ToHashSet());
            Assert.Equal("true", annotations["dapr.io/enabled"]);
            var zone = Assert.Single(ZonesOf(pod.Spec));
            var isNode = pod.Metadata.Labels[Component] == "node";
            Assert.Equal(isNode ? DaprNames.Discovery(zone) : DaprNames.Resolver(zone), annotations["dapr.io/app-id"]);
            // Nobody may reach discovery through its sidecar.
            Assert.Equal(isNode ? null : "5020", annotations.GetValueOrDefault("dapr.io/app-port"));
            Assert.Equal(isNode ? ["discovery", "blob"] : ["resolver"], pod.Spec.Containers.Select(container => container.Name));
            Assert.EndsWith("-" + zone, name, StringComparison.Ordinal);
            Assert.DoesNotContain(pod.Spec.Containers.SelectMany(container => container.Ports ?? []), port => port.ContainerPort is 3500 or 3501 or 9090 or 50001 or SidecarPort);
        }

        Assert.Equal(
            rendered.All<V1DaemonSet>().SelectMany(set => ZonesOf(set.Spec.Template.Spec)), rendered.All<V1Deployment>().SelectMany(set => ZonesOf(set.Spec.Template.Spec)));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task A_resolver_answers_the_nodes_of_its_zone_alone(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        DaprConfigurationSpec ConfigurationOf(V1PodTemplateSpec pod) =>
            Assert.Single(rendered.All<DaprConfiguration>(), configuration => configuration.Metadata.Name == pod.Metadata.Annotations["dapr.io/config"]).Spec;
        foreach (var resolver in rendered.All<V1Deployment>())
        {
            var nodes = Assert.Single(rendered.All<V1DaemonSet>(), set => ZonesOf(set.Spec.Template.Spec).SequenceEqual(ZonesOf(resolver.Spec.Template.Spec)));
            var control = ConfigurationOf(resolver.Spec.Template).AccessControl!;
            var policy = Assert.Single(control.Policies);
            Assert.Equal(("deny", "deny"), (control.DefaultAction, policy.DefaultAction));
            Assert.Equal((nodes.Spec.Template.Metadata.Annotations["dapr.io/app-id"], nodes.Metadata.NamespaceProperty), (policy.AppId, policy.Namespace));
            Assert.NotEmpty(policy.Operations);
            var ofNodes = ConfigurationOf(nodes.Spec.Template).AccessControl!;
            Assert.Equal(("deny", policy.TrustDomain), (ofNodes.DefaultAction, ofNodes.TrustDomain));
            Assert.Empty(ofNodes.Policies ?? []);
        }

        // There would be a series for each path, and so for each node and digest.
        Assert.All(rendered.Pods, pod => Assert.False(ConfigurationOf(pod.Pod).Metrics.Http.IncreasedCardinality));
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Settings_exist_and_are_right(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var container in rendered.Pods.SelectMany(pod => pod.Pod.Spec.Containers))
        {
            var environment = rendered.Environment(container);
            Assert.All(environment.Keys, name => Assert.True(name is "POD_IP" or "HOST_IP" || Settings.IsVariable(name), name));
            Assert.DoesNotContain(environment.Values, value => value.Contains("$(", StringComparison.Ordinal));
            var configuration = rendered.Configuration(container);
            AssertRight(configuration);

            Assert.Equal(environment.GetValueOrDefault("Zones__Mode"), overlay.Split('/', '-')[1]);
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Settings_are_right_on_a_node_of_IPv6_alone(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var pod in rendered.All<V1DaemonSet>().Select(set => set.Spec.Template.Spec))
        {
            foreach (var container in pod.Containers)
            {
                var configuration = rendered.Configuration(container, Rendered.IPv6Fields);
                AssertRight(configuration);

                Assert.Equal($"http://[fd00:0:0:7::8]:{BlobPort}", BlobAddress.ParseSetting(configuration["Node:Address"]!).ToString());
            }

            var blob = rendered.Configuration(pod.Containers.Single(container => container.Name == "blob"), Rendered.IPv6Fields);
            Assert.Equal("fd00::3", blob["Blob:Clients:0"]);
            Assert.StartsWith("http://[fd00::3]:", BlobAddress.ParseSetting(blob["Blob:MirrorAddress"]!).ToString(), StringComparison.Ordinal);
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task A_node_is_told_who_and_where_it_is(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var pod in rendered.All<V1DaemonSet>().Select(set => set.Spec.Template.Spec))
        {
            foreach (var container in pod.Containers)
            {
                var node = rendered.Options<NodeOptions>(container);
                Assert.Equal("worker-1", node.Name);
                Assert.Equal($"http://{Rendered.PodAddress}:{BlobPort}", node.Address);
                // Its region and zone come from its labels.
                Assert.Null(rendered.Configuration(container)["Node:Zone"]);
                Assert.Null(rendered.Configuration(container)["Kubernetes:Enabled"]);
            }

            var blob = pod.Containers.Single(container => container.Name == "blob");
            Assert.Contains(rendered.Options<BlobOptions>(blob).Clients, client => client == Rendered.HostAddress.ToString());
            var port = Assert.Single(blob.Ports, port => port.HostPort is not null);
            Assert.Equal(BlobPort, port.ContainerPort);
            Assert.Equal($"http://{Rendered.HostAddress}:{port.HostPort}", rendered.Options<BlobOptions>(blob).MirrorAddress);
            var configure = Assert.Single(pod.InitContainers);
            Assert.Contains("--node=worker-1", configure.Args.Select(argument => Rendered.Expand(argument, rendered.Environment(configure))));
            var discovery = pod.Containers.Single(container => container.Name == "discovery");
            Assert.Contains($"--problems={rendered.Environment(discovery)["Discovery__ProblemsPath"]}", configure.Args);
            Assert.Contains($"--mirror=http://{Rendered.HostAddress}:{port.HostPort}", configure.Args.Select(argument => Rendered.Expand(argument, rendered.Environment(configure))));
        }
    }

    [KubectlTheory]
    [InlineData("overlays/isolated-zone", false, false)]
    [InlineData("overlays/isolated-region", true, false)]
    [InlineData("overlays/preferred", true, true)]
    [InlineData("overlays/adaptive", true, true)]
    public async Task A_resolver_hears_what_its_mode_lets_it(string overlay, bool hearsRegion, bool hearsWorld)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var container in rendered.All<V1Deployment>().Select(set => Assert.Single(set.Spec.Template.Spec.Containers)))
        {
            var resolver = rendered.Options<ResolverOptions>(container);
            var (neighbour, stranger) = (Location.Parse($"{resolver.Region}/neighbour"), Location.Parse("elsewhere/far"));
            var reach = new Reach(Options.Create(resolver), Options.Create(rendered.Options<ZoneOptions>(container)), NullLogger<Reach>.Instance);
            reach.Seen([neighbour, stranger]);
            Assert.Contains(resolver.Location, reach.Locations);
            Assert.Equal(hearsRegion, reach.Locations.Contains(neighbour));
            Assert.Equal(hearsWorld, reach.Locations.Contains(stranger));
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Accounts_may_read_nodes_and_say_on_one_what_is_wrong_and_nothing_else(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var (_, pod) in rendered.Pods)
        {
            var isNode = pod.Metadata.Labels[Component] == "node";
            var account = Assert.Single(rendered.All<V1ServiceAccount>(), account => account.Metadata.Name == pod.Spec.ServiceAccountName);
            var binding = Assert.Single(rendered.All<V1ClusterRoleBinding>(), binding => binding.Subjects.Any(subject => subject.Name == account.Metadata.Name));
            var rules = Assert.Single(rendered.All<V1ClusterRole>(), role => role.Metadata.Name == binding.RoleRef.Name).Rules;
            Assert.All(rules, rule => Assert.Equal([""], rule.ApiGroups));
            Assert.Equal(
                isNode ? ["nodes: get", "events: create"] : ["nodes: list, watch"], rules.Select(rule => $"{string.Join(", ", rule.Resources)}: {string.Join(", ", rule.Verbs)}"));
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Nodes_ask_each_other_and_their_resolvers_and_nobody_else_does(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var (_, pod) in rendered.Pods)
        {
            var policy = Assert.Single(rendered.All<V1NetworkPolicy>(), policy => Selects(policy.Spec.PodSelector, pod));
            Assert.Equal(["Ingress"], policy.Spec.PolicyTypes);
            var ports = pod.Spec.Containers.SelectMany(container => container.Ports ?? []).ToDictionary(port => port.Name, port => port.ContainerPort);
            var open = policy.Spec.Ingress.SelectMany(rule => rule.Ports, (rule, port) => (From: Assert.Single(rule.FromProperty), Port: PortOf(port))).ToList();
            foreach (var (from, port) in open)
            {
                var isMetrics = port == 9090 || ports.Any(named => named.Value == port && named.Key.EndsWith("-metrics", StringComparison.Ordinal));
                Assert.Equal(isMetrics, from.NamespaceSelector is not null);
                Assert.All(rendered.Pods.Where(_ => !isMetrics), other => Assert.Equal(other.Pod.Metadata.Labels[Component] == "node", Selects(from.PodSelector, other.Pod)));
            }

            int main = pod.Metadata.Labels[Component] == "node" ? BlobPort : SidecarPort;
            Assert.Equal(ports.Values.Append(9090).Append(main).Distinct().Order(), open.Select(rule => rule.Port).Order());

            int PortOf(V1NetworkPolicyPort port) => int.TryParse(port.Port, CultureInfo.InvariantCulture, out var number) ? number : ports[port.Port];
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task A_node_runs_its_pod_whatever_happens_to_it(string overlay)
    {
        foreach (var pod in (await Rendered.KustomizeAsync(overlay)).All<V1DaemonSet>().Select(set => set.Spec.Template.Spec))
        {
            Assert.Equal("system-node-critical", pod.PriorityClassName);
            Assert.All(["NoExecute", "NoSchedule"], effect => Assert.Contains(pod.Tolerations, toleration => toleration is { Key: null, OperatorProperty: "Exists" } && toleration.Effect == effect));
        }
    }

    [KubectlTheory]
    [MemberData(nameof(Overlays))]
    public async Task Services_are_probed_where_they_listen_and_have_time_to_learn_where_they_are(string overlay)
    {
        var rendered = await Rendered.KustomizeAsync(overlay);
        foreach (var container in rendered.Pods.SelectMany(pod => pod.Pod.Spec.Containers))
        {
            var telemetry = new Uri(rendered.Environment(container)["Telemetry__Url"].Replace('*', '0')).Port;
            // Liveness is not readiness: a sidecar or a containerd that is away does not come back by a new start.
            Assert.Equal(("/healthz", "/healthz", "/readyz"), (container.StartupProbe.HttpGet.Path, container.LivenessProbe.HttpGet.Path, container.ReadinessProbe.HttpGet.Path));
            foreach (var probe in new[] { container.StartupProbe, container.LivenessProbe, container.ReadinessProbe })
            {
                Assert.Equal(telemetry, Assert.Single(container.Ports, port => port.Name == probe.HttpGet.Port).ContainerPort);
            }

            Assert.True(container.StartupProbe.PeriodSeconds * container.StartupProbe.FailureThreshold >= 600);
        }
    }

    [KubectlTheory]
    [InlineData("cleanup")]
    public async Task A_node_needs_no_image_for_it_but_our_own(string directory)
    {
        var images = (await Rendered.KustomizeAsync(directory)).Containers.Select(container => container.Container.Image).Distinct();
        Assert.StartsWith("registry.example/spegel-dapr/cli:", Assert.Single(images), StringComparison.Ordinal);
    }

    [KubectlTheory]
    [InlineData("overlays/preferred")]
    public async Task Monitors_name_ports_that_exist(string overlay)
    {
        var ports = (await Rendered.KustomizeAsync(overlay)).Containers.SelectMany(container => container.Container.Ports ?? []).Select(port => port.Name).ToList();
        var monitor = Assert.IsType<PodMonitor>(Assert.Single(StrictYaml.Read(await File.ReadAllTextAsync(Checkout.Path("k8s/monitoring/pod-monitor.yaml")))));
        Assert.Equal(
            ports.Where(port => port.EndsWith("-metrics", StringComparison.Ordinal)).Distinct().Append("dapr-metrics").Order(),
            monitor.Spec.PodMetricsEndpoints.Select(endpoint => endpoint.Port).Order());
    }

    /// <summary>All sections of a service's settings are what it takes.</summary>
    private static void AssertRight(IConfiguration configuration) => Assert.All(
        configuration.GetChildren().Where(section => Settings.Sections.ContainsKey(section.Key)),
        section => Assert.Empty(((IValidatedOptions)section.Get(Settings.Sections[section.Key])!).Problems()));

    /// <summary>What has to do with files of root's: containerd's socket and configuration.</summary>
    private static bool IsRootsWork(V1Container container) => container.Name is "discovery" || IsNodeSetup(container);

    private static bool IsNodeSetup(V1Container container) => container.Name is "configure" or "cleanup";

    private static bool Selects(V1LabelSelector selector, V1PodTemplateSpec pod) => selector.MatchLabels.All(label => pod.Metadata.Labels.Contains(label));

    private static IEnumerable<string> ZonesOf(V1PodSpec pod) =>
        from term in pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
        from expression in term.MatchExpressions
        where expression is { Key: ZoneLabel, OperatorProperty: "In" }
        from zone in expression.Values
        select zone;
}
