namespace SpegelDapr.EndToEnd.Harness;

/// <summary>What is tried again.</summary>
public sealed class EventuallyTests
{
    [Fact]
    public async Task A_request_that_ran_out_of_its_own_time_is_sent_again()
    {
        var requests = 0;

        await Eventually.HoldsAsync("the second request is answered", async () =>
        {
            using var http = new HttpClient(new SecondAnswers(() => ++requests)) { Timeout = TimeSpan.FromMilliseconds(50) };
            using var response = await http.GetAsync(new Uri("http://server.test/"));
            return response.IsSuccessStatusCode;
        });

        Assert.Equal(2, requests);
    }

    [Fact]
    public async Task A_cancelled_condition_is_not() =>
        await Assert.ThrowsAsync<TaskCanceledException>(() => Eventually.HoldsAsync("nothing", () => Task.FromCanceled<bool>(new CancellationToken(canceled: true))));

    private sealed class SecondAnswers(Func<int> count) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (count() == 1)
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
            }

            return new HttpResponseMessage();
        }
    }
}
