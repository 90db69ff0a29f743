using SpegelDapr.Contracts;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Unit.Components;

/// <summary>Each backend set holds what the services need, in fields that Dapr's components have.</summary>
public sealed class ComponentSetTests
{
    private static readonly string[] Files = [DaprNames.HolderStore, DaprNames.LayerEvents];

    /// <summary>What the runtime takes for all components of a kind (dapr/dapr, pkg/scopes, pkg/runtime/processor and pkg/components/state).</summary>
    private static readonly Dictionary<string, string[]> OfAll = new()
    {
        ["pubsub"] = ["consumerID", "allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes"],
        ["state"] = ["keyPrefix"],
    };

    private static readonly string[] SecretEndings = ["password", "secret", "token", "masterKey", "seedKey", "connectionString"];

    public static TheoryData<string, string> Components()
    {
        var data = new TheoryData<string, string>();
        foreach (var set in ComponentSets.Names)
        {
            foreach (var file in Files)
            {
                data.Add(set, file);
            }
        }

        return data;
    }

    [Fact]
    public void There_are_sets_of_the_same_files()
    {
        Assert.Equal(["azure", "in-memory", "kafka", "nats-jetstream", "rabbitmq", "redis"], ComponentSets.Names);
        Assert.All(ComponentSets.Names, set => Assert.Equal(
            Files, Directory.EnumerateFiles(Path.Combine(ComponentSets.Directory, set)).Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal)));
    }

    [Theory]
    [MemberData(nameof(Components))]
    public void A_components_fields_are_those_of_its_type(string set, string file)
    {
        var component = ComponentSets.Read($"{set}/{file}.yaml");
        var name = component.Text("spec", "type")!;
        Assert.True(ComponentSets.Types.TryGetValue(name, out var type), $"{name} is not in component-metadata.json.");
        var fields = Metadata(component).Select(item => item.Text("name")!).ToList();

        Assert.Equal(("dapr.io/v1alpha1", "Component", file), (component.Text("apiVersion"), component.Text("kind"), component.Text("metadata", "name")));
        Assert.Equal(type.Version, component.Text("spec", "version"));
        Assert.StartsWith(file == DaprNames.HolderStore ? "state." : "pubsub.", name, StringComparison.Ordinal);
        Assert.Empty(fields.Except([.. type.Fields, .. OfAll[name.Split('.')[0]]]));
        Assert.Equal(fields.Count, fields.Distinct(StringComparer.OrdinalIgnoreCase).Count());
        Assert.Empty(type.Required.Except(fields));
        Assert.True(
            type.Authentication.Count == 0 || type.Authentication.Any(way => !way.Except(fields).Any()), "No way to authenticate has all that it needs.");
    }

    [Theory]
    [MemberData(nameof(Components))]
    public void A_secret_is_a_reference(string set, string file)
    {
        var component = ComponentSets.Read($"{set}/{file}.yaml");
        var secrets = ComponentSets.Types[component.Text("spec", "type")!].Secret;
        foreach (var item in Metadata(component))
        {
            var name = item.Text("name")!;
            var isSecret = secrets.Contains(name) || SecretEndings.Any(ending => name.EndsWith(ending, StringComparison.OrdinalIgnoreCase));
            Assert.Equal(isSecret, item.At("secretKeyRef") is not null);
            Assert.NotEqual(isSecret, item.At("value") is YamlScalarNode);
        }

        Assert.Equal(Metadata(component).Any(item => item.At("secretKeyRef") is not null), component.Text("auth", "secretStore") is not null);
    }

    [Theory]
    [MemberData(nameof(Components))]
    public void Consumer_groups_and_keys_are_those_that_the_services_count_on(string set, string file)
    {
        var component = ComponentSets.Read($"{set}/{file}.yaml");
        var values = Metadata(component).ToDictionary(item => item.Text("name")!, item => item.Text("value"));

        // A group of any other name, such as one for each start, stays in the broker when those who made it are gone.
        Assert.Null(values.GetValueOrDefault("consumerID"));
        Assert.Equal(file == DaprNames.HolderStore ? "none" : null, values.GetValueOrDefault("keyPrefix"));
    }

    [Theory]
    [InlineData("azure")]
    [InlineData("kafka")]
    [InlineData("nats-jetstream")]
    [InlineData("rabbitmq")]
    [InlineData("redis")]
    public void A_broker_that_is_away_keeps_no_sidecar_from_starting_and_a_store_does(string set)
    {
        Assert.Equal("true", ComponentSets.Read($"{set}/{DaprNames.LayerEvents}.yaml").Text("spec", "ignoreErrors"));
        Assert.Null(ComponentSets.Read($"{set}/{DaprNames.HolderStore}.yaml").Text("spec", "ignoreErrors"));
    }

    // With authType password Dapr speaks TLS unless disableTls says otherwise (components-contrib, common/component/kafka/auth.go).
    [Fact]
    public void Kafka_is_spoken_to_by_TLS_and_one_line_switches_that_off()
    {
        var values = Values("kafka");

        Assert.Equal(("password", "false"), (values["authType"], values["disableTls"]));
        Assert.False(values.ContainsKey("skipVerify"));
    }

    // With parallel, nats.go acknowledges what a handler has not finished (components-contrib, pubsub/jetstream).
    [Fact]
    public void What_JetStream_delivers_is_acknowledged_when_it_has_been_handled()
    {
        var values = Values("nats-jetstream");

        Assert.Equal(("single", "explicit"), (values["concurrency"], values["ackPolicy"]));
    }

    private static Dictionary<string, string?> Values(string set) =>
        Metadata(ComponentSets.Read($"{set}/{DaprNames.LayerEvents}.yaml")).ToDictionary(item => item.Text("name")!, item => item.Text("value"));

    private static IEnumerable<YamlMappingNode> Metadata(YamlMappingNode component) =>
        ((YamlSequenceNode)component.At("spec", "metadata")!).Cast<YamlMappingNode>();
}
