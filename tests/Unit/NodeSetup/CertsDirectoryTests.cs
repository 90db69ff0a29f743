using SpegelDapr.Cli;
using SpegelDapr.Cli.NodeSetup;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.NodeSetup;

public sealed class CertsDirectoryTests : IDisposable
{
    private const string Mark = "# Managed by spegel-dapr: 'configure' overwrites changes made here, 'cleanup' restores what was here before.\n";
    private const string OwnDirectory = "# This directory is spegel-dapr's as well.\n";

    private const string OurHost = """
        [host]
        [host."http://127.0.0.1:5000"]
        capabilities = ["pull", "resolve"]
        dial_timeout = "200ms"

        """;

    private readonly CertsTree _tree = new();

    [Fact]
    public void Registries_have_the_mirror_before_the_registry_itself()
    {
        _tree.Configure(CertsTree.Settings("https://docker.io", "http://registry.corp:5000", "ghcr.io", "[::1]:5000"));

        Assert.Equal($"{Mark}{OwnDirectory}server = \"https://registry-1.docker.io\"\n{OurHost}", _tree.Read("docker.io/hosts.toml"));
        Assert.Equal($"{Mark}{OwnDirectory}server = \"http://registry.corp:5000\"\n{OurHost}", _tree.Read("registry.corp:5000/hosts.toml"));
        Assert.Equal($"{Mark}{OwnDirectory}server = \"https://ghcr.io\"\n{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
        Assert.Equal($"{Mark}{OwnDirectory}{OurHost}", _tree.Read("[::1]:5000/hosts.toml"));
    }

    [Fact]
    public void Mirrors_are_tried_in_the_order_given_and_without_tags_if_so_told()
    {
        var settings = CertsTree.Settings() with { ResolveTags = false, Mirrors = [BlobAddress.Parse("http://[fd00::1]:30020"), BlobAddress.Parse("http://10.0.0.1:30021")] };

        _tree.Configure(settings);

        Assert.Equal(
            $"""
            {Mark}{OwnDirectory}[host]
            [host."http://[fd00::1]:30020"]
            capabilities = ["pull"]
            dial_timeout = "200ms"
            [host."http://10.0.0.1:30021"]
            capabilities = ["pull"]
            dial_timeout = "200ms"

            """,
            _tree.Read("_default/hosts.toml"));
    }

    [Fact]
    public void How_the_registry_is_reached_stays_and_its_other_mirrors_go()
    {
        _tree.Add("registry.corp/hosts.toml", "ca = 'corp.crt'\nserver = 'https://registry.corp:8443'\nskip_verify = false\n[host.'http://old']\n[header]\nx-a = 'b'\n");

        _tree.Configure(CertsTree.Settings("registry.corp"));

        Assert.Equal(
            $"{Mark}server = \"https://registry.corp:8443\"\nca = \"corp.crt\"\nskip_verify = false\n[header]\nx-a = \"b\"\n{OurHost}", _tree.Read("registry.corp/hosts.toml"));
    }

    [Fact]
    public void Prepending_keeps_other_mirrors_in_their_order_and_ours_once()
    {
        _tree.Add("ghcr.io/hosts.toml", """
            [host.'http://b:30020'.header]
            x-a = ['1', '2']
            [host.'http://127.0.0.1:5000/']
            [host.'http://a:30020']
            capabilities = ['pull', 'push']
            client = [['a.cert', 'a.key']]
            [host.'http://b:30020']
            override_path = true
            """);

        _tree.Configure(CertsTree.Settings("ghcr.io") with { PrependExisting = true });

        Assert.Equal(
            $"""
            {Mark}server = "https://ghcr.io"
            {OurHost}[host."http://b:30020"]
            override_path = true
            [host."http://b:30020".header]
            x-a = ["1", "2"]
            [host."http://a:30020"]
            capabilities = ["pull", "push"]
            client = [["a.cert", "a.key"]]

            """,
            _tree.Read("ghcr.io/hosts.toml"));
    }

    [Fact]
    public void Certificate_files_that_containerd_would_no_longer_look_for_are_named()
    {
        _tree.Add("ghcr.io/b.crt").Add("ghcr.io/a.crt").Add("ghcr.io/x.cert").Add("ghcr.io/x.key").Add("ghcr.io/y.cert").Add("ghcr.io/notes");

        _tree.Configure(CertsTree.Settings("ghcr.io"));

        Assert.Equal(
            $"{Mark}server = \"https://ghcr.io\"\nca = [\"a.crt\", \"b.crt\"]\nclient = [[\"x.cert\", \"x.key\"], [\"y.cert\", \"\"]]\n{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
    }

    [Fact]
    public void Certificate_files_beside_a_hosts_toml_stay_as_unused_as_they_were()
    {
        _tree.Add("ghcr.io/a.crt").Add("ghcr.io/hosts.toml", "[host.'http://old']");

        _tree.Configure(CertsTree.Settings("ghcr.io"));

        Assert.Equal($"{Mark}server = \"https://ghcr.io\"\n{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
    }

    [Fact]
    public void A_registry_that_had_the_default_only_keeps_following_it()
    {
        _tree.Add("_default/hosts.toml", "ca = 'a.crt'\n[host.'http://old']\nca = ['b.crt', '/c.crt']\nclient = [['x.cert', '']]\n");

        _tree.Configure(CertsTree.Settings("ghcr.io") with { PrependExisting = true });

        Assert.Equal(
            $"""
            {Mark}{OwnDirectory}server = "https://ghcr.io"
            ca = "../_default/a.crt"
            {OurHost}[host."http://old"]
            ca = ["../_default/b.crt", "/c.crt"]
            client = [["../_default/x.cert", ""]]

            """,
            _tree.Read("ghcr.io/hosts.toml"));
    }

    [Fact]
    public void Without_registries_those_that_have_a_directory_are_mirrored_there()
    {
        _tree.Add("docker.io/hosts.toml", "server = 'https://registry.corp'").AddDirectory("ghcr.io").AddDirectory("_backup").AddDirectory(".hidden");

        var changes = _tree.Configure(CertsTree.Settings());

        Assert.Equal(["_default/hosts.toml", "docker.io/hosts.toml", "ghcr.io/hosts.toml"], changes.Select(change => Path.GetRelativePath(_tree.Path, change.File)));
        Assert.Equal($"{Mark}server = \"https://registry.corp\"\n{OurHost}", _tree.Read("docker.io/hosts.toml"));
        Assert.Equal($"{Mark}{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
        Assert.Empty(Directory.GetFileSystemEntries(_tree.At("_backup")));
    }

    [Fact]
    public void The_directory_is_used_in_which_containerd_looks_first()
    {
        _tree.AddDirectory("registry.corp_5000_").AddDirectory("registry.corp:5000");

        var changes = _tree.Configure(CertsTree.Settings("registry.corp:5000"));

        Assert.Equal(_tree.At("registry.corp_5000_/hosts.toml"), Assert.Single(changes).File);
    }

    [Fact]
    public void A_second_run_changes_nothing()
    {
        _tree.Add("docker.io/hosts.toml", "server = 'https://registry.corp'");
        _tree.Configure(CertsTree.Settings("docker.io", "ghcr.io"));
        var before = _tree.Snapshot();
        var steps = new List<string>();

        var changes = _tree.Configure(CertsTree.Settings("docker.io", "ghcr.io"), steps.Add);

        Assert.All(changes, change => Assert.Equal(ChangeKind.Unchanged, change.Kind));
        Assert.Empty(steps);
        Assert.Equal(before, _tree.Snapshot());
    }

    [Fact]
    public void A_mirror_that_moved_is_followed_and_cleanup_still_restores_the_first_file()
    {
        _tree.Add("docker.io/hosts.toml", "# mine\nserver = 'https://registry.corp'\n");
        var before = _tree.Snapshot();
        _tree.Configure(CertsTree.Settings("docker.io"));

        _tree.Configure(CertsTree.Settings("docker.io") with { Mirrors = [BlobAddress.Parse("http://127.0.0.1:6000")] });

        Assert.Contains("http://127.0.0.1:6000", _tree.Read("docker.io/hosts.toml"), StringComparison.Ordinal);
        Assert.DoesNotContain("http://127.0.0.1:5000", _tree.Read("docker.io/hosts.toml"), StringComparison.Ordinal);
        _tree.Cleanup();
        Assert.Equal(before, _tree.Snapshot());
    }

    [Fact]
    public void A_file_that_somebody_has_put_in_place_of_ours_is_merged_and_restored()
    {
        _tree.Add("docker.io/hosts.toml", "server = 'https://first'");
        _tree.Configure(CertsTree.Settings("docker.io"));
        _tree.Add("docker.io/hosts.toml", "server = 'https://second'");

        _tree.Configure(CertsTree.Settings("docker.io"));

        Assert.Equal($"{Mark}server = \"https://second\"\n{OurHost}", _tree.Read("docker.io/hosts.toml"));
        _tree.Cleanup();
        Assert.Equal("server = 'https://second'", _tree.Read("docker.io/hosts.toml"));
        Assert.Equal([_tree.At("docker.io/hosts.toml")], Directory.GetFileSystemEntries(_tree.At("docker.io")));
    }

    [Fact]
    public void A_file_that_somebody_has_put_in_place_of_ours_survives_cleanup()
    {
        _tree.Add("docker.io/hosts.toml", "server = 'https://first'");
        _tree.Configure(CertsTree.Settings("docker.io"));
        _tree.Add("docker.io/hosts.toml", "server = 'https://second'");

        _tree.Cleanup();

        Assert.Equal("server = 'https://second'", _tree.Read("docker.io/hosts.toml"));
        Assert.Equal([_tree.At("docker.io/hosts.toml")], Directory.GetFileSystemEntries(_tree.At("docker.io")));
    }

    [Fact]
    public void A_file_of_ours_that_somebody_has_deleted_comes_back_and_the_first_one_after_it()
    {
        _tree.Add("docker.io/hosts.toml", "server = 'https://first'");
        var before = _tree.Snapshot();
        _tree.Configure(CertsTree.Settings("docker.io"));
        File.Delete(_tree.At("docker.io/hosts.toml"));

        _tree.Configure(CertsTree.Settings("docker.io"));

        Assert.Equal($"{Mark}server = \"https://first\"\n{OurHost}", _tree.Read("docker.io/hosts.toml"));
        File.Delete(_tree.At("docker.io/hosts.toml"));
        _tree.Cleanup();
        Assert.Equal(before, _tree.Snapshot());
    }

    [Fact]
    public void What_somebody_has_added_to_our_directory_outlives_it()
    {
        _tree.Configure(CertsTree.Settings("ghcr.io"));
        _tree.Add("ghcr.io/a.crt");
        _tree.Configure(CertsTree.Settings("ghcr.io"));
        Assert.Contains("ca = [\"a.crt\"]", _tree.Read("ghcr.io/hosts.toml"), StringComparison.Ordinal);

        _tree.Cleanup();

        Assert.Equal([_tree.At("ghcr.io/a.crt")], Directory.GetFiles(_tree.Path, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Directories_that_are_the_same_one_cannot_name_two_servers()
    {
        _tree.AddDirectory("shared").AddLink("docker.io", "shared").AddLink("ghcr.io", "shared");
        var before = _tree.Snapshot();

        var error = Assert.Throws<UserErrorException>(() => _tree.Configure(CertsTree.Settings("docker.io", "ghcr.io")));

        Assert.Equal($"'{_tree.At("docker.io")}' and '{_tree.At("ghcr.io")}' are the same directory: give each registry its own.", error.Message);
        Assert.Equal(before, _tree.Snapshot());
        _tree.Configure(CertsTree.Settings());
        _tree.Cleanup();
        Assert.Equal(before, _tree.Snapshot());
    }

    [Theory]
    [InlineData("server = ", "is not TOML")]
    [InlineData("[host.'a']\n[host.'a']\n", "is not TOML")]
    [InlineData("server = 'a'\nserver = 'b'\n", "is not TOML")]
    [InlineData("host = 'a'", "host is not a table")]
    [InlineData("[host]\n'http://a' = 1", "host.'http://a' is not a table")]
    public void A_malformed_file_is_named_and_nothing_is_changed(string content, string reason)
    {
        _tree.Add("docker.io/hosts.toml", content);
        var before = _tree.Snapshot();

        var error = Assert.Throws<UserErrorException>(() => _tree.Configure(CertsTree.Settings("ghcr.io", "docker.io") with { PrependExisting = true }));

        Assert.StartsWith($"'{_tree.At("docker.io/hosts.toml")}' ", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        Assert.Equal(before, _tree.Snapshot());
    }

    [Fact]
    public void A_link_that_leads_nowhere_is_named()
    {
        _tree.AddLink("docker.io", "/nowhere/docker.io");

        var error = Assert.Throws<UserErrorException>(() => _tree.Configure(CertsTree.Settings("docker.io")));

        Assert.Equal($"'{_tree.At("docker.io")}' is no directory that can be seen here: remove it, or mount where it leads.", error.Message);
    }

    [Fact]
    public void What_cannot_be_written_is_named()
    {
        var path = "/proc/self/task";

        var error = Assert.Throws<UserErrorException>(() => new CertsDirectory(path, new NodeFiles()).Configure(CertsTree.Settings("docker.io")));

        Assert.StartsWith($"--certs-d is '{path}', which cannot be read and changed (", error.Message, StringComparison.Ordinal);
        Assert.EndsWith("): mount it writable and run as root.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("certs.d")]
    [InlineData("/")]
    [InlineData("/nowhere/certs.d")]
    public void A_path_that_cannot_be_meant_is_named(string path)
    {
        var error = Assert.Throws<UserErrorException>(() => new CertsDirectory(path, new NodeFiles()).Configure(CertsTree.Settings("docker.io")));

        Assert.StartsWith($"--certs-d is '{path}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_run_at_the_same_time_is_turned_away()
    {
        _tree.AddDirectory("");
        using var other = NodeFiles.TryLock(_tree.Path);

        var error = Assert.Throws<UserErrorException>(() => _tree.Configure(CertsTree.Settings("docker.io")));

        Assert.StartsWith("Another spegel-dapr is at work", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://docker.io/library")]
    [InlineData("ftp://docker.io")]
    [InlineData("https://")]
    [InlineData("docker.io:port")]
    [InlineData("../docker.io")]
    [InlineData("")]
    public void A_registry_that_is_none_is_named(string registry)
    {
        var error = Assert.Throws<UserErrorException>(() => MirroredRegistry.ParseAll([registry]));

        Assert.StartsWith($"--registry is '{registry}': ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_registry_is_given_in_one_way()
    {
        Assert.Single(MirroredRegistry.ParseAll(["https://ghcr.io", "ghcr.io"]));
        Assert.Throws<UserErrorException>(() => MirroredRegistry.ParseAll(["https://ghcr.io", "http://ghcr.io"]));
    }

    public void Dispose() => _tree.Dispose();
}
