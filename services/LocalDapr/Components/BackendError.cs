using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>Tells what goes wrong in a backend or with a request's settings, and is the caller's to hear, from errors of ours.</summary>
internal static class BackendError
{
    public static bool Is(Exception error) =>
        error is ETagException or RedisException or TimeoutException or FormatException or OverflowException;
}
