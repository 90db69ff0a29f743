namespace SpegelDapr.Benchmarks;

/// <summary>One line of the table.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Measured">The figure, with its unit.</param>
/// <param name="Target">What it must reach, or what it is measured against.</param>
/// <param name="Reached">Whether it does; null where nothing is demanded.</param>
internal sealed record Figure(string Name, string Measured, string Target, bool? Reached);
