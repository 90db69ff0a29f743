using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit;

public class EventJsonTests
{
    private const string Node = """{"name":"node-a","location":"eu/a","address":"http://10.0.0.1:5000"}""";

    [Property]
    public Property An_event_survives_its_journey_in_an_envelope() => Prop.ForAll(Generate.Events.Arb(), sent =>
    {
        var heard = Envelope(sent.Type, Encoding.UTF8.GetString(ContractsJson.Serialize(sent))).ToLayerEvent();
        return heard.GetType() == sent.GetType() && ContractsJson.Serialize(heard).AsSpan().SequenceEqual(ContractsJson.Serialize(sent));
    });

    [Fact]
    public void The_largest_delta_of_layers_fits_its_limit()
    {
        var keys = Enumerable.Range(0, LayerEvent.MaxKeys).Select(i => new HeldKey(Digest.OfSha256(BitConverter.GetBytes(i)))).ToList();
        var delta = new DeltaEvent
        {
            Node = new NodeIdentity(NodeName.Parse(new string('n', 253)), Location.Parse("eu/a"), BlobAddress.Parse("http://10.0.0.1:5000")),
            Epoch = long.MaxValue,
            Sequence = long.MaxValue,
            Added = keys,
            Removed = [],
        };

        Assert.InRange(ContractsJson.Serialize(delta).Length, 1, LayerEvent.MaxBytes);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("1")]
    [InlineData($$"""{"node":null,"epoch":1,"sequence":1}""")]
    [InlineData($$"""{"node":{{Node}},"epoch":1}""")]
    [InlineData($$"""{"node":{{Node}},"epoch":"x","sequence":1}""")]
    [InlineData($$"""{"node":{{Node}},"epoch":1.5,"sequence":1}""")]
    [InlineData("""{"node":{"name":"node-a"},"epoch":1,"sequence":1}""")]
    [InlineData("""{"node":{"name":"Node A","location":"eu/a","address":"http://10.0.0.1:5000"},"epoch":1,"sequence":1}""")]
    [InlineData("""{"node":{"name":"node-a","location":"eu","address":"http://10.0.0.1:5000"},"epoch":1,"sequence":1}""")]
    [InlineData("""{"node":{"name":"node-a","location":"eu/a","address":"http://10.0.0.1:5000/x"},"epoch":1,"sequence":1}""")]
    [InlineData("""{"node":{"name":1,"location":"eu/a","address":"http://10.0.0.1:5000"},"epoch":1,"sequence":1}""")]
    public void A_leaving_that_is_not_well_formed_is_refused(string data) =>
        Assert.Throws<JsonException>(() => Envelope(LeavingEvent.EventType, data).ToLayerEvent());

    [Theory]
    [InlineData("""{"key":"docker.io/library/app:1"}""")]
    [InlineData("""{"key":"app:1","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}""")]
    [InlineData("""{"key":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}""")]
    [InlineData("""{"key":"sha256:1"}""")]
    [InlineData("""{"key":null}""")]
    [InlineData("""{}""")]
    public void A_key_that_is_not_well_formed_makes_its_event_so(string key) => Assert.Throws<JsonException>(() => Envelope(
        DeltaEvent.EventType, $$"""{"node":{{Node}},"epoch":1,"sequence":1,"added":[{{key}}],"removed":[]}""").ToLayerEvent());

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("com.dapr.event.sent")]
    [InlineData("dev.spegel-dapr.layers.leaving.v2")]
    public void An_event_of_another_type_is_refused(string? type)
    {
        Assert.Throws<JsonException>(() => Envelope(type, $$"""{"node":{{Node}},"epoch":1,"sequence":1}""").ToLayerEvent());
        Assert.Throws<JsonException>(() => Envelope(type, """{"node":"node-a","epoch":1,"at":"2026-01-05T00:00:00Z"}""").ToSnapshotWish());
    }

    [Property]
    public Property A_summary_does_not_depend_on_order() => Prop.ForAll(
        (from keys in Generate.HeldKeys.ListOf() from order in Gen.Shuffle(keys.ToArray()) select (keys, order)).Arb(),
        both => ContentSummary.Of(both.keys) == ContentSummary.Of(both.order));

    [Property]
    public Property A_summary_less_a_part_is_the_summary_of_the_rest() => Prop.ForAll(
        Generate.HeldKeys.ListOf().Arb(),
        Generate.HeldKeys.ListOf().Arb(),
        (some, others) => ContentSummary.Of(some.Concat(others)) - ContentSummary.Of(others) == ContentSummary.Of(some));

    [Fact]
    public void A_tag_that_has_moved_changes_the_summary()
    {
        var tag = ContentKey.Parse("docker.io/library/app:1");

        Assert.NotEqual(ContentSummary.Of(new HeldKey(tag, Digest.OfSha256([1]))), ContentSummary.Of(new HeldKey(tag, Digest.OfSha256([2]))));
    }

    private static CloudEvent Envelope(string? type, string data) =>
        JsonSerializer.Deserialize($$"""{"type":{{(type is null ? "null" : $"\"{type}\"")}},"data":{{data}}}""", ContractsJson.Default.CloudEvent)!;
}
