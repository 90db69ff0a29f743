using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using SpegelDapr.Cli;
using SpegelDapr.Cli.Images;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Discovery;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>What a pull leaves on disk while it runs, by which a mirror of the layout finds what others may follow.</summary>
public sealed class ImagePullerTests : IDisposable
{
    private static readonly ImageReference Reference = ImageReference.Parse("docker.io/library/app:1");

    private readonly TestDirectory _directory = new();
    private readonly LayoutImage _image = LayoutImage.Create("one");
    private readonly FakeRegistry _registry;
    private readonly HttpClient _http;
    private readonly OciLayout _layout;
    private readonly ImagePuller _puller;

    public ImagePullerTests()
    {
        _registry = new FakeRegistry(_image);
        _http = new HttpClient(_registry) { BaseAddress = new Uri("http://registry.test") };
        _layout = OciLayout.OpenOrCreate(_directory.Sub("layout"));
        _puller = new ImagePuller([new RegistrySource(_http, Tier.Upstream)], _layout, TimeProvider.System);
    }

    private IEnumerable<string> IngestDirectories => Directory.EnumerateDirectories(Path.Combine(_layout.Path, "ingest"));

    private Digest Layer => _image.Blobs.Keys.Single(digest => digest != _image.Manifest && digest != _image.Config);

    [Fact]
    public async Task A_download_is_an_ingest_before_it_is_asked_for_and_grows_until_it_is_renamed()
    {
        var content = _image.Blobs[Layer];
        var body = new Pipe();
        var asked = new TaskCompletionSource<Ingest>();
        _registry.OnGet(Layer.ToString(), () =>
        {
            asked.SetResult(IngestOf($"/layer-{Layer}"));
            return new StreamContent(body.Reader.AsStream()) { Headers = { ContentLength = content.Length } };
        });

        var pull = PullAsync();
        var ingest = await asked.Task;
        Assert.Equal(Digest.OfSha256(Encoding.UTF8.GetBytes(ingest.Reference)).Hex, Path.GetFileName(ingest.Directory));
        Assert.Equal(content.Length, ingest.Total);
        Assert.Empty(ingest.Data);

        using var following = new FileStream(ingest.DataPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        await body.Writer.WriteAsync(content.AsMemory(0, 1));
        await Eventually.HoldsAsync("the byte is in the file", () => following.Length == 1);
        await body.Writer.WriteAsync(content.AsMemory(1));
        await body.Writer.CompleteAsync();
        await pull;

        Assert.Equal(content, await File.ReadAllBytesAsync(_layout.BlobPath(Layer)));
        Assert.Equal(content.Length, following.Length);
        Assert.Empty(IngestDirectories);
    }

    [Fact]
    public async Task Downloads_are_named_by_their_kind_and_one_by_tag_has_no_total_until_the_answer()
    {
        var asked = new Dictionary<string, Ingest>();
        foreach (var reference in new[] { Reference.Tag!, _image.Config.ToString() })
        {
            _registry.OnGet(reference, () =>
            {
                asked[reference] = IngestOf($"-{reference}");
                return null;
            });
        }

        await PullAsync();

        Assert.EndsWith($"/manifest-{Reference.Tag}", asked[Reference.Tag!].Reference, StringComparison.Ordinal);
        Assert.Null(asked[Reference.Tag!].Total);
        Assert.EndsWith($"/config-{_image.Config}", asked[_image.Config.ToString()].Reference, StringComparison.Ordinal);
        Assert.Equal(_image.Blobs[_image.Config].Length, asked[_image.Config.ToString()].Total);
    }

    [Fact]
    public async Task A_pull_that_fails_leaves_no_ingest()
    {
        _registry.OnGet(Layer.ToString(), () => new StringContent("something else"));

        await Assert.ThrowsAsync<UserErrorException>(PullAsync);

        Assert.Empty(IngestDirectories);
        Assert.False(File.Exists(_layout.BlobPath(Layer)));
    }

    [Fact]
    public async Task Bytes_that_came_from_a_node_which_was_still_downloading_them_are_told_apart()
    {
        _registry.OnGet(Layer.ToString(), () => new ByteArrayContent(_image.Blobs[Layer]), (SpegelHeaders.Tier, Tier.SameZone.Name()), (SpegelHeaders.Relayed, "1"));

        var result = await PullAsync();

        Assert.Equal(_image.Blobs[Layer].Length, result.Relayed);
        Assert.Equal(result.Relayed, result.Bytes.SameZone);
        Assert.Equal([Layer], result.Blobs.Where(blob => blob.Relayed > 0).Select(blob => blob.Digest));
    }

    public void Dispose()
    {
        _http.Dispose();
        _registry.Dispose();
        _directory.Dispose();
    }

    private Task<PullResult> PullAsync() => _puller.PullAsync(Reference, PullProgress.None, CancellationToken.None);

    private Ingest IngestOf(string ending) =>
        Ingest.Read(IngestDirectories.Single(directory => ReadReference(directory)?.EndsWith(ending, StringComparison.Ordinal) == true));

    /// <summary>Null for one that has just been committed: configuration and layer are downloaded at the same time.</summary>
    private static string? ReadReference(string directory)
    {
        try
        {
            return File.ReadAllText(Path.Combine(directory, "ref"));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private sealed record Ingest(string Directory, string Reference, long? Total, byte[] Data)
    {
        public string DataPath => Path.Combine(Directory, "data");

        public static Ingest Read(string directory)
        {
            var total = Path.Combine(directory, "total");
            using var data = new FileStream(Path.Combine(directory, "data"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[data.Length];
            data.ReadExactly(bytes);
            return new Ingest(
                directory,
                File.ReadAllText(Path.Combine(directory, "ref")),
                File.Exists(total) ? long.Parse(File.ReadAllText(total), CultureInfo.InvariantCulture) : null,
                bytes);
        }
    }

    /// <summary>Answers with the image, save for what a test answers itself.</summary>
    private sealed class FakeRegistry(LayoutImage image) : HttpMessageHandler
    {
        private readonly Dictionary<string, (Func<HttpContent?> Answer, (string Name, string Value)[] Headers)> _answers = [];

        /// <summary>Has the test answer a GET, or be asked first when it returns null.</summary>
        public void OnGet(string reference, Func<HttpContent?> answer, params (string Name, string Value)[] headers) => _answers[reference] = (answer, headers);

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var reference = request.RequestUri!.AbsolutePath.Split('/')[^1];
            var response = new HttpResponseMessage(HttpStatusCode.OK);
            var (answer, headers) = _answers.GetValueOrDefault(reference, (() => null, []));
            response.Content = answer() ?? Content(reference == Reference.Tag ? image.Manifest : Digest.Parse(reference));
            foreach (var (name, value) in headers)
            {
                response.Headers.Add(name, value);
            }

            return Task.FromResult(response);
        }

        private ByteArrayContent Content(Digest digest) => new(image.Blobs[digest])
        {
            Headers = { ContentType = digest == image.Manifest ? new MediaTypeHeaderValue(OciMediaTypes.Manifest) : null },
        };
    }
}
