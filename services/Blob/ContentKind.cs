namespace SpegelDapr.Blob;

/// <summary>The two endpoints of the OCI distribution specification that give content.</summary>
internal enum ContentKind
{
    /// <summary>Anything by digest.</summary>
    Blob,

    /// <summary>A manifest, by digest or tag.</summary>
    Manifest,
}
