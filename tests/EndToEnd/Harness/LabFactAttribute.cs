namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A test in the zone lab, which needs more programs than a <see cref="RealFactAttribute"/>.</summary>
internal class LabFactAttribute() : RealFactAttribute(Programs)
{
    private static readonly string[] Programs = ["ip", "tc", "nsenter"];

    /// <summary>Whether such tests can run here.</summary>
    public static bool CanRun => WhyNot(Programs) is null;
}
