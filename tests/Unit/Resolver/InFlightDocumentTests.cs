using FsCheck.Xunit;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.InFlight;

namespace SpegelDapr.Unit.Resolver;

/// <summary>The decision who leads and who follows whom.</summary>
public class InFlightDocumentTests
{
    private const int Nodes = 12;

    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddYears(50);
    private static readonly Dictionary<NodeName, NodeIdentity> All = Enumerable.Range(0, Nodes).Select(Name).ToDictionary(name => name, Identity);

    [Property(MaxTest = 300)]
    public void In_any_history_each_asker_is_told_a_good_node_to_follow_or_leads_for_want_of_one(
        (byte Who, ushort Failed, ushort Dead, byte Seconds)[] history, byte most, int seed)
    {
        var random = new Random(seed);
        var mostFollowers = 1 + (most % 4);
        var (document, now) = (InFlightDocument.Empty, Now);
        var orders = new Dictionary<NodeName, long>();
        foreach (var (who, failedBits, deadBits, seconds) in history)
        {
            now += InFlightDocument.RepeatsFor + TimeSpan.FromSeconds(seconds);
            var asker = Name(who % Nodes);

            // Most of the bits are cleared, because with most of the nodes failed or dead nothing happens.
            var failed = Chosen(failedBits & random.Next(1 << Nodes) & random.Next(1 << Nodes));
            var alive = All.Values.ExceptBy(Chosen(deadBits & random.Next(1 << Nodes)), node => node.Name).ToDictionary(node => node.Name);
            var before = document.At(now);
            var orderBefore = orders.GetValueOrDefault(asker, long.MaxValue);

            var question = Question(asker, failed) with { Order = orders.TryGetValue(asker, out var told) ? told : null };
            (document, var answer) = document.Follow(question, alive, RandomLoad, mostFollowers, now, random);

            orders[asker] = answer.Order;
            AssertSound(document);
            Assert.Equal((document, answer), document.Follow(question, alive, RandomLoad, mostFollowers, now, random));
            Assert.Equal(new InFlightNode(asker, now, answer.Parent?.Name, Followers: document.Nodes[^1].Followers, Order: answer.Order), document.Nodes[^1]);
            Assert.All(document.Nodes, node => Assert.DoesNotContain(document.Nodes, above => above.Node == node.Parent && above.Order >= node.Order));
            Assert.Equal(
                before.Nodes.Where(node => node.Node != asker && !failed.Contains(node.Node)),
                document.Nodes.SkipLast(1).Zip(before.Nodes.Where(node => node.Node != asker && !failed.Contains(node.Node)), (node, earlier) => node with { Followers = earlier.Followers }));
            Assert.Equal(Ancestors(document, asker).Count, answer.Depth);
            if (answer.Parent is { } parent)
            {
                Assert.Equal(alive[parent.Name], parent);
                Assert.DoesNotContain(parent.Name, failed);
            }
            else
            {
                Assert.DoesNotContain(document.Nodes, node => alive.ContainsKey(node.Node)
                    && document.Nodes.Count(other => other.Parent == node.Node) < mostFollowers
                    && node.Node != asker
                    && (node.Parent is null || node.Order < orderBefore)
                    && !Ancestors(document, node.Node).Contains(asker));
            }
        }

        InFlightLoad RandomLoad(NodeName node) => new(random.Next(4), random.Next(4));
    }

    [Property(MaxTest = 300)]
    public void A_document_with_circles_and_repetitions_leads_nobody_into_them((byte Node, byte? Parent)[] entries, byte who, int seed)
    {
        var document = new InFlightDocument([.. entries.Select(entry =>
            new InFlightNode(Name(entry.Node % Nodes), Now, entry.Parent is { } parent ? Name(parent % (Nodes + 2)) : null))]);

        var (after, answer) = document.Follow(Question(Name(who % Nodes)), All, Nothing, 3, Now + InFlightDocument.RepeatsFor, new Random(seed));

        Assert.Equal(after.Nodes.Count, after.Nodes.DistinctBy(node => node.Node).Count());
        Assert.Equal(answer.Depth, Ancestors(after, Name(who % Nodes)).Count);
    }

