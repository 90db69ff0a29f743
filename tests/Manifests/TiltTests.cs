using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace SpegelDapr.Manifests;

/// <summary>The local loop names what is there. There is no Tilt here that could run it.</summary>
public sealed partial class TiltTests
{
    private static readonly string Tiltfile = File.ReadAllText(Checkout.Path("tilt/Tiltfile"));

    [Fact]
    public void The_kind_cluster_has_the_zones_of_the_overlays_with_two_nodes_each()
    {
        var zones = Directory.GetFiles(Checkout.Path("k8s/zones"), "zone.yaml", SearchOption.AllDirectories)
            .Select(file => Assert.Single(StrictYaml.ReadNodes(File.ReadAllText(file))))
            .Select(zone => ((string?)zone["region"], (string?)zone["metadata"]!["name"]));
        var workers = Read("tilt/kind.yaml").Single()["nodes"]!.AsArray()
            .Where(node => (string?)node!["role"] == "worker")
            .GroupBy(node => ((string?)node!["labels"]!["topology.kubernetes.io/region"], (string?)node["labels"]!["topology.kubernetes.io/zone"]))
            .ToDictionary(group => group.Key, group => group.Count());

        Assert.Equal(zones.Order(), workers.Keys.Order());
        Assert.All(workers.Values, count => Assert.Equal(2, count));
    }

    [Fact]
    public void Each_overlay_is_that_of_a_mode() =>
        Assert.Equal(
            Directory.GetDirectories(Checkout.Path("k8s/overlays")).Select(Path.GetFileName).Order(),
            OverlayOfMode().Matches(Tiltfile).Select(match => match.Groups[1].Value).Distinct().Order());

    [Fact]
    public void The_images_it_builds_are_those_of_the_manifests()
    {
        var images = Read("k8s/base/kustomization.yaml").Single()["images"]!.AsArray().Select(image => (string)image!["newName"]!);

        Assert.All(images, image => Assert.StartsWith(Constant("IMAGES"), image, StringComparison.Ordinal));
        Assert.Equal("spegel-dapr", Constant("NAMESPACE"));
    }

    [Fact]
    public void What_components_find_on_a_laptop_is_in_the_cluster()
    {
        var components = string.Concat(Directory.GetFiles(Checkout.Path("components"), "*.yaml", SearchOption.AllDirectories).Select(File.ReadAllText));
        var addresses = Address().Matches(Tiltfile).ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);
        var services = Directory.GetFiles(Checkout.Path("tilt/backends"))
            .SelectMany(file => StrictYaml.ReadNodes(File.ReadAllText(file)))
            .Where(document => (string?)document["kind"] == "Service")
            .Select(service => $"{service["metadata"]!["name"]}:{service["spec"]!["ports"]!.AsArray().Single()!["port"]}");

        Assert.All(addresses.Keys, address => Assert.Contains($"value: {address}\n", components, StringComparison.Ordinal));
        Assert.Equal(services.Order(), addresses.Values.Order());
        Assert.DoesNotContain(LaptopAddress().Matches(components).Select(match => match.Value), address => !addresses.ContainsKey(address));
    }

    [Fact]
    public void Each_backend_that_it_takes_is_a_set_with_its_server()
    {
        // What it takes are the files of this directory.
        Assert.Contains("sorted(listdir('backends'))", Tiltfile, StringComparison.Ordinal);
        var backends = Directory.GetFiles(Checkout.Path("tilt/backends")).Select(file => Path.GetFileNameWithoutExtension(file)).ToList();

        Assert.Contains("redis", backends);
        Assert.All(backends, backend => Assert.True(File.Exists(Checkout.Path($"components/{backend}/holder-store.yaml")), backend));
        Assert.All(backends, backend => Assert.Contains(
            Read($"tilt/backends/{backend}.yaml"), document => (string?)document["kind"] == "Deployment" && (string?)document["metadata"]!["name"] == backend));
    }

    /// <summary>Once it parses flags, Tilt takes names of resources only as a setting with <c>args</c> (tilt-dev/tilt, internal/tiltfile/config).</summary>
    [Fact]
    public void It_takes_names_of_resources_and_flags()
    {
        var name = Regex.Match(Tiltfile, @"^config\.define_string_list\('(\w+)', args=True", RegexOptions.Multiline).Groups[1].Value;

        Assert.NotEmpty(name);
        Assert.Contains($"config.set_enabled_resources(settings.get('{name}', []))", Tiltfile, StringComparison.Ordinal);
        Assert.True(Tiltfile.IndexOf("config.define_string_list", StringComparison.Ordinal) < Tiltfile.IndexOf("config.parse()", StringComparison.Ordinal));
    }

    private static IReadOnlyList<JsonNode> Read(string file) => StrictYaml.ReadNodes(File.ReadAllText(Checkout.Path(file)));

    private static string Constant(string name) => Regex.Match(Tiltfile, $"^{name} = '(.*)'$", RegexOptions.Multiline).Groups[1].Value;

    [GeneratedRegex(@"'(?:zone|region)': '([a-z-]+)'")]
    private static partial Regex OverlayOfMode();

    [GeneratedRegex(@"'(localhost:\d+)': '([a-z]+:\d+)'")]
    private static partial Regex Address();

    [GeneratedRegex(@"localhost:\d+")]
    private static partial Regex LaptopAddress();
}
