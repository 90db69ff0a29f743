using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Resolver;

public sealed class ReachTests
{
    [Theory]
    [InlineData("", "eu/a")]
    [InlineData("eu/b", "eu/b")]
    [InlineData("eu/b us/x eu/b", "eu/b us/x")]
    [InlineData("*", "eu/a")]
    [InlineData("us/*", "eu/a")]
    [InlineData("* us/x", "eu/a us/x")]
    public void Before_nodes_are_seen_it_is_what_the_settings_name(string entries, string locations) =>
        Assert.Equal(locations, Text(Create(entries)));

    [Theory]
    [InlineData("", "eu/a")]
    [InlineData("eu/b", "eu/b")]
    [InlineData("*", "eu/a eu/b us/x us/y")]
    [InlineData("eu/*", "eu/a eu/b")]
    [InlineData("us/*", "eu/a us/x us/y")]
    [InlineData("eu/c us/*", "eu/a eu/c us/x us/y")]
    public void With_wildcards_it_is_joined_by_the_locations_of_the_nodes_that_match(string entries, string locations)
    {
        var reach = Create(entries);

        reach.Seen(Locations("us/y eu/b us/x us/x"));

        Assert.Equal(locations, Text(reach));
    }

    [Fact]
    public void A_location_without_nodes_leaves_it_but_never_its_own()
    {
        var reach = Create("*");
        reach.Seen(Locations("eu/a eu/b"));

        reach.Seen([]);

        Assert.Equal("eu/a", Text(reach));
    }

    [Theory]
    [InlineData("*", "zone", "eu/a")]
    [InlineData("*", "region", "eu/a eu/b")]
    [InlineData("eu/a eu/b us/x", "zone", "eu/a")]
    [InlineData("eu/b us/x", "region", "eu/b")]
    public void What_is_outside_the_boundary_is_never_in_it(string entries, string boundary, string locations)
    {
        var reach = Create(entries, new ZoneOptions { Mode = "isolated", Boundary = boundary });

        reach.Seen(Locations("us/x us/y eu/b"));

        Assert.Equal(locations, Text(reach));
    }

    [Fact]
    public async Task Who_waits_for_a_change_hears_of_each_and_of_nothing_else()
    {
        var reach = Create("*");
        var first = reach.Changed;
        reach.Seen(Locations("eu/a"));
        Assert.False(first.IsCompleted);

        reach.Seen(Locations("eu/b"));
        await first;
        var second = reach.Changed;
        reach.Seen(Locations("eu/b eu/a"));
        Assert.False(second.IsCompleted);

        reach.Seen([]);
        await second;
    }

    [Fact]
    public async Task It_tells_whether_it_depends_on_nodes_and_whether_they_have_been_seen()
    {
        var still = Create("eu/b");
        var moving = Create("*");

        Assert.False(still.FollowsNodes);
        await still.FirstSeen;
        Assert.True(moving.FollowsNodes);
        Assert.False(moving.FirstSeen.IsCompleted);

        moving.Seen([]);

        await moving.FirstSeen;
    }

    private static Reach Create(string entries, ZoneOptions? zones = null)
    {
        var options = new ResolverOptions { Region = "eu", Zone = "a" };
        foreach (var entry in entries.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            options.Reach.Add(entry);
        }

        return new Reach(Options.Create(options), Options.Create(zones ?? new()), NullLogger<Reach>.Instance);
    }

    private static IEnumerable<Location> Locations(string text) => text.Split(' ').Select(Location.Parse);

    private static string Text(Reach reach) => string.Join(' ', reach.Locations);
}
