using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>Tells what goes wrong in a backend or with a request's settings, and is the caller's to hear, from errors of ours.</summary>
internal static class BackendError
{
    public static bool Is(Exception error) =>
        error is ETagException or BackendException or RedisException or TimeoutException or FormatException or OverflowException;
}

/// <summary>A backend did not do what it was asked to; the message says what and why.</summary>
internal sealed class BackendException(string message, Exception innerException) : Exception(message, innerException);
