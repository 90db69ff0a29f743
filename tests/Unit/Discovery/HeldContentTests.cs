using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Unit.Discovery;

public class HeldContentTests
{
    private static readonly DateTimeOffset Monday = new(2026, 1, 5, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Is_not_complete_before_everything_has_been_listed()
    {
        var content = new HeldContent();

        content.Apply(new ContentAdded(Some.Digest(1)));
        Assert.False(content.IsComplete);

        Assert.True(content.Apply(new ContentListed([])));
        Assert.True(content.IsComplete);
        Assert.Empty(content.TakeAll());
    }

    [Fact]
    public void What_comes_and_goes_before_it_is_taken_is_never_seen()
    {
        var content = Listed();

        content.Apply(new ContentAdded(Some.Digest(1)));
        content.Apply(new ContentRemoved(Some.Digest(1)));

        var (removed, added) = content.TakeChanges();
        Assert.Empty(removed);
        Assert.Empty(added);
    }

    [Fact]
    public void A_tag_that_moves_is_removed_with_its_old_digest_and_added_with_its_new_one()
    {
        var (before, after) = (Some.Tag("app:1", 1, Monday), Some.Tag("app:1", 2, Monday.AddDays(1)));
        var content = Listed(before);

        content.Apply(new ContentListed([after]));

        var (removed, added) = content.TakeChanges();
        Assert.Equal(before, Assert.Single(removed));
        Assert.Equal(after, Assert.Single(added));
        Assert.Equal(ContentSummary.Of(after), content.TakenSummary);
    }

    [Fact]
    public void A_tag_that_is_confirmed_later_is_removed_as_it_was_and_added_as_it_is()
    {
        var (before, confirmed) = (Some.Tag("app:1", 1, Monday), Some.Tag("app:1", 1, Monday.AddDays(1)));
        var content = Listed(before);

        content.Apply(new ContentListed([confirmed]));

        var (removed, added) = content.TakeChanges();
        Assert.Equal(before, Assert.Single(removed));
        Assert.Equal(confirmed, Assert.Single(added));
        Assert.Equal(1, content.TakenSummary.Count);
    }

    [Fact]
    public void A_list_that_says_the_same_again_changes_nothing()
    {
        var held = new HeldKey(Some.Digest(1));
        var content = Listed(held);

        Assert.False(content.Apply(new ContentListed([held])));
    }

    [Property]
    public Property Changes_taken_at_any_times_add_up_to_what_is_held() => Prop.ForAll(
        Some.Histories.ToArbitrary(),
        history =>
        {
            var content = Listed();
            var heard = new Dictionary<ContentKey, HeldKey>();
            var sum = default(ContentSummary);
            foreach (var (change, isTaken) in history.Append((new ContentAdded(Some.Digest(99)), true)))
            {
                content.Apply(change);
                if (isTaken)
                {
                    var (removed, added) = content.TakeChanges();
                    Assert.All(removed, key => Assert.True(heard.Remove(key.Key, out var was) && was == key));
                    Assert.All(added, key => Assert.True(heard.TryAdd(key.Key, key)));

                    // As a resolver adds up what it hears.
                    sum += ContentSummary.Of(added) - ContentSummary.Of(removed);
                    Assert.Equal(ContentSummary.Of(heard.Values), content.TakenSummary);
                    Assert.Equal(content.TakenSummary, sum);
                }
            }

            Assert.Equal(content.TakeAll().ToHashSet(), heard.Values.ToHashSet());
        });

    private static HeldContent Listed(params HeldKey[] held)
    {
        var content = new HeldContent();
        content.Apply(new ContentListed(held));
        content.TakeAll();
        return content;
    }
}
