using SpegelDapr.Cli;
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
                ["protectedTopics"] = "layers.eu.a,layers.eu.a.wishes,layers.eu.b,layers.eu.b.wishes,layers.us.c,layers.us.c.wishes",
                ["publishingScopes"] =
                    "discovery-a=layers.eu.a;resolver-a=layers.eu.b.wishes;discovery-b=layers.eu.b;resolver-b=layers.eu.a.wishes;discovery-c=layers.us.c;resolver-c=",
                ["subscriptionScopes"] =
                    "discovery-a=;resolver-a=layers.eu.a,layers.eu.b,layers.eu.a.wishes;"
                    + "discovery-b=;resolver-b=layers.eu.a,layers.eu.b,layers.eu.b.wishes;discovery-c=;resolver-c=layers.us.c,layers.us.c.wishes",
            },
            new Dictionary<string, string>(TopicScopes.Of(zones)));
    }

    [Fact]
    public void Where_new_zones_may_come_resolvers_are_not_held_to_the_known_ones()
    {
        var zones = ScopedZone.All(Locations[1..], new ZoneOptions());

        Assert.Equal(
            [
                new("publishingScopes", "discovery-b=layers.eu.b;resolver-b=layers.us.c.wishes;discovery-c=layers.us.c;resolver-c=layers.eu.b.wishes"),
                new("subscriptionScopes", "discovery-b=;discovery-c="),
            ],
            TopicScopes.Of(zones));
    }

    [Theory]
    [InlineData("isolated", "region", "crossRegion", "a: a b, b: a b, c: c")]
    [InlineData("isolated", "zone", "crossRegion", "a: a, b: b, c: c")]
    [InlineData("preferred", "zone", "sameRegion", "a: a b, b: a b, c: c")]
    [InlineData("adaptive", "zone", "crossRegion", "a: a b c, b: a b c, c: a b c")]
    public void A_zone_is_heard_by_the_resolvers_that_may_reach_it(string mode, string boundary, string farthest, string expected)
    {
        var zones = ScopedZone.All(Locations, new ZoneOptions { Mode = mode, Boundary = boundary, FarthestTier = farthest });

        Assert.Equal(expected, string.Join(", ", zones.Select(zone => $"{zone.Location.Zone}: {string.Join(' ', zone.Heard.Select(heard => heard.Zone))}")));
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
            resource => resource["metadata"]["name"].ToString(),
            resource => ((YamlMappingNode)resource).Children.TryGetValue("scopes", out var apps) ? string.Join(' ', (YamlSequenceNode)apps) : "all");
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["holder-store"] = "resolver-a resolver-b",
                ["layer-events"] = "discovery-a resolver-a discovery-b resolver-b",
                ["layer-events.a.a"] = "resolver-a",
                ["layer-events.a.b"] = "resolver-a",
                ["layer-events.b.a"] = "resolver-b",
                ["layer-events.b.b"] = "resolver-b",
                ["spegel-dapr"] = "all",
            },
            scopes);
    }

    [Fact]
    public void What_a_component_has_already_is_replaced_and_all_else_is_as_it_was()
    {
        using var directory = new TestDirectory();
        File.WriteAllText(directory.File("a.yml"), """
            ---
            ---
            kind: Component
            metadata: {name: layer-events}
            spec:
              type: pubsub.redis
              metadata:
              - name: redisHost
                value: redis.corp.
              - name: subscriptionScopes
                value: anybody
            ---
            kind: Configuration
            spec:
              host: redis.corp.
            """);

        Assert.Equal(
            [
                """
                apiVersion: dapr.io/v2alpha1
                kind: Subscription
                metadata:
                  name: layer-events.a.a
                spec:
                  pubsubname: layer-events
                  topic: layers.eu.a
                  routes:
                    default: /v1/events/eu/a
                scopes:
                - resolver-a

                """,
                """
                kind: Component
                metadata: {name: layer-events}
                spec:
                  type: pubsub.redis
                  metadata:
                  - name: redisHost
                    value: redis.corp.
                  - name: publishingScopes
                    value: discovery-a=layers.eu.a;resolver-a=
                  - name: subscriptionScopes
                    value: discovery-a=
                scopes:
                - discovery-a
                - resolver-a

                """,
                """
                kind: Configuration
                spec:
                  host: redis.corp.

                """,
            ],
            new ScopedResources(ScopedZone.All(Locations[..1], new ZoneOptions())).Read(directory.File("a.yml")));
    }

    [Theory]
    [InlineData("isolated", "eu/a", "eu/b", "eu/c")]
    [InlineData("preferred", "eu/a", "us/b-c", "eu/a-b", "us/c")]
    public void A_new_zone_adds_subscriptions_and_changes_none(string mode, params string[] locations)
    {
        var options = new ZoneOptions { Mode = mode, Boundary = "region" };
        var before = Subscriptions(locations[..^1]);
        var after = Subscriptions(locations);

        Assert.Subset(after.ToHashSet(), before.ToHashSet());
        Assert.Equal(locations.Length * locations.Length, after.Select(text => text.Split('\n').Single(line => line.StartsWith("  name:", StringComparison.Ordinal))).Distinct().Count());

        List<string> Subscriptions(string[] zones)
        {
            using var directory = new TestDirectory();
            File.WriteAllText(directory.File("a.yaml"), "kind: Component\nmetadata: {name: layer-events}\nspec: {metadata: []}\n");
            return [.. new ScopedResources(ScopedZone.All([.. zones.Select(Location.Parse)], options)).Read(directory.File("a.yaml")).SkipLast(1)];
        }
    }

    [Fact]
    public void A_component_without_settings_gets_a_list_of_them()
    {
        using var directory = new TestDirectory();
        File.WriteAllText(directory.File("a.yml"), "kind: Component\nmetadata: {name: layer-events}\nspec:\n  type: pubsub.redis\n");

        Assert.Equal(
            """
            kind: Component
            metadata: {name: layer-events}
            spec:
              type: pubsub.redis
              metadata:
              - name: publishingScopes
                value: discovery-a=layers.eu.a;resolver-a=
              - name: subscriptionScopes
                value: discovery-a=
            scopes:
            - discovery-a
            - resolver-a

            """,
            new ScopedResources(ScopedZone.All(Locations[..1], new ZoneOptions())).Read(directory.File("a.yml")).Last());
    }

    [Fact]
    public void A_component_that_cannot_be_scoped_is_named()
    {
        using var directory = new TestDirectory();
        var resources = new ScopedResources(ScopedZone.All(Locations, new ZoneOptions()));
        foreach (var spec in new[] { "", "spec: {metadata: {}}", "spec: []" })
        {
            File.WriteAllText(directory.File("a.yaml"), $"kind: Component\nmetadata: {{name: layer-events}}\n{spec}\n");
            Assert.StartsWith(directory.File("a.yaml"), Assert.Throws<UserErrorException>(() => resources.Read(directory.File("a.yaml")).ToList()).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Zones_with_the_same_app_ids_are_refused()
    {
        var error = Assert.Throws<UserErrorException>(() => ScopedZone.All([Location.Parse("eu/b"), Location.Parse("us/b")], new ZoneOptions()));

        Assert.Equal("--zone has b twice, and app ids carry the zone alone: give each zone a name of its own.", error.Message);
    }

    [Theory]
    [InlineData("components", "/nonexistent", "--zone", "eu/a")]
    [InlineData("components", "/proc/self/fdinfo", "--zone", "eu/a")]
    [InlineData("components", ".", "--zone", "Eu")]
    [InlineData("components", ".", "--zone", "eu/a-zone-whose-name-is-too-long-to-be-in-an-app-id-of-dapr")]
    public async Task What_cannot_work_is_one_line_that_names_the_input(params string[] arguments)
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll"), .. arguments]);

        Assert.Equal(1, exitCode);
        Assert.Single(output.Trim().Split('\n'));
        Assert.Contains(arguments[1] == "." ? $"'{arguments[3]}'" : $"'{arguments[1]}'", output, StringComparison.Ordinal);
    }
}
