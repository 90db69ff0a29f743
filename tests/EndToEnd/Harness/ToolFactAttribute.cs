namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A test that runs a client of registries beside what a <see cref="RealFactAttribute"/> needs.</summary>
/// <param name="tool">The client.</param>
internal sealed class ToolFactAttribute(string tool) : RealFactAttribute([tool])
{
    /// <summary>The client.</summary>
    public string Tool => tool;
}
