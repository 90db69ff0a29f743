using System.Diagnostics;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>W3C trace context as Dapr puts it into <c>traceid</c> and <c>traceparent</c>.</summary>
internal static class TraceParent
{
    /// <summary>A new span in the caller's trace, or in a new one when the caller's <c>traceparent</c> header is absent or malformed.</summary>
    public static string Continue(string? callers)
    {
        var trace = ActivityContext.TryParse(callers, null, out var context) ? context.TraceId : ActivityTraceId.CreateRandom();
        var flags = context.TraceFlags.HasFlag(ActivityTraceFlags.Recorded) ? "01" : "00";
        return $"00-{trace}-{ActivitySpanId.CreateRandom()}-{flags}";
    }
}
