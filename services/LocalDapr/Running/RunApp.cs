namespace SpegelDapr.LocalDapr.Running;

/// <summary>An app to run with its sidecar.</summary>
/// <param name="Sidecar">What the sidecar is to be.</param>
internal sealed record RunApp(AppSpec Sidecar)
{
    /// <summary>The app's program and its arguments; empty when it is started elsewhere.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>The app's working directory; null for this process's.</summary>
    public string? Directory { get; init; }

    /// <summary>The app's environment, beside this process's and Dapr's.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>The file that takes the app's output; null for none.</summary>
    public string? LogFile { get; init; }

    /// <summary>Whether the app's output goes to the console.</summary>
    public bool LogsToConsole { get; init; } = true;
}
