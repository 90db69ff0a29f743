namespace SpegelDapr.LocalDapr;

/// <summary>Something its user can mend: a component, a run file, a port. The message is one line that names it and the remedy.</summary>
public sealed class LocalDaprException : Exception
{
    /// <summary>With a message for the user.</summary>
    public LocalDaprException(string message)
        : base(message)
    {
    }

    /// <summary>With a message for the user and what is behind it.</summary>
    public LocalDaprException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
