namespace SpegelDapr.Blob;

/// <summary>The endpoints of the OCI distribution specification that a mirror has.</summary>
internal enum ContentKind
{
    /// <summary>Anything by digest.</summary>
    Blob,

    /// <summary>A manifest, by digest or tag.</summary>
    Manifest,

    /// <summary>The manifests that refer to one, by its digest.</summary>
    Referrers,
}
