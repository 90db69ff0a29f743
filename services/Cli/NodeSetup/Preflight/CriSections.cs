using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>The section for images of containerd's CRI plugin, and that which another version of the configuration has in its place.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Section">What is in it.</param>
/// <param name="Snapshots">Where what concerns layers is.</param>
/// <param name="OtherName">The other's name.</param>
/// <param name="OtherSection">What is left in it, and is not read.</param>
/// <param name="Tables">Where to write.</param>
internal sealed record CriSections(string Name, TomlTable Section, TomlTable Snapshots, string OtherName, TomlTable OtherSection, ImageTables Tables)
{
    /// <summary>The plugin's names in configurations of version 1, of version 2, and since version 3 that of its part for images.</summary>
    public const string FirstCri = "cri";

    /// <inheritdoc cref="FirstCri"/>
    public const string SecondCri = "io.containerd.grpc.v1.cri";

    /// <inheritdoc cref="FirstCri"/>
    public const string ImagesCri = "io.containerd.cri.v1.images";

    /// <summary>The first version of the configuration that has <see cref="ImagesCri"/>.</summary>
    public const int VersionWithImagesCri = 3;

    /// <summary>The first containerd that reads it.</summary>
    public static readonly Version SecondVersion = new(2, 0);

    private static readonly Version FirstVersion = new(1, 6);

    /// <summary>The first containerd that brings each file to the newest version of the configuration by itself; earlier ones do so with the whole.</summary>
    private static readonly Version EachFileVersion = new(2, 3);

    /// <summary>What the part for images takes over from a plugin of version 2, and from its table <c>containerd</c> (migrateConfig in plugins/cri/images/plugin.go).</summary>
    private static readonly string[] ImageSettings = ["registry", "max_concurrent_downloads", "image_pull_with_sync_fs"];
    private static readonly string[] SnapshotSettings = ["disable_snapshot_annotations", "discard_unpacked_layers"];

    /// <summary>Whether they are as containerd 2 reads them.</summary>
    public bool IsSecond => Name == ImagesCri;

    /// <summary>Finds them in files in the order in which they are merged.</summary>
    /// <param name="files">The files.</param>
    /// <param name="containerd">containerd's version; null where it is not known, and the files tell it from their own.</param>
    public static CriSections Of(IReadOnlyList<TomlTable> files, Version? containerd)
    {
        containerd ??= files.Any(file => VersionOf(file) >= VersionWithImagesCri || Toml.Table(file, "plugins").ContainsKey(ImagesCri)) ? EachFileVersion : FirstVersion;
        return containerd < SecondVersion ? OfFirst(files) : OfSecond(files, containerd);
    }

    /// <summary>containerd 1 takes a plugin's section from the last file that has one, and the version from the last that says one.</summary>
    private static CriSections OfFirst(IReadOnlyList<TomlTable> files)
    {
        var plugins = new TomlTable();
        var version = 1L;
        foreach (var file in files)
        {
            Toml.Merge(plugins, Toml.Table(file, "plugins"), depth: 1);
            version = VersionOf(file) is > 0 and var given ? given : version;
        }

        var name = version == 1 && plugins.ContainsKey(FirstCri) ? FirstCri : SecondCri;
        var section = Toml.Table(plugins, name);
        return new CriSections(
            name, section, Toml.Table(section, "containerd"), ImagesCri, Toml.Table(plugins, ImagesCri), ImageTables.Of(SaidVersion(files[0]), name, $"\"{name}\".containerd"));
    }

    /// <summary>containerd 2 merges a plugin's sections, and brings them to the version that has a part for images.</summary>
    private static CriSections OfSecond(IReadOnlyList<TomlTable> files, Version containerd)
    {
        var tables = TablesIn(files[0]);
        var plugins = new TomlTable();
        var version = (long)VersionWithImagesCri;
        foreach (var file in files)
        {
            var own = Toml.Table(file, "plugins");
            var given = VersionOf(file);
            if (given < 2)
            {
                Move(own, [FirstCri], own, SecondCri);
            }

            if (containerd >= EachFileVersion && given < VersionWithImagesCri)
            {
                MoveImages(own);
            }

            Toml.Merge(plugins, own, depth: int.MaxValue);
            version = given < 2 ? version : given;
        }

        if (containerd < EachFileVersion && version < VersionWithImagesCri)
        {
            MoveImages(plugins);
        }

        var section = Toml.Table(plugins, ImagesCri);
        return new CriSections(ImagesCri, section, section, SecondCri, Toml.Table(plugins, SecondCri), tables);
    }

    /// <summary>In an older file too the new table is read, unless the old one is moved over it.</summary>
    private static ImageTables TablesIn(TomlTable file)
    {
        var old = VersionOf(file) < VersionWithImagesCri ? Toml.Table(Toml.Table(file, "plugins"), SecondCri) : [];
        var moved = Toml.Table(old, "containerd").ContainsKey("runtimes");
        return ImageTables.Of(SaidVersion(file), old.Count > 0 ? SecondCri : ImagesCri, moved ? $"\"{SecondCri}\".containerd" : $"\"{ImagesCri}\"");
    }

    private static void MoveImages(TomlTable plugins)
    {
        var cri = Toml.Table(plugins, SecondCri);
        var images = Toml.Table(plugins, ImagesCri);
        Move(cri, ImageSettings, images);
        var snapshots = Toml.Table(cri, "containerd");
        if (snapshots.ContainsKey("runtimes"))
        {
            Move(snapshots, SnapshotSettings, images);
        }

        plugins[ImagesCri] = images;
    }

    private static void Move(TomlTable from, string[] keys, TomlTable to, string? newKey = null)
    {
        foreach (var key in keys)
        {
            if (from.TryGetValue(key, out var value))
            {
                from.Remove(key);
                to[newKey ?? key] = value;
            }
        }
    }

    private static long? SaidVersion(TomlTable file) => VersionOf(file) is > 0 and var given ? given : null;

    /// <summary>The version of the configuration that a file says; 0 for none.</summary>
    private static long VersionOf(TomlTable file) => file.TryGetValue("version", out var version) && version is long given ? given : 0;
}
