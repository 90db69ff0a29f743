using System.Threading.Channels;

namespace SpegelDapr.LocalDapr.Components.InMemory;

/// <summary>
/// A broker in memory. Each consumer group of a topic gets every message once; its members share them. A group lasts as long as it has a
/// member, and there is nothing for groups that come later, as in Dapr's own. A message whose handler fails is delivered again after a growing
/// wait, as brokers do; Dapr's in-memory component logs and forgets it.
/// </summary>
internal sealed class InMemoryBroker(TimeProvider time)
{
    private const int WorkersPerMember = 10;
    private static readonly TimeSpan FirstWait = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Topic, string Group), Group> _groups = [];

    public void Publish(string topic, PubSubMessage message)
    {
        lock (_lock)
        {
            foreach (var ((groupTopic, _), group) in _groups)
            {
                if (groupTopic == topic)
                {
                    group.Queue.Writer.TryWrite(new Delivery(message, FirstWait));
                }
            }
        }
    }

    public IAsyncDisposable Join(string topic, string consumerGroup, MessageHandler handler)
    {
        lock (_lock)
        {
            if (!_groups.TryGetValue((topic, consumerGroup), out var group))
            {
                _groups.Add((topic, consumerGroup), group = new Group());
            }

            group.Members++;
            return new Member(this, topic, consumerGroup, group, handler);
        }
    }

    private void Leave(string topic, string consumerGroup, Group group)
    {
        lock (_lock)
        {
            if (--group.Members == 0)
            {
                _groups.Remove((topic, consumerGroup));
            }
        }
    }

    private async Task RedeliverAsync(Group group, Delivery delivery)
    {
        await Task.Delay(delivery.Wait, time);
        var wait = delivery.Wait * 2;
        group.Queue.Writer.TryWrite(delivery with { Wait = wait < LongestWait ? wait : LongestWait });
    }

    private sealed record Delivery(PubSubMessage Message, TimeSpan Wait);

    private sealed class Group
    {
        public Channel<Delivery> Queue { get; } = Channel.CreateUnbounded<Delivery>();

        public int Members { get; set; }
    }

    private sealed class Member : IAsyncDisposable
    {
        private readonly InMemoryBroker _broker;
        private readonly string _topic;
        private readonly string _consumerGroup;
        private readonly Group _group;
        private readonly MessageHandler _handler;
        private readonly CancellationTokenSource _stopping = new();
        private readonly Task[] _workers;

        public Member(InMemoryBroker broker, string topic, string consumerGroup, Group group, MessageHandler handler)
        {
            (_broker, _topic, _consumerGroup, _group, _handler) = (broker, topic, consumerGroup, group, handler);
            _workers = [.. Enumerable.Range(0, WorkersPerMember).Select(_ => Task.Run(WorkAsync))];
        }

        public async ValueTask DisposeAsync()
        {
            await _stopping.CancelAsync();
            await Task.WhenAll(_workers);
            _broker.Leave(_topic, _consumerGroup, _group);
            _stopping.Dispose();
        }

        private async Task WorkAsync()
        {
            try
            {
                await foreach (var delivery in _group.Queue.Reader.ReadAllAsync(_stopping.Token))
                {
                    await HandleAsync(delivery);
                }
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                // The member leaves.
            }
        }

        private async Task HandleAsync(Delivery delivery)
        {
            var done = false;
            try
            {
                done = await _handler(delivery.Message, _stopping.Token);
            }
            finally
            {
                if (!done)
                {
                    _ = _broker.RedeliverAsync(_group, delivery);
                }
            }
        }
    }
}
