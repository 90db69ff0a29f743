using SpegelDapr.Cli.Components;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.ServiceDefaults;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.EndToEnd;

/// <summary>What <c>spegel-dapr components</c> makes of the project's resources.</summary>
public sealed class ComponentsCommandTests
{
    private static readonly Location[] Locations = [Location.Parse("eu/a"), Location.Parse("eu/b"), Location.Parse("us/c")];

    [Fact]
    public void In_an_isolated_region_resolvers_may_hear_their_region_and_everything_else_is_forbidden()
    {
        var zones = ScopedZone.All(Locations, new ZoneOptions { Mode = "isolated", Boundary = "region" });

        Assert.Equal(
            new Dictionary<string, string>
            {
                ["protectedTopics"] = "layers.eu.a,layers.eu.b,layers.us.c",
                ["publishingScopes"] = "discovery-a=layers.eu.a;resolver-a=;discovery-b=layers.eu.b;resolver-b=;discovery-c=layers.us.c;resolver-c=",
                ["subscriptionScopes"] =
                    "discovery-a=;resolver-a=layers.eu.a,layers.eu.b;discovery-b=;resolver-b=layers.eu.a,layers.eu.b;discovery-c=;resolver-c=layers.us.c",
            },
            new Dictionary<string, string>(TopicScopes.Of(DaprNames.LayerEvents, zones)));
        Assert.Equal(
            "discovery-a=;resolver-a=layer-sync.eu.a,layer-sync.eu.b;discovery-b=;resolver-b=layer-sync.eu.a,layer-sync.eu.b;discovery-c=;resolver-c=layer-sync.us.c",
            new Dictionary<string, string>(TopicScopes.Of(DaprNames.LayerSync, zones))["publishingScopes"]);
    }

    [Fact]
    public void Where_new_zones_may_come_resolvers_are_not_held_to_the_known_ones()
    {
        var zones = ScopedZone.All(Locations[..1], new ZoneOptions());

        Assert.Equal(
            [new("publishingScopes", "discovery-a=layers.eu.a;resolver-a="), new("subscriptionScopes", "discovery-a=")],
            TopicScopes.Of(DaprNames.LayerEvents, zones));
        Assert.Equal(
            [new("subscriptionScopes", "discovery-a=layer-sync.eu.a;resolver-a="), new("publishingScopes", "discovery-a=")],
            TopicScopes.Of(DaprNames.LayerSync, zones));
    }

    [Fact]
    public async Task It_prints_each_resource_with_the_apps_that_may_use_it()
    {
        var output = await ExternalProcess.RunAsync("dotnet",
        [
            Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll"), "components",
            Checkout.Path("components/kafka"), Checkout.Path("components/common"), "--zone", "eu/a", "--zone", "eu/b",
        ]);

        var yaml = new YamlStream();
        yaml.Load(new StringReader(output));
        var scopes = yaml.Documents.Select(document => document.RootNode).ToDictionary(
            resource => resource["metadata"]["name"].ToString(), resource => string.Join(' ', (YamlSequenceNode)resource["scopes"]));
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["holder-store"] = "resolver-a resolver-b",
                ["layer-events"] = "discovery-a resolver-a discovery-b resolver-b",
                ["layer-sync"] = "discovery-a resolver-a discovery-b resolver-b",
                ["spegel-dapr"] = "discovery-a resolver-a discovery-b resolver-b",
            },
            scopes);
    }

    [Theory]
    [InlineData("components", "/nonexistent", "--zone", "eu/a")]
    [InlineData("components", ".", "--zone", "Eu")]
    public async Task What_cannot_work_is_one_line_that_names_the_input(params string[] arguments)
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll"), .. arguments]);

        Assert.Equal(1, exitCode);
        Assert.Single(output.Trim().Split('\n'));
        Assert.Contains(arguments[1] == "." ? "'Eu'" : "'/nonexistent'", output, StringComparison.Ordinal);
    }
}
