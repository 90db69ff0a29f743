namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A test of services as native code in containers, which needs more programs than a <see cref="RealFactAttribute"/>.</summary>
internal sealed class NativeFactAttribute() : RealFactAttribute(["clang", "ldd", "runc"]);
