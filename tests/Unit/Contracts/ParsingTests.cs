using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit;

public class ParsingTests
{
    private const string Sha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    [Property]
    public Property A_digest_is_its_algorithm_and_hex() => Prop.ForAll(Generate.Digests.Arb(), digest =>
        Digest.Parse(digest.ToString()) == digest && digest.ToString() == $"{digest.Algorithm}:{digest.Hex}");

    [Theory]
    [InlineData("")]
    [InlineData("sha256:")]
    [InlineData("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85")]
    [InlineData("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555")]
    [InlineData("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")]
    [InlineData("SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("md5:d41d8cd98f00b204e9800998ecf8427e")]
    [InlineData("sha256:../../../../../../../../../../../../../../../../../../../etc/passwd0")]
    [InlineData(Sha256 + "\n")]
    [InlineData(" " + Sha256)]
    public void What_is_no_digest_is_refused(string text) => Assert.False(Digest.TryParse(text, out _));

    [Theory]
    [InlineData("nginx", "docker.io", "library/nginx", "latest")]
    [InlineData("nginx:1.27", "docker.io", "library/nginx", "1.27")]
    [InlineData("team/app", "docker.io", "team/app", "latest")]
    [InlineData("docker.io/nginx", "docker.io", "library/nginx", "latest")]
    [InlineData("index.docker.io/nginx", "docker.io", "library/nginx", "latest")]
    [InlineData("ghcr.io/org/team/app:v1", "ghcr.io", "org/team/app", "v1")]
    [InlineData("localhost/app", "localhost", "app", "latest")]
    [InlineData("localhost:5000/app:1", "localhost:5000", "app", "1")]
    [InlineData("registry:5000/a/b", "registry:5000", "a/b", "latest")]
    [InlineData("10.0.0.1:5000/app", "10.0.0.1:5000", "app", "latest")]
    [InlineData("[::1]:5000/app:1", "[::1]:5000", "app", "1")]
    [InlineData("[2001:db8::1]/app", "[2001:db8::1]", "app", "latest")]
    [InlineData("Example/app", "Example", "app", "latest")]
    [InlineData("a/b__c.d-e---f:X_1.2-3", "docker.io", "a/b__c.d-e---f", "X_1.2-3")]
    public void A_reference_is_normalised(string text, string registry, string repository, string tag)
    {
        var reference = ImageReference.Parse(text);

        Assert.Equal((registry, repository, tag), (reference.Registry, reference.Repository, reference.Tag));
        Assert.Null(reference.Digest);
    }

    [Fact]
    public void A_digest_takes_the_place_of_the_default_tag_and_precedence_over_a_tag()
    {
        Assert.Equal($"docker.io/library/nginx@{Sha256}", ImageReference.Parse($"nginx@{Sha256}").ToString());
        Assert.Equal(Sha256, ImageReference.Parse($"nginx:1.27@{Sha256}").TagOrDigest);
    }

    [Theory]
    [InlineData("")]
    [InlineData(":")]
    [InlineData("/")]
    [InlineData("a:")]
    [InlineData(":tag")]
    [InlineData("/app")]
    [InlineData("app/")]
    [InlineData("a//b")]
    [InlineData("a/../b")]
    [InlineData("./a")]
    [InlineData("a/B")]
    [InlineData("a b")]
    [InlineData("a:b c")]
    [InlineData("a:.tag")]
    [InlineData("a:-tag")]
    [InlineData("a@")]
    [InlineData("a@sha256:1")]
    [InlineData("a@b@" + Sha256)]
    [InlineData("https://ghcr.io/app")]
    [InlineData("ghcr.io")]
    [InlineData("-ghcr.io/app")]
    [InlineData("ghcr..io/app")]
    [InlineData("ghcr.io:/app")]
    [InlineData("ghcr.io:123456/app")]
    [InlineData("::1/app")]
    [InlineData("app\n")]
    [InlineData("a___b")]
    [InlineData("a._b")]
    [InlineData("аpp")]
    public void What_is_no_reference_is_refused(string text) =>
        Assert.False(ImageReference.TryParse(text, out var reference) && reference.Repository != "library/ghcr.io");

    [Property]
    public Property A_reference_in_full_parses_to_its_parts() => Prop.ForAll(
        (from registry in Generate.Registries from repository in Generate.Repositories from tag in Generate.Tags select (registry, repository, tag)).Arb(),
        parts =>
        {
            var text = $"{parts.registry}/{parts.repository}:{parts.tag}";
            var reference = ImageReference.Parse(text);
            return reference.ToString() == text
                && (reference.Registry, reference.Repository, reference.Tag) == (parts.registry, parts.repository, parts.tag)
                && ContentKey.TryFromTag(parts.registry, parts.repository, parts.tag, out var key)
                && key.ToString() == text;
        });

    [Property(MaxTest = 1000)]
    public Property Damaged_text_is_refused_or_normalised_and_never_throws() => Prop.ForAll(
        Generate.Damaged(Gen.OneOf(Generate.Keys.Select(key => key.ToString()), Generate.Digests.Select(digest => $"ghcr.io/team/app@{digest}"))).Arb(),
        text =>
        {
            // What is accepted says the same when it is read again, and a key has just one text.
            var isReferenceStable = !ImageReference.TryParse(text, out var reference) || ImageReference.Parse(reference.ToString()) == reference;
            var isKeyItself = !ContentKey.TryParse(text, out var key) || key.ToString() == text;
            return isReferenceStable && isKeyItself;
        });

    [Property(MaxTest = 1000)]
    public bool Any_text_is_parsed_or_refused_without_an_exception(string? text) =>
        new[]
        {
            Digest.TryParse(text, out _), ImageReference.TryParse(text, out _), ContentKey.TryParse(text, out _), NodeName.TryParse(text, out _),
            Location.TryParse(text, out _), BlobAddress.TryParse(text, out _), ImageReference.IsRegistry(text),
        }.Length == 7;

    [Fact]
    public void Long_names_are_accepted_up_to_their_limit()
    {
        var name = "a/" + new string('b', 253);

        Assert.True(ImageReference.TryParse($"ghcr.io/{name}:{new string('t', 128)}", out _));
        Assert.False(ImageReference.TryParse($"ghcr.io/{name}b", out _));
        Assert.False(ImageReference.TryParse($"ghcr.io/a:{new string('t', 129)}", out _));
        Assert.False(ImageReference.TryParse(new string('a', 1_000_000), out _));
        Assert.False(ImageReference.TryParse(string.Concat(Enumerable.Repeat("a-", 100_000)), out _));
    }

    [Theory]
    [InlineData("nginx")]
    [InlineData("nginx:1.27")]
    [InlineData("library/nginx:1.27")]
    [InlineData("docker.io/nginx:1.27")]
    [InlineData("index.docker.io/library/nginx:1.27")]
    [InlineData("docker.io/library/nginx")]
    [InlineData("docker.io/library/nginx:1.27@" + Sha256)]
    [InlineData("docker.io/library/nginx@" + Sha256)]
    public void A_key_is_a_reference_in_full_and_nothing_that_means_the_same(string text) => Assert.False(ContentKey.TryParse(text, out _));

    [Property]
    public bool Labels_always_make_a_location(string? region, string? zone)
    {
        var location = Location.FromLabels(region, zone);
        return Location.TryParse(location.ToString(), out var parsed) && parsed == location;
    }

    [Theory]
    [InlineData("europe-west1", "europe-west1-b", "europe-west1/europe-west1-b")]
    [InlineData("Region_One", "Zone.1", "region-one/zone-1")]
    [InlineData(null, "  ", "default/default")]
    public void Labels_become_a_location(string? region, string? zone, string location) => Assert.Equal(location, Location.FromLabels(region, zone).ToString());

    [Theory]
    [InlineData("eu/a", "eu/a", Tier.SameZone)]
    [InlineData("eu/a", "eu/b", Tier.SameRegion)]
    [InlineData("eu/a", "us/a", Tier.CrossRegion)]
    public void The_tier_says_how_far_it_is(string here, string there, Tier tier) => Assert.Equal(tier, Location.Parse(here).TierTo(Location.Parse(there)));

    [Theory]
    [InlineData("http://10.0.0.1:5000", "http://10.0.0.1:5000")]
    [InlineData("http://10.0.0.1:5000/", "http://10.0.0.1:5000")]
    [InlineData("https://node.example:443", "https://node.example")]
    [InlineData("http://[fd00::1]:5000", "http://[fd00::1]:5000")]
    public void A_blob_address_is_a_scheme_a_host_and_a_port(string text, string address) => Assert.Equal(address, BlobAddress.Parse(text).ToString());

    [Theory]
    [InlineData("http://fd00::1:5000", "http://[fd00::1]:5000")]
    [InlineData("http://fd00:1:2:3:4:5:6:7:5000", "http://[fd00:1:2:3:4:5:6:7]:5000")]
    [InlineData("http://[fd00::1]:5000", "http://[fd00::1]:5000")]
    [InlineData("http://10.0.0.1:5000", "http://10.0.0.1:5000")]
    [InlineData("http://node-1:5000", "http://node-1:5000")]
    [InlineData("http://fd00:1:2:3:4:5:6:7", null)]
    [InlineData("http://fd00::1:5000/path", null)]
    [InlineData("fd00::1:5000", null)]
    [InlineData("http://:5000", null)]
    [InlineData("http://::", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void A_blob_address_that_is_set_may_lack_the_brackets_of_IPv6(string? text, string? address) =>
        Assert.Equal(address, BlobAddress.TryParseSetting(text, out var parsed) ? parsed.ToString() : null);

    [Theory]
    [InlineData("10.0.0.1:5000")]
    [InlineData("//10.0.0.1:5000")]
    [InlineData("ftp://10.0.0.1")]
    [InlineData("file:///etc/passwd")]
    [InlineData("http://")]
    [InlineData("http://10.0.0.1:0")]
    [InlineData("http://10.0.0.1:5000/path")]
    [InlineData("http://10.0.0.1:5000/?query")]
    [InlineData("http://10.0.0.1:5000?query")]
    [InlineData("http://10.0.0.1:5000#fragment")]
    [InlineData("http://0.\u202e-example:5000")]
    [InlineData("http://fd00::1:5000")]
    [InlineData("http://[fe80::1%25eth0]:5000")]
    [InlineData("http://[fd00::1%251]:5000")]
    [InlineData("http://user@10.0.0.1:5000")]
    [InlineData("http://user:password@10.0.0.1:5000")]
    public void Anything_more_is_no_blob_address(string text) => Assert.False(BlobAddress.TryParse(text, out _));

    [Theory]
    [InlineData("""{"schemaVersion":2,"manifests":[null]}""")]
    [InlineData("""{"schemaVersion":2,"config":{"mediaType":"m","digest":"DIGEST","size":1},"layers":[null]}""")]
    [InlineData("""{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":null,"size":1}]}""")]
    [InlineData("null")]
    public void A_manifest_that_refers_to_nothing_is_none(string json) =>
        Assert.Null(OciManifest.TryParse(System.Text.Encoding.UTF8.GetBytes(json.Replace("DIGEST", Sha256, StringComparison.Ordinal))));

    [Property(MaxTest = 1000)]
    public Property A_blob_address_never_leads_to_another_path() => Prop.ForAll(
        Generate.Damaged(Generate.Nodes.Select(node => node.Address.ToString())).Arb(),
        text => !BlobAddress.TryParse(text, out var address)
            || (address.Uri.PathAndQuery == "/" && address.Uri.UserInfo.Length == 0 && BlobAddress.Parse(address.ToString()) == address));
}
