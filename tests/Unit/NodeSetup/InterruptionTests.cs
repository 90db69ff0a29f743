using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using SpegelDapr.Cli.NodeSetup;

namespace SpegelDapr.Unit.NodeSetup;

/// <summary>A run that is killed between any two changes to the file system.</summary>
public sealed class InterruptionTests
{
    private const string Mirror = "server = 'https://registry.corp'\nca = 'corp.crt'\n\n[host.'http://old:5000']\n  capabilities = ['pull']\n";

    public static TheoryData<string> Trees => [.. Makers.Keys];

    private static Dictionary<string, Action<CertsTree>> Makers { get; } = new()
    {
        ["absent"] = _ => { },
        ["empty"] = tree => tree.AddDirectory(""),
        ["a hosts.toml"] = tree => tree.Add("docker.io/hosts.toml", Mirror, UnixFileMode.UserRead | UnixFileMode.UserWrite).Add("docker.io/corp.crt", "ca"),
        ["an empty hosts.toml"] = tree => tree.Add("docker.io/hosts.toml").AddDirectory("docker.io/nested"),
        ["a directory only"] = tree => tree.AddDirectory("docker.io").AddDirectory("ghcr.io"),
        ["certificates"] = tree => tree.Add("docker.io/a.crt", "ca").Add("docker.io/b.cert", "cert").Add("docker.io/b.key", "key"),
        ["a link"] = tree => tree.Add("shared.toml", Mirror).AddLink("docker.io/hosts.toml", "../shared.toml"),
        ["a link to another's"] = tree => tree.Add("ghcr.io/hosts.toml", Mirror).AddLink("docker.io/hosts.toml", "../ghcr.io/hosts.toml"),
        ["a linked directory"] = tree => tree.Add("shared/hosts.toml", Mirror).AddLink("docker.io", "shared"),
        ["two names of a directory"] = tree => tree.Add("docker.io/hosts.toml", Mirror).AddLink("registry-1.docker.io", "docker.io/"),
        ["a default"] = tree => tree.Add("_default/hosts.toml", Mirror),
        ["a port"] = tree => tree.Add("registry.corp_5000_/hosts.toml", Mirror).Add("registry.corp:5000/hosts.toml", Mirror + "# unused"),
    };

    private static IReadOnlyList<MirrorSettings> Settings { get; } =
    [
        CertsTree.Settings(),
        CertsTree.Settings("https://docker.io") with { PrependExisting = true },
        CertsTree.Settings("registry.corp:5000", "docker.io") with { ResolveTags = false },
    ];

    [Theory]
    [MemberData(nameof(Trees))]
    public void Configure_is_completed_by_the_next_run(string tree)
    {
        foreach (var settings in Settings)
        {
            var expected = After(tree, made => made.Configure(settings));
            ForEachStep(tree, (made, stop) => made.Configure(settings, stop), (made, step) =>
            {
                made.Configure(settings);
                AssertSame(expected, made, step);
            });
        }
    }

    [Theory]
    [MemberData(nameof(Trees))]
    public void Configure_is_undone_by_cleanup(string tree)
    {
        var expected = After(tree, _ => { });
        foreach (var settings in Settings)
        {
            ForEachStep(tree, (made, stop) => made.Configure(settings, stop), (made, step) =>
            {
                made.Cleanup();
                AssertSame(expected, made, step);
            });
        }
    }

    [Theory]
    [MemberData(nameof(Trees))]
    public void Cleanup_is_completed_by_the_next_run(string tree)
    {
        var expected = After(tree, _ => { });
        foreach (var settings in Settings)
        {
            ForEachStep(
                tree,
                (made, stop) =>
                {
                    made.Configure(settings);
                    made.Cleanup(stop);
                },
                (made, step) =>
                {
                    made.Cleanup();
                    AssertSame(expected, made, step);
                });
        }
    }

    [Theory]
    [MemberData(nameof(Trees))]
    public void A_change_of_registries_is_completed_by_the_next_run(string tree)
    {
        foreach (var (before, after) in Settings.SelectMany(_ => Settings, (before, after) => (before, after)))
        {
            var expected = After(tree, made => made.Configure(after));
            ForEachStep(
                tree,
                (made, stop) =>
                {
                    made.Configure(before);
                    made.Configure(after, stop);
                },
                (made, step) =>
                {
                    made.Configure(after);
                    AssertSame(expected, made, step);
                });
        }
    }

    [Fact]
    public void Containerd_never_misses_a_file_that_was_there()
    {
        ForEachStep(
            "a hosts.toml",
            (made, stop) =>
            {
                made.Configure(CertsTree.Settings("docker.io"), stop);
                made.Cleanup(stop);
            },
            (made, step) => Assert.True(File.ReadAllText(made.At("docker.io/hosts.toml")) == Mirror || HostsFile.IsOurs(File.ReadAllBytes(made.At("docker.io/hosts.toml"))), step));
    }

    /// <summary>Any runs, each killed somewhere or not at all, and then a cleanup: as if nothing had been.</summary>
    [Property(MaxTest = 60)]
    public Property Any_history_is_undone_by_cleanup()
    {
        var run = from settings in Gen.Elements(Settings.Select(MirrorSettings? (one) => one).Append(null))
                  from killedAt in Gen.Choose(0, 60)
                  select (Settings: settings, KilledAt: killedAt);
        var histories = from tree in Gen.Elements(Makers.Keys.AsEnumerable()) from runs in run.ListOf() select (Tree: tree, Runs: runs.ToList());
        return Prop.ForAll(histories.Arb(), history =>
        {
            using var made = Make(history.Tree);
            var expected = made.Snapshot();
            foreach (var (settings, killedAt) in history.Runs)
            {
                new Kill(killedAt).Run(stop => _ = settings is null ? made.Cleanup(stop) : made.Configure(settings, stop));
            }

            made.Cleanup();
            Assert.Equal(expected, made.Snapshot());
        });
    }

    private static CertsTree Make(string tree)
    {
        var made = new CertsTree();
        Makers[tree](made);
        return made;
    }

    private static string After(string tree, Action<CertsTree> act)
    {
        using var made = Make(tree);
        act(made);
        return made.Snapshot();
    }

    /// <summary>Kills what is done before its first step, then before its second, and so on until it ends by itself.</summary>
    private static void ForEachStep(string tree, Action<CertsTree, Action<string>> act, Action<CertsTree, string> check)
    {
        for (var step = 0; ; step++)
        {
            using var made = Make(tree);
            var kill = new Kill(step);
            var isKilled = kill.Run(stop => act(made, stop));
            check(made, $"killed before step {step}: {kill.Next}");
            if (!isKilled)
            {
                return;
            }
        }
    }

    private static void AssertSame(string expected, CertsTree made, string step) =>
        Assert.True(expected == made.Snapshot(), $"{step}\nexpected:\n{expected}\nactual:\n{made.Snapshot()}");

    /// <summary>Ends a run before one of its steps.</summary>
    private sealed class Kill(int step)
    {
        private int _steps;

        public string Next { get; private set; } = "";

        public bool Run(Action<Action<string>> act)
        {
            try
            {
                act(BeforeStep);
                return false;
            }
            catch (KilledException)
            {
                return true;
            }
        }

        private void BeforeStep(string next)
        {
            Next = next;
            if (_steps++ == step)
            {
                throw new KilledException();
            }
        }
    }

    private sealed class KilledException : Exception;
}
