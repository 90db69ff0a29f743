using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.ServiceDefaults;

public class RegistryFilterTests
{
    [Fact]
    public void Without_settings_everything_is_allowed()
    {
        var filter = Filter(new RegistryOptions());

        Assert.True(filter.IsMirrored("docker.io"));
        Assert.True(filter.IsAllowed("localhost:5000", "app"));
        Assert.True(filter.IsAllowed("ghcr.io", "org/app", "latest"));
    }

    [Theory]
    [InlineData("https://docker.io", "docker.io", true)]
    [InlineData("http://localhost:5000", "localhost:5000", true)]
    [InlineData("GHCR.io", "ghcr.io", true)]
    [InlineData("docker.io", "evil-docker.io", false)]
    [InlineData("docker.io", "docker.io:5000", false)]
    [InlineData("docker.io", "docker.io.example.com", false)]
    [InlineData("*", "anything.example.com", true)]
    [InlineData("_default", "anything.example.com", true)]
    public void Mirrored_names_whole_registries_or_all(string entry, string registry, bool mirrored)
    {
        var filter = Filter(new RegistryOptions { Mirrored = ["quay.io", entry] });

        Assert.Equal(mirrored, filter.IsMirrored(registry));
        Assert.Equal(mirrored, filter.IsAllowed(registry, "app"));
        Assert.True(filter.IsMirrored("quay.io"));
    }

    [Theory]
    [InlineData(@"^ghcr\.io/", "ghcr.io/org/app:1", false)]
    [InlineData(@"^ghcr\.io/", "docker.io/ghcr.io/app:1", true)]
    [InlineData(":latest$", "docker.io/library/nginx:latest", false)]
    [InlineData(":latest$", "docker.io/library/nginx:1.27", true)]
    [InlineData("/secret-", "quay.io/team/secret-app:1", false)]
    public void Filters_keep_out_what_they_match(string pattern, string reference, bool allowed) =>
        Assert.Equal(allowed, Filter(new RegistryOptions { Filters = ["^never$", pattern] }).IsAllowed(ImageReference.Parse(reference)));

    [Fact]
    public void A_filter_on_tags_leaves_the_content_itself_alone()
    {
        var filter = Filter(new RegistryOptions { Filters = [":latest$"] });

        Assert.True(filter.IsAllowed("docker.io", "library/nginx"));
        Assert.True(filter.IsAllowed(ImageReference.Parse("docker.io/library/nginx:latest@" + Digest.OfSha256([1]))));
    }

    [Fact]
    public void Without_tags_digests_are_still_shared()
    {
        var filter = Filter(new RegistryOptions { ResolveTags = false });

        Assert.False(filter.IsAllowed("docker.io", "library/nginx", "1.27"));
        Assert.True(filter.IsAllowed("docker.io", "library/nginx"));
    }

    [Theory]
    [InlineData("localhost", "app", true)]
    [InlineData("localhost", "private/app", false)]
    [InlineData("::1", "app", true)]
    [InlineData("docker.io", "library/nginx", false)]
    public void A_source_without_its_port_stands_for_every_mirrored_registry_on_its_host(string host, string repository, bool allowed)
    {
        var filter = Filter(new RegistryOptions { Mirrored = ["http://localhost:5000", "localhost:6000", "[::1]:5000"], Filters = ["^localhost:6000/private/"] });

        Assert.Equal(allowed, filter.IsSourceAllowed(host, repository));
    }

    [Theory]
    [InlineData("https://docker.io/library")]
    [InlineData("https://docker.io/")]
    [InlineData("ftp://docker.io")]
    [InlineData("https://user@docker.io")]
    [InlineData("*.docker.io")]
    [InlineData("")]
    public void A_registry_that_is_none_is_named(string entry)
    {
        var problem = Assert.Single(new RegistryOptions { Mirrored = ["docker.io", entry] }.Problems());

        Assert.StartsWith($"Registries:Mirrored:1 is '{entry}': give", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("(")]
    [InlineData("(?=a)")]
    [InlineData(@"(a)\1")]
    [InlineData("")]
    public void A_filter_that_is_no_regular_expression_is_named(string pattern)
    {
        var problem = Assert.Single(new RegistryOptions { Filters = ["ok", pattern] }.Problems());

        Assert.StartsWith($"Registries:Filters:1 is '{pattern}': give", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_filter_that_would_backtrack_for_ever_is_searched_in_linear_time() =>
        Assert.True(Filter(new RegistryOptions { Filters = ["(a+)+$x"] }).IsAllowed("docker.io", new string('a', 255)));

    private static RegistryFilter Filter(RegistryOptions options) => new(Options.Create(options));
}
