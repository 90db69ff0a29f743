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

    /// <summary>Hosts by which the registry itself is reached are no mirrors.</summary>
    [Theory]
    [InlineData("registry.corp", "server = 'https://registry.corp'\n[host.'https://registry.corp']\nca = 'ca.crt'\n[host.'http://old']\n", "https://registry.corp")]
    [InlineData("registry.corp", "server = 'registry.corp'\n[host.'registry.corp:443']\nskip_verify = true\n", "registry.corp:443")]
    [InlineData("registry.corp", "server = 'https://10.0.0.9:8443'\n[host.'https://10.0.0.9:8443']\n[host.'https://10.0.0.9']\n", "https://10.0.0.9:8443")]
    [InlineData("registry.corp_5000_", "server = 'https://elsewhere'\n[host.'http://registry.corp:5000']\n[host.'http://registry.corp']\n", "http://registry.corp:5000")]
    [InlineData("docker.io", "server = 'https://docker.io'\n[host.'https://registry-1.docker.io']\n[host.'https://mirror.gcr.io']\n", "https://registry-1.docker.io")]
    [InlineData("localhost:5000", "[host.'http://kind-registry:5000']\n[host.'http://127.0.0.1:5000/v2']\n", "http://kind-registry:5000")]
    public void Hosts_by_which_the_registry_is_reached_stay(string directory, string file, string host)
    {
        _tree.Add($"{directory}/hosts.toml", file);

        _tree.Configure(CertsTree.Settings());

        Assert.Equal(["http://127.0.0.1:5000", host], _tree.Hosts(directory));
    }

    [Fact]
    public void Hosts_that_are_set_aside_are_said()
    {
        _tree.Add("registry.corp/hosts.toml", "server = 'https://registry.corp'\n[host.'http://a']\n[host.'http://127.0.0.1:5000']\n[host.'http://b']\n");

        foreach (var kind in new[] { ChangeKind.Written, ChangeKind.Unchanged })
        {
            var change = Assert.Single(_tree.Configure(CertsTree.Settings("registry.corp")));
            Assert.Equal(kind, change.Kind);
            Assert.Equal(["http://a", "http://b"], change.SetAside);
        }

        var output = new StringWriter();
        NodeSetupReport.Write(new NodeSetupResult(_tree.Configure(CertsTree.Settings("registry.corp")), [], Ok: true), json: false, output);
        Assert.Equal($"{_tree.At("registry.corp/hosts.toml")}: unchanged; set aside until cleanup: http://a, http://b", output.ToString().Trim());
        Assert.Empty(Assert.Single(_tree.Configure(CertsTree.Settings("registry.corp") with { PrependExisting = true })).SetAside);
    }

    /// <summary>containerd 1.x takes hosts in the order of their lines, and a table in braces would be written before ours.</summary>
    [Fact]
    public void Hosts_in_braces_follow_ours_too()
    {
        _tree.Add("ghcr.io/hosts.toml", "[host]\n'http://a' = {capabilities = ['pull'], header = {x-a = 'b'}}\n");

        _tree.Configure(CertsTree.Settings() with { PrependExisting = true });

        Assert.Equal(
            $"""
            {Mark}{OurHost}[host."http://a"]
            capabilities = ["pull"]
            [host."http://a".header]
            x-a = "b"

            """,
            _tree.Read("ghcr.io/hosts.toml"));
    }

    /// <summary>containerd has not looked at what a registry can do and where its API is while the file did not say where the registry is.</summary>
    [Fact]
    public void A_server_that_is_added_does_not_bring_settings_to_life()
    {
        const string Settings = "capabilities = [\"pull\"]\noverride_path = true\nskip_verify = true\n";
        _tree.Add("ghcr.io/hosts.toml", Settings);

        _tree.Configure(CertsTree.Settings("ghcr.io"));
        Assert.Equal($"{Mark}server = \"https://ghcr.io\"\nskip_verify = true\n{OurHost}", _tree.Read("ghcr.io/hosts.toml"));

        _tree.Configure(CertsTree.Settings());
        Assert.Equal($"{Mark}{Settings}{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
    }

    /// <summary>containerd 1.x rejects a file without hosts and looks for certificates, 2.x reads it.</summary>
    [Theory]
    [InlineData(null, "server = \"https://elsewhere\"\nca = \"own.crt\"\nclient = [\"b.cert\"]\n")]
    [InlineData("1.6", "ca = [\"a.crt\"]\nclient = [\"b.cert\"]\n")]
    [InlineData("2.0", "server = \"https://elsewhere\"\nca = \"own.crt\"\n")]
    public void A_hosts_toml_without_hosts_is_followed_as_that_containerd_does(string? containerd, string expected)
    {
        _tree.Add("ghcr.io/a.crt").Add("ghcr.io/b.cert").Add("ghcr.io/hosts.toml", "server = 'https://elsewhere'\nca = 'own.crt'\n");

        _tree.Configure(CertsTree.Settings() with { Containerd = containerd is null ? null : Version.Parse(containerd) });

        Assert.Equal(Mark + expected + OurHost, _tree.Read("ghcr.io/hosts.toml"));
    }

    [Theory]
    [InlineData("1.7", "and containerd 1.7 cannot read an IPv6 address")]
    [InlineData("2.0", null)]
    [InlineData(null, "but its version is not known")]
    public void An_IPv6_mirror_is_refused_where_containerd_may_not_read_it(string? containerd, string? problem)
    {
        var settings = CertsTree.Settings() with
        {
            Mirrors = [BlobAddress.Parse("http://10.0.0.1:5000"), BlobAddress.Parse("http://[fd00::1]:5000")],
            Containerd = containerd is null ? null : Version.Parse(containerd),
        };

        var error = Record.Exception(settings.ThrowIfUnreadable);

        if (problem is null)
        {
            Assert.Null(error);
        }
        else
        {
            var message = Assert.IsType<UserErrorException>(error).Message;
            Assert.StartsWith("--mirror is 'http://[fd00::1]:5000', ", message, StringComparison.Ordinal);
            Assert.Contains(problem, message, StringComparison.Ordinal);
        }
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
            $"{Mark}server = \"https://ghcr.io\"\nca = [\"a.crt\", \"b.crt\"]\nclient = [[\"x.cert\", \"x.key\"], \"y.cert\"]\n{OurHost}", _tree.Read("ghcr.io/hosts.toml"));
    }

    [Fact]
    public void Certificate_files_beside_a_hosts_toml_stay_as_unused_as_they_were()
    {
        _tree.Add("ghcr.io/a.crt").Add("ghcr.io/hosts.toml", "server = 'https://ghcr.io'\n[host.'http://old']");

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
    [InlineData("server = 1", "server is not a string")]
    [InlineData("capabilities = ['pull', 'delete']", "capabilities is not a list of")]
    [InlineData("[host.'http://a']\ncapabilities = 'pull'", "host.'http://a'.capabilities is not a list of")]
    [InlineData("[host.'http://a'.header]\nx-a = 1", "host.'http://a'.header.x-a is not a string")]
    [InlineData("[header]\nx-a = ['b', 1]", "header.x-a is not a string")]
    [InlineData("skip_verify = 'true'", "skip_verify is not true or false")]
    [InlineData("ca = 1", "ca is not a file")]
    [InlineData("client = [['a', 'b', 'c']]", "client is not a file")]
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

    [Theory]
    [InlineData("docker.io", "is no directory that can be seen here")]
    [InlineData("docker.io/hosts.toml", "is a link that leads nowhere that can be seen here")]
    public void A_link_that_leads_nowhere_is_named_and_nothing_is_changed(string file, string reason)
    {
        _tree.AddLink(file, "/nowhere/docker.io").AddDirectory("ghcr.io");
        var before = _tree.Snapshot();

        foreach (var settings in new[] { CertsTree.Settings(), CertsTree.Settings("ghcr.io", "docker.io") })
        {
            var error = Assert.Throws<UserErrorException>(() => _tree.Configure(settings));
            Assert.Equal($"'{_tree.At(file)}' {reason}: remove it, or mount where it leads.", error.Message);
        }

        Assert.Equal(before, _tree.Snapshot());
        Assert.Empty(_tree.Cleanup());
    }

    [Theory]
    [InlineData("docker.io", "docker.io/")]
    [InlineData("real", "alias/real")]
    public void A_directory_with_two_names_is_changed_once_and_restored(string directory, string link)
    {
        _tree.Add($"{directory}/hosts.toml", "# mine\nserver = 'https://docker.io'\n[host.'https://registry-1.docker.io']\n").AddLink(".alias", ".").AddLink("registry-1.docker.io", link.Replace("alias", ".alias", StringComparison.Ordinal));
        var before = _tree.Snapshot();

        foreach (var settings in new[] { CertsTree.Settings(), CertsTree.Settings("registry-1.docker.io") })
        {
            _tree.Configure(settings);
            Assert.Contains(OurHost, _tree.Read($"{directory}/hosts.toml"), StringComparison.Ordinal);
            Assert.Contains("https://registry-1.docker.io", _tree.Read($"{directory}/hosts.toml"), StringComparison.Ordinal);
        }

        _tree.Cleanup();
        Assert.Equal(before, _tree.Snapshot());
    }

    [Fact]
    public void A_file_of_ours_is_not_kept_whatever_name_it_is_found_by()
    {
        _tree.Add("docker.io/hosts.toml", "# mine\nserver = 'https://registry.corp'\n");
        var (one, other) = (new HostDirectory(_tree.At("docker.io"), ["docker.io"], new NodeFiles()), new HostDirectory(_tree.At("docker.io/"), ["x"], new NodeFiles()));
        one.Write("# Managed by"u8.ToArray());
        _tree.Configure(CertsTree.Settings("docker.io"));

        other.Write([.. File.ReadAllBytes(_tree.At("docker.io/hosts.toml")), (byte)'\n']);

        Assert.Equal("# Managed by", _tree.Read("docker.io/hosts.toml.spegel-dapr-kept"));
    }

    [Fact]
    public void A_link_to_another_registrys_file_stands_for_what_that_was_before_us()
    {
        _tree.Add("docker.io/hosts.toml", "[host.'http://old']\n").AddLink("ghcr.io/hosts.toml", "../docker.io/hosts.toml");
        var before = _tree.Snapshot();
        _tree.Configure(CertsTree.Settings());

        _tree.Configure(CertsTree.Settings() with { Mirrors = [BlobAddress.Parse("http://127.0.0.1:6000")] });

        Assert.DoesNotContain("http://127.0.0.1:5000", _tree.Read("ghcr.io/hosts.toml"), StringComparison.Ordinal);
        Assert.Contains("http://old", _tree.Read("ghcr.io/hosts.toml"), StringComparison.Ordinal);
        _tree.Cleanup();
        Assert.Equal(before, _tree.Snapshot());
    }

    [Theory]
    [InlineData("# edited\n", "")]
    [InlineData("\uFEFF", "")]
    [InlineData("", "\r")]
    public void A_file_of_ours_that_an_editor_has_changed_is_ours_still(string before, string lineEnd)
    {
        _tree.Add("docker.io/hosts.toml", "# mine\n");
        var original = _tree.Snapshot();
        _tree.Configure(CertsTree.Settings("docker.io"));
        var written = _tree.Read("docker.io/hosts.toml");
        _tree.Add("docker.io/hosts.toml", before + written.Replace("\n", lineEnd + "\n", StringComparison.Ordinal));

        _tree.Configure(CertsTree.Settings("docker.io"));

        Assert.Equal(written, _tree.Read("docker.io/hosts.toml"));
        _tree.Add("docker.io/hosts.toml", before + written.Replace("\n", lineEnd + "\n", StringComparison.Ordinal));
        _tree.Cleanup();
        Assert.Equal(original, _tree.Snapshot());
    }

    [Fact]
    public void A_directory_in_the_place_of_a_file_is_named_and_cleanup_restores_the_others()
    {
        _tree.Add("docker.io/hosts.toml", "# mine").Add("ghcr.io/hosts.toml", "# mine");
        _tree.Configure(CertsTree.Settings());
        File.Delete(_tree.At("docker.io/hosts.toml"));
        _tree.AddDirectory("docker.io/hosts.toml").AddDirectory("quay.io/hosts.toml");

        foreach (var act in new Action[] { () => _tree.Configure(CertsTree.Settings("ghcr.io")), () => _tree.Cleanup() })
        {
            Assert.StartsWith($"'{_tree.At("docker.io/hosts.toml")}' is a directory", Assert.Throws<UserErrorException>(act).Message, StringComparison.Ordinal);
        }

        Assert.Equal("# mine", _tree.Read("ghcr.io/hosts.toml"));
        Directory.Delete(_tree.At("docker.io/hosts.toml"));
        _tree.Cleanup();
        Assert.Equal("# mine", _tree.Read("docker.io/hosts.toml"));
    }

    [Fact]
    public void What_cannot_be_written_is_named()
    {
        var path = "/proc/self/task";

        var error = Assert.Throws<UserErrorException>(() => new CertsDirectory(path, new NodeFiles()).Configure(CertsTree.Settings("docker.io")));

        Assert.StartsWith($"--certs-d is '{path}', which cannot be read and changed (", error.Message, StringComparison.Ordinal);
        Assert.Contains("): mount it writable and run as root", error.Message, StringComparison.Ordinal);
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

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    public void A_second_run_at_the_same_time_is_turned_away(string locked)
    {
        _tree.AddDirectory("");
        using var other = NodeFiles.TryLock(Path.GetFullPath(_tree.At(locked)));

        var error = Assert.Throws<UserErrorException>(() => _tree.Configure(CertsTree.Settings("docker.io")));

        Assert.StartsWith("Another spegel-dapr is at work", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://docker.io/library")]
    [InlineData("ftp://docker.io")]
    [InlineData("https://")]
    [InlineData("docker.io:port")]
    [InlineData("https://Docker.io")]
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
        Assert.Equal(new MirroredRegistry("docker.io", "https://registry-1.docker.io"), Assert.Single(MirroredRegistry.ParseAll(["https://index.docker.io", "docker.io"])));
        Assert.Throws<UserErrorException>(() => MirroredRegistry.ParseAll(["https://ghcr.io", "http://ghcr.io"]));
    }

    public void Dispose() => _tree.Dispose();
}