    [Fact]
    public void The_first_leads_and_those_after_it_follow_the_nearest_to_the_root_when_all_have_a_share_left()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var depths = new List<int>();
        for (var i = 0; i < 7; i++)
        {
            (document, var answer) = document.Follow(Question(Name(i)), All, _ => new InFlightLoad(9, 0), 2, Now, random);
            depths.Add(answer.Depth);
        }

        Assert.Equal([0, 1, 1, 2, 2, 2, 2], depths);
    }

    [Fact]
    public void A_node_with_a_share_left_is_followed_before_one_that_is_nearer_to_the_root()
    {
        var document = Document((0, null), (1, 0));

        var (_, answer) = document.Follow(Question(Name(2)), All, Nothing, 2, Now, new Random(1));

        AssertTold(2, Name(1), answer);
    }

    [Fact]
    public void Who_leaves_a_slow_holder_leads_and_the_next_is_told_to_follow_that_one_and_not_the_holder()
    {
        var asker = Question(Name(1)) with { Holders = [Name(0)] };
        var (document, _) = InFlightDocument.Empty.Follow(asker, All, Nothing, 2, Now, new Random(1));

        (document, var answer) = document.Follow(asker with { Slow = Name(0) }, All, Nothing, 2, Now, new Random(1));
        var (_, next) = document.Follow(Question(Name(2)) with { Holders = [Name(0)] }, All, Nothing, 2, Now, new Random(1));

        Assert.Null(answer.Parent);
        AssertTold(1, Name(1), next);
    }

    [Fact]
    public void Of_those_who_have_done_their_share_the_nearest_to_the_root_is_followed()
    {
        var document = Document((0, null), (1, 0));

        var (_, answer) = document.Follow(Question(Name(2)), All, node => new InFlightLoad(0, node == Name(0) ? 5 : 1), 2, Now, new Random(1));

        AssertTold(1, Name(0), answer);
    }

    [Fact]
    public void Of_equally_near_ones_the_one_with_the_fewest_followers_of_any_content_is_followed()
    {
        var document = Document((0, null), (1, null), (2, null));

        var (_, answer) = document.Follow(Question(Name(3)), All, node => new InFlightLoad(5, node == Name(1) ? 2 : 3), 2, Now, new Random(1));

        Assert.Equal(Name(1), answer.Parent?.Name);
    }

    [Fact]
    public void Equals_share_the_followers()
    {
        var document = new InFlightDocument([.. Enumerable.Range(0, Nodes - 1).Select(i => new InFlightNode(Name(i), Now))]);
        var random = new Random(1);

        var parents = Enumerable.Range(0, 300).Select(_ => document.Follow(Question(Name(Nodes - 1)), All, Nothing, 2, Now, random).Answer.Parent!.Name);

        Assert.Equal(Nodes - 1, parents.Distinct().Count());
    }

    [Fact]
    public void Those_who_follow_a_node_that_asks_again_go_on_following_it()
    {
        var document = Document((0, null), (1, 0), (2, 1), (3, null));

        var (after, answer) = document.Follow(Question(Name(1), [Name(0)]), All, Nothing, 2, Now, new Random(1));

        AssertTold(1, Name(3), answer);
        Assert.Equal([(Name(2), Name(1)), (Name(3), null), (Name(1), Name(3))], after.Nodes.Select(node => (node.Node, node.Parent)));
    }

    [Fact]
    public void Whoever_followed_a_node_that_is_gone_is_a_root_until_that_comes_back()
    {
        var document = Document((1, 0), (2, 1));

        var (after, answer) = document.Follow(Question(Name(3)), All, node => new InFlightLoad(9, 0), 2, Now, new Random(1));
        var (_, back) = after.Follow(Question(Name(0)), All, Nothing, 2, Now, new Random(1));

        AssertTold(1, Name(1), answer);
        AssertTold(0, null, back);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(1, 3)]
    public void Of_thousands_each_is_placed_near_enough_and_none_feeds_many_although_only_some_are_remembered(int mostFollowers, int seed)
    {
        var (document, random) = (InFlightDocument.Empty, new Random(seed));
        var told = new Dictionary<NodeName, (NodeName? Parent, int Depth)>();
        var identities = Enumerable.Range(0, 3000).Select(Name).ToDictionary(name => name, Identity);
        foreach (var name in identities.Keys)
        {
            (document, var answer) = document.Follow(Question(name), identities, Nothing, mostFollowers, Now, random);
            told[name] = (answer.Parent?.Name, answer.Depth);
            Assert.InRange(document.Nodes.Count, 1, InFlightDocument.MostNodes);
        }

        Assert.Single(told.Values, answer => answer.Parent is null);
        Assert.All(told.Values, answer => Assert.Equal(answer.Parent is { } parent ? told[parent].Depth + 1 : 0, answer.Depth));
        Assert.InRange(told.Values.Max(answer => answer.Depth), 1, InFlightDocument.MostDepth);
        Assert.InRange(told.Values.GroupBy(answer => answer.Parent).Max(followers => followers.Count()), 1, 2 * mostFollowers);
    }

    [Fact]
    public void More_than_a_chain_holds_make_a_flat_tree_in_which_each_feeds_two()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var depths = new List<int>();
        var identities = Enumerable.Range(0, 1000).Select(Name).ToDictionary(name => name, Identity);
        foreach (var name in identities.Keys)
        {
            (document, var answer) = document.Follow(Question(name), identities, Nothing, 1, Now, random);
            depths.Add(answer.Depth);
        }

        Assert.Equal(Enumerable.Range(0, InFlightDocument.MostDepth + 1), depths.Take(InFlightDocument.MostDepth + 1));
        Assert.InRange(depths.Skip(InFlightDocument.MostDepth + 1).Max(), 1, 12);
    }

    [Fact]
    public void Replicas_that_place_many_without_one_another_take_few_places_of_those_that_both_know()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var identities = Enumerable.Range(0, 300).Select(Name).ToDictionary(name => name, Identity);
        foreach (var name in identities.Keys.Take(50))
        {
            (document, _) = document.Follow(Question(name), identities, Nothing, 1, Now, random);
        }

        var shared = document.Nodes.Select(node => node.Node).ToHashSet();
        var parents = new List<NodeName>();
        foreach (var name in identities.Keys.Skip(50))
        {
            (document, var answer) = document.Follow(Question(name), identities, Nothing, 1, Now, random, shared);
            parents.Add(answer.Parent!.Name);
        }

        Assert.Single(parents, shared.Contains);
        Assert.InRange(parents.CountBy(parent => parent).Max(parent => parent.Value), 1, 2);
    }

    [Fact]
    public void Of_thousands_those_that_ask_again_are_not_all_told_the_same_few()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var told = new Dictionary<NodeName, FollowAnswer>();
        var identities = Enumerable.Range(0, 1000).Select(Name).ToDictionary(name => name, Identity);
        foreach (var name in identities.Keys)
        {
            (document, told[name]) = document.Follow(Question(name), identities, Nothing, 1, Now, random);
        }

        var parents = new List<NodeName>();
        foreach (var (name, before) in told.Where((_, i) => i % 20 == 19))
        {
            var question = Question(name) with { Declined = [before.Parent!.Name], Order = before.Order };
            (document, var answer) = document.Follow(question, identities, Nothing, 1, Now + InFlightDocument.RepeatsFor, random);
            parents.Add(answer.Parent!.Name);
        }

        Assert.InRange(parents.CountBy(parent => parent).Max(parent => parent.Value), 1, 5);
    }

    [Fact]
    public void Who_has_left_a_slow_node_says_so_and_nobody_else_is_told_to_follow_that_one()
    {
        var document = Document((0, null), (1, 0), (2, 1));

        var (after, _) = document.Follow(Question(Name(2)) with { Slow = Name(1), OnlyTells = true }, All, Nothing, 1, Now, new Random(1));
        var (_, late) = after.Follow(Question(Name(3)), All, Nothing, 1, Now, new Random(1));

        Assert.Equal(
            [(Name(0), null, 2, false), (Name(1), Name(0), 0, true), (Name(2), Name(0), 0, false)],
            after.Nodes.Select(node => (node.Node, node.Parent, node.Followers, node.IsSlow)));
        Assert.Equal(Name(2), late.Parent?.Name);
    }

    [Fact]
    public void Who_has_left_a_slow_lead_does_not_lead_itself()
    {
        var document = Document((0, null), (1, 0));

        var (after, _) = document.Follow(Question(Name(1)) with { Slow = Name(0), OnlyTells = true }, All, Nothing, 1, Now, new Random(1));

        Assert.Equal([(Name(0), null, true), (Name(1), Name(0), false)], after.Nodes.Select(node => (node.Node, node.Parent, node.IsSlow)));
    }

    [Fact]
    public void A_slow_node_that_asks_again_is_still_slow()
    {
        var (document, _) = Document((0, null), (1, 0), (2, 1)).Follow(Question(Name(2)) with { Slow = Name(1), OnlyTells = true }, All, Nothing, 1, Now, new Random(1));

        var (after, _) = document.Follow(Question(Name(1), [Name(0)]), All, Nothing, 1, Now + InFlightDocument.RepeatsFor, new Random(1));

        Assert.True(after.Nodes.Single(node => node.Node == Name(1)).IsSlow);
    }

    [Fact]
    public void What_one_replica_knows_as_slow_the_others_learn()
    {
        var before = Document((0, null), (1, 0), (2, 1));
        var (after, _) = before.Follow(Question(Name(2)) with { Slow = Name(1), OnlyTells = true }, All, Nothing, 1, Now.AddSeconds(1), new Random(1));

        var both = before.With(before, after, 1);

        Assert.Equal(
            [(Name(0), null, 2, false), (Name(1), Name(0), 0, true), (Name(2), Name(0), 0, false)],
            both.Nodes.Select(node => (node.Node, node.Parent, node.Followers, node.IsSlow)));
    }

    [Fact]
    public void Of_thousands_the_first_ones_that_ask_again_are_not_placed_below_themselves()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var told = new Dictionary<NodeName, NodeName?>();
        var identities = Enumerable.Range(0, 1000).Select(Name).ToDictionary(name => name, Identity);
        foreach (var name in identities.Keys)
        {
            (document, var answer) = document.Follow(Question(name), identities, Nothing, 1, Now, random);
            told[name] = answer.Parent?.Name;
        }

        var remembered = document.Nodes.Where(node => node.Parent is not null).Select(node => node.Node).ToArray();
        foreach (var name in remembered)
        {
            var answer = document.Follow(Question(name) with { Declined = [told[name]!.Value] }, identities, Nothing, 1, Now + InFlightDocument.RepeatsFor, random).Answer;

            var above = answer.Parent!.Name;

            // Of those behind the lead alone, nobody else is before the first.
            Assert.True(above == Name(0) || above != told[name]);
            for (NodeName? at = above; at is not null; at = told[at.Value])
            {
                Assert.NotEqual(name, at);
            }
        }
    }

    [Fact]
    public void What_another_replica_has_decided_alone_is_added_below_the_nearest_that_both_know()
    {
        var before = Document((0, null), (2, 0), (3, 2));
        var (after, _) = before.Follow(Question(Name(4)), All, Nothing, 1, Now, new Random(1));
        (after, _) = after.Follow(Question(Name(1)) with { Declined = [Name(4)] }, All, Nothing, 1, Now, new Random(1));
        var document = Document((0, null), (1, 0));

        var both = document.With(before, after, 1);

        Assert.Equal(Name(0), after.Nodes[^1].Parent);
        Assert.Equal(
            [(Name(0), null, 0, 2), (Name(4), Name(0), 2, 0), (Name(1), Name(0), 0, 0)],
            both.Nodes.Select(node => (node.Node, node.Parent, node.Between, node.Followers)));
    }

    [Fact]
    public void What_another_replica_knows_of_a_node_that_has_asked_again_is_kept()
    {
        var before = Document((0, null), (1, 0));
        var (after, _) = before.Follow(Question(Name(1)), All, Nothing, 1, Now + InFlightDocument.RepeatsFor, new Random(1));
        var stored = new InFlightDocument([.. Document((0, null), (1, 0), (2, 1)).Nodes.Select(node => node with { IsSlow = node.Node == Name(1) })]);

        var again = stored.With(before, after, 1).Nodes.Single(node => node.Node == Name(1));

        Assert.Equal((1, true), (again.Followers, again.IsSlow));
    }

    [Theory]
    [InlineData(7, 0)]
    [InlineData(8, 1)]
    public void A_slow_node_is_told_only_when_each_other_one_feeds_many(int followers, int told)
    {
        var document = new InFlightDocument(
            [new InFlightNode(Name(0), Now, Followers: followers, Order: -1), new InFlightNode(Name(1), Now, Name(0), IsSlow: true, Order: 1)]);

        Assert.Equal(Name(told), document.Follow(Question(Name(2)), All, Nothing, 1, Now, new Random(1)).Answer.Parent!.Name);
    }

    [Fact]
    public void When_there_is_no_other_the_one_that_has_declined_is_told_again_before_one_more_node_leads()
    {
        var (_, answer) = Document((0, null), (1, 0)).Follow(
            Question(Name(1)) with { Declined = [Name(0)] }, All, Nothing, 1, Now + InFlightDocument.RepeatsFor, new Random(1));

        Assert.Equal(Name(0), answer.Parent?.Name);
    }

    [Fact]
    public void A_node_that_leads_now_for_another_replica_is_not_left_out_by_one_that_has_forgotten_it()
    {
        var before = Document((0, null), (1, 0));
        var after = new InFlightDocument([before.Nodes[0]]);
        var (stored, _) = before.Follow(Question(Name(1), [Name(0)]), All, Nothing, 1, Now + InFlightDocument.RepeatsFor, new Random(1));

        Assert.Contains(stored.With(before, after, 1).Nodes, node => node.Node == Name(1) && node.Parent is null);
        Assert.DoesNotContain(before.With(before, after, 1).Nodes, node => node.Node == Name(1));
    }

    [Fact]
    public void A_node_that_two_replicas_have_told_two_places_has_the_later_one()
    {
        var before = Document((0, null));
        var (after, _) = before.Follow(Question(Name(1)) with { Order = 5 }, All, Nothing, 1, Now, new Random(1));
        var (stored, _) = before.Follow(Question(Name(1)) with { Order = 9 }, All, Nothing, 1, Now, new Random(1));

        Assert.Equal(9, stored.With(before, after, 1).Nodes.Single(node => node.Node == Name(1)).Order);
    }

    [Fact]
    public void A_node_that_has_declined_is_not_followed_by_that_one_and_stays_for_others()
    {
        var (after, answer) = Document((0, null), (1, 0)).Follow(Question(Name(2)) with { Declined = [Name(1)] }, All, Nothing, 1, Now, new Random(1));

        Assert.Equal(Name(0), answer.Parent?.Name);
        Assert.Equal(Name(1), after.Follow(Question(Name(3)), All, Nothing, 1, Now, new Random(1)).Answer.Parent?.Name);
    }

    [Fact]
    public void A_question_that_is_repeated_gets_the_same_answer_until_its_parent_has_failed_or_is_gone()
    {
        var document = Document((0, null), (1, null), (2, 1));
        var question = Question(Name(2));
        var without = All.Values.Where(node => node.Name != Name(1)).ToDictionary(node => node.Name);

        for (var seed = 0; seed < 20; seed++)
        {
            Assert.Equal((document, new FollowAnswer(Layer, 1, All[Name(1)], Order: 3)), document.Follow(question, All, Nothing, 9, Now.AddSeconds(1), new Random(seed)));
            Assert.Equal((document, new FollowAnswer(Layer, 0, Order: 1)), document.Follow(Question(Name(0)), All, Nothing, 9, Now.AddSeconds(1), new Random(seed)));
        }

        Assert.Equal(Name(0), document.Follow(question with { Declined = [Name(1)] }, All, Nothing, 9, Now, new Random(1)).Answer.Parent?.Name);
        Assert.Equal(Name(0), document.Follow(Question(Name(2), [Name(1)]), All, Nothing, 9, Now, new Random(1)).Answer.Parent?.Name);
        Assert.Equal(Name(0), document.Follow(question, without, Nothing, 9, Now, new Random(1)).Answer.Parent?.Name);
    }

    [Fact]
    public void Nodes_that_have_it_whole_are_followed_first_and_then_those_that_follow_them()
    {
        var (document, random) = (InFlightDocument.Empty, new Random(1));
        var parents = new List<(NodeName? Parent, int Depth)>();
        for (var i = 2; i < 7; i++)
        {
            (document, var answer) = document.Follow(Question(Name(i)) with { Holders = [Name(0), Name(1)] }, All, Nothing, 1, Now, random);
            parents.Add((answer.Parent?.Name, answer.Depth));
        }

        Assert.Equal(new HashSet<NodeName> { Name(0), Name(1) }, parents[..2].Select(found => found.Parent!.Value).ToHashSet());
        Assert.Equal([1, 1, 2, 2, 3], parents.Select(found => found.Depth));
        Assert.Equal(new HashSet<NodeName> { Name(0), Name(1) }, document.Nodes.Where(node => node.IsComplete).Select(node => node.Node).ToHashSet());
    }

    [Fact]
    public void A_holder_that_is_gone_or_has_failed_is_not_followed()
    {
        var without = All.Values.Where(node => node.Name != Name(0)).ToDictionary(node => node.Name);
        var question = Question(Name(2), [Name(1)]) with { Holders = [Name(0), Name(1)] };

        Assert.Null(InFlightDocument.Empty.Follow(question, without, Nothing, 1, Now, new Random(1)).Answer.Parent);
    }

    [Fact]
    public void Of_a_slow_lead_its_follower_is_made_a_lead_once_and_then_those_after_it_follow_that_one()
    {
        var document = Document((0, null), (1, 0), (2, 1));

        var (after, second) = document.Follow(Question(Name(1)) with { Slow = Name(0) }, All, Nothing, 1, Now, new Random(1));
        var (_, late) = after.Follow(Question(Name(3)), All, Nothing, 1, Now, new Random(1));

        AssertTold(0, null, second);
        Assert.Equal([(Name(0), null, true), (Name(2), Name(1), false), (Name(1), null, false)], after.Nodes.Select(node => (node.Node, node.Parent, node.IsSlow)));
        Assert.Equal(Name(2), late.Parent?.Name);
    }

    [Fact]
    public void There_are_never_more_than_two_leads_for_slowness()
    {
        var document = Document((0, null), (1, 0), (2, null), (3, 2));

        var (after, answer) = document.Follow(Question(Name(3)) with { Slow = Name(2) }, All, _ => new InFlightLoad(9, 0), 1, Now, new Random(1));
        var (_, alone) = Document((0, null), (2, null), (3, 2)).Follow(
            Question(Name(3)) with { Slow = Name(2) }, All.Values.Where(node => node.Name != Name(0)).ToDictionary(node => node.Name), Nothing, 1, Now, new Random(1));

        Assert.Equal(Name(1), answer.Parent?.Name);
        Assert.Equal(Name(2), alone.Parent?.Name);
        Assert.True(after.Nodes.Single(node => node.Node == Name(2)).IsSlow);
    }

    private static void AssertTold(int depth, NodeName? parent, FollowAnswer answer) => Assert.Equal((depth, parent), (answer.Depth, answer.Parent?.Name));

    private static NodeName Name(int number) => NodeName.Parse($"node-{number}");

    private static NodeIdentity Identity(NodeName name) => new(name, Location.Default, BlobAddress.Parse($"http://{name}.example:5000"));

    private static FollowRequest Question(NodeName node, IReadOnlyList<NodeName>? failed = null) => new(node, Location.Default, Layer, failed ?? []);

    private static InFlightLoad Nothing(NodeName node) => default;

    private static InFlightDocument Document(params (int Node, int? Parent)[] entries) =>
        new([.. entries.Select((entry, i) => new InFlightNode(
            Name(entry.Node), Now, entry.Parent is { } parent ? Name(parent) : null, Followers: entries.Count(other => other.Parent == entry.Node), Order: i + 1))]);

    private static List<NodeName> Chosen(int bits) => [.. Enumerable.Range(0, Nodes).Where(i => ((bits >> i) & 1) == 1).Select(Name)];

    private static void AssertSound(InFlightDocument document)
    {
        Assert.Equal(document.Nodes.Count, document.Nodes.DistinctBy(node => node.Node).Count());
        Assert.All(document.Nodes, node => Assert.Equal(document.Nodes.Count(other => other.Parent == node.Node), node.Followers));
        Assert.All(document.Nodes, node => Ancestors(document, node.Node));
    }

    /// <summary>The nodes between one and its root, the root included; fails when they go round in a circle.</summary>
    private static List<NodeName> Ancestors(InFlightDocument document, NodeName node)
    {
        var parents = document.Nodes.ToDictionary(one => one.Node, one => one.Parent);
        var ancestors = new List<NodeName>();
        while (parents[node] is { } parent && parents.ContainsKey(parent))
        {
            Assert.DoesNotContain(parent, ancestors);
            ancestors.Add(parent);
            node = parent;
        }

        return ancestors;
    }
}
