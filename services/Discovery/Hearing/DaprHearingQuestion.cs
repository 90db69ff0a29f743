using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Dapr.Client;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Hearing;

/// <summary>Asks a resolver of the node's zone over Dapr service invocation.</summary>
internal sealed class DaprHearingQuestion : IHearingQuestion, IDisposable
{
    private const int MostAnswerBytes = 64 * 1024;
    private const int MostReasonChars = 512;

    private readonly HttpClient _resolver;

    public DaprHearingQuestion(DaprClient dapr, IOptions<NodeOptions> node)
    {
        _resolver = dapr.CreateInvokableHttpClient(DaprNames.Resolver(node.Value.Location.Zone));
        _resolver.Timeout = Timeout.InfiniteTimeSpan;
        _resolver.MaxResponseContentBufferSize = MostAnswerBytes;
    }

    /// <inheritdoc/>
    public async Task<Heard> AskAsync(HearingRequest question, CancellationToken cancellationToken)
    {
        try
        {
            using var content = JsonContent.Create(question, ContractsJson.Default.HearingRequest);
            await content.LoadIntoBufferAsync(cancellationToken);
            using var response = await _resolver.PostAsync(new Uri(HearingRequest.Method, UriKind.Relative), content, cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                var reason = (await response.Content.ReadAsStringAsync(cancellationToken)).ReplaceLineEndings(" ");
                throw new NoAnswerException(
                    $"{(int)response.StatusCode} {reason[..Math.Min(reason.Length, MostReasonChars)]}", response.StatusCode == HttpStatusCode.ServiceUnavailable);
            }

            var answer = await response.Content.ReadFromJsonAsync(ContractsJson.Default.HearingAnswer, cancellationToken);
            return answer?.Heard ?? throw new NoAnswerException("The answer is null.");
        }
        catch (Exception e) when (e is HttpRequestException or JsonException)
        {
            throw new NoAnswerException(e.Message, innerException: e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _resolver.Dispose();
}
