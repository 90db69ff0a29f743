using SpegelDapr.Contracts;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Unit.Components;

/// <summary>What all backend sets share keeps to the services' own budgets and routes.</summary>
public sealed class CommonResourceTests
{
    private readonly YamlMappingNode _resiliency = ComponentSets.Read("common/resiliency.yaml");
    private readonly IReadOnlyList<YamlMappingNode> _accessControl =
        [.. ComponentSets.ReadAll("configuration.yaml").Select(configuration => (YamlMappingNode)configuration.At("spec", "accessControl")!)];

    [Theory]
    [InlineData("timeouts")]
    [InlineData("retries")]
    [InlineData("circuitBreakers")]
    public void Dapr_has_no_policy_for_apps_because_blob_gives_questions_up_itself(string kind)
    {
        var names = ((YamlMappingNode)_resiliency.At("spec", "policies", kind)!).Select(policy => policy.Key.ToString());

        // What has one of Dapr's default names holds for apps too (dapr/dapr, pkg/resiliency).
        Assert.DoesNotContain(names, name => name.StartsWith("Default", StringComparison.Ordinal));
        Assert.Null(_resiliency.At("spec", "targets", "apps"));
    }

    [Fact]
    public void An_event_is_delivered_until_it_is_taken()
    {
        var inbound = _resiliency.At("spec", "targets", "components", DaprNames.LayerEvents, "inbound")!;

        Assert.Equal("-1", _resiliency.Text("spec", "policies", "retries", inbound.Text("retry")!, "maxRetries"));
        Assert.Null(inbound.At("timeout"));
        Assert.Null(inbound.At("circuitBreaker"));
    }

    [Fact]
    public void Every_policy_that_a_target_names_is_there()
    {
        var kinds = new Dictionary<string, string> { ["timeout"] = "timeouts", ["retry"] = "retries", ["circuitBreaker"] = "circuitBreakers" };
        foreach (var (_, component) in (YamlMappingNode)_resiliency.At("spec", "targets", "components")!)
        {
            foreach (var (_, direction) in (YamlMappingNode)component)
            {
                Assert.All(
                    (YamlMappingNode)direction, policy => Assert.NotNull(_resiliency.At("spec", "policies", kinds[policy.Key.ToString()], policy.Value.ToString())));
            }
        }
    }

    [Fact]
    public void Discovery_and_blob_may_call_what_they_call_and_nothing_else()
    {
        var (resolver, node) = (_accessControl[0], _accessControl[1]);
        var policy = Assert.Single((YamlSequenceNode)resolver.At("policies")!);
        var operations = ((YamlSequenceNode)policy.At("operations")!).Select(operation =>
            $"{operation.Text("action")} {Assert.Single((YamlSequenceNode)operation.At("httpVerb")!)} {operation.Text("name")}");

        Assert.Equal(("deny", "deny"), (resolver.Text("defaultAction"), policy.Text("defaultAction")));
        Assert.Equal(
            [
                $"allow POST /{ResolveRequest.Method}",
                $"allow POST /{HearingRequest.Method}",
                $"allow POST /{FollowRequest.Method}",
                "allow GET /v1/nodes/**",
                "allow GET /v1/in-flight/**",
            ],
            operations);
        Assert.Equal(("deny", policy.Text("trustDomain")), (node.Text("defaultAction"), node.Text("trustDomain")));
        Assert.Null(node.At("policies"));
        var claim = new PeerClaim(Location.Parse("eu/a"), NodeName.Parse("node"));
        Assert.StartsWith("v1/nodes/", NodeAnswer.Method(claim), StringComparison.Ordinal);
        Assert.StartsWith("v1/in-flight/", InFlightAnswer.Method(claim.Location, Digest.OfSha256([1])), StringComparison.Ordinal);
    }
}
