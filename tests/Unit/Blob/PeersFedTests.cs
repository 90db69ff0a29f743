using System.Net;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class PeersFedTests
{
    private const int MiB = 1024 * 1024;

    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly Digest Other = Digest.OfSha256([2]);

    private readonly FakeTimeProvider _time = new();
    private readonly PeersFed _fed;

    public PeersFedTests() => _fed = new PeersFed(_time);

    [Fact]
    public void There_is_a_bound_on_all_and_the_next_one_is_fed_when_one_has_ended()
    {
        var fed = Enumerable.Range(0, PeersFed.Most).Select(i => Begin(i, isReferred: false)!).ToArray();

        Assert.Null(Begin(PeersFed.Most, isReferred: false));
        fed[5].Dispose();
        Assert.NotNull(Begin(PeersFed.Most, isReferred: false));
    }

    [Fact]
    public void While_it_is_not_known_what_the_node_can_send_four_get_the_same_and_the_others_are_referred_to_them()
    {
        var fed = Enumerable.Range(0, 5).Select(i => Begin(i)).ToArray();

        Assert.Equal([true, true, true, true, false], fed.Select(peer => peer is not null));
        Assert.Equal(["peer-3", "peer-2", "peer-1", "peer-0"], _fed.Of(Layer).Select(name => name.ToString()));
        Assert.Empty(_fed.Of(Other));
    }

    [Fact]
    public void One_that_goes_nowhere_else_and_other_or_small_content_is_sent_while_many_get_the_same()
    {
        Enumerable.Range(0, 4).ToList().ForEach(i => Begin(i));

        Assert.NotNull(Begin(5, isReferred: false));
        Assert.NotNull(Begin(6, Other));
        Assert.NotNull(_fed.TryBegin(Layer, MiB, Name(7), isReferred: true, address: null));
    }

    [Fact]
    public void A_third_gets_the_same_only_while_it_makes_nobody_slower()
    {
        var (one, two) = (Begin(1)!, Begin(2)!);
        Send(10 * MiB, one, two);
        Assert.Null(Begin(3));

        // They take less than the node can send: it is their links that are slow.
        Send(2 * MiB, one, two);
        Begin(3)!.Dispose();

        // All that there is has been taken: it is the node's own source that is slow.
        Send(10 * MiB, one, two);
        one.Sent(0, isBehind: false);
        Assert.NotNull(Begin(3));
    }

    [Fact]
    public void One_more_begins_only_when_the_last_one_has_shown_what_it_leaves()
    {
        var (one, two) = (Begin(1)!, Begin(2)!);
        Send(10 * MiB, one, two);
        Send(2 * MiB, one, two);

        Assert.NotNull(Begin(3));
        Assert.Null(Begin(4));
        Send(2 * MiB, one, two);
        Assert.NotNull(Begin(4));
    }

    [Fact]
    public void One_that_has_just_begun_with_other_content_declines_nobody()
    {
        var (one, two) = (Begin(1)!, Begin(2)!);
        Send(10 * MiB, one, two);
        Send(2 * MiB, one, two);

        Begin(3, Other);

        Assert.NotNull(Begin(4));
    }

    [Fact]
    public void The_fastest_is_what_has_come_or_what_has_gone_to_one_peer()
    {
        var came = new FastestRate(_time);
        Assert.Null(_fed.FastestOf(came));

        Send(10 * MiB, Begin(1)!, Begin(2)!);
        var gone = _fed.FastestOf(came);
        came.Saw(100 * MiB);

        Assert.Equal(20 * MiB, gone);
        Assert.Equal(100 * MiB, _fed.FastestOf(came));
    }

    [Fact]
    public void Peers_that_take_nothing_any_more_crowd_nobody_out_and_nobody_is_referred_to_them()
    {
        Enumerable.Range(0, 4).ToList().ForEach(i => Begin(i));
        Assert.Null(Begin(5));

        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.NotNull(Begin(6));
        Assert.Equal(["peer-6"], _fed.Of(Layer).Select(name => name.ToString()));
    }

    [Fact]
    public void One_address_gets_a_part_of_the_places()
    {
        var (one, other) = (IPAddress.Parse("10.0.0.1"), IPAddress.Parse("10.0.0.2"));
        var fed = Enumerable.Range(0, PeersFed.MostOfOneAddress + 1).Select(_ => _fed.TryBegin(Layer, MiB, null, isReferred: false, one)).ToArray();

        Assert.Null(fed[^1]);
        Assert.DoesNotContain(null, fed[..^1]);
        Assert.NotNull(_fed.TryBegin(Layer, MiB, null, isReferred: false, other));
    }

    [Fact]
    public void What_was_sent_before_a_pause_says_nothing()
    {
        var (one, two) = (Begin(1)!, Begin(2)!);
        Send(10 * MiB, one, two);
        one.Dispose();
        two.Dispose();

        Assert.Equal([true, true, true, true, false], Enumerable.Range(0, 5).Select(i => Begin(i) is not null));
    }

    private static NodeName Name(int number) => NodeName.Parse($"peer-{number}");

    private FedPeer? Begin(int peer, Digest? digest = null, bool isReferred = true) => _fed.TryBegin(digest ?? Layer, 64 * MiB, Name(peer), isReferred, address: null);

    /// <summary>Sends bytes to each over as long as a rate is taken.</summary>
    private void Send(int bytes, params FedPeer[] peers)
    {
        foreach (var half in Enumerable.Range(0, 2))
        {
            _time.Advance(TimeSpan.FromMilliseconds(250));
            foreach (var peer in peers)
            {
                peer.Sent(bytes / 2, isBehind: true);
            }
        }
    }
}
