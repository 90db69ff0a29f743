using System.Buffers;
using System.Globalization;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// Which manifests of the node's own content refer to which. It is read from the content when somebody asks for the first time, and after that from what has
/// come since: each file is looked into once, if it is whole. Nodes that nobody asks do nothing.
/// </summary>
internal sealed partial class ReferrerIndex(
    LocalContent local, IOptions<BlobOptions> options, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<ReferrerIndex> logger)
{
    /// <summary>A directory that has changed just now may change again at what its file system takes for the same time.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(2);

    private static readonly SearchValues<byte> StartsJson = SearchValues.Create("{ \t\r\n"u8);

    private static readonly ILookup<Digest, Digest> None = Enumerable.Empty<Digest>().ToLookup(digest => digest);

    private readonly Lock _lock = new();
    private Task _reading = Task.CompletedTask;

    /// <summary>The beginnings of the digests of all that has been looked into: the whole would take ten times the memory.</summary>
    private HashSet<UInt128> _known = [];
    private Dictionary<Digest, Digest> _subjects = [];
    private DateTime? _settledAt;
    private volatile ILookup<Digest, Digest> _referrers = None;

    /// <summary>
    /// The manifests that refer to one, in the order of their digests; null when they are not known within <see cref="BlobOptions.PeerStartBudget"/>, since
    /// there is so much content to look into. That goes on for those who ask later.
    /// </summary>
    public async Task<IReadOnlyList<Digest>?> FindAsync(Digest subject, CancellationToken cancellation)
    {
        try
        {
            await ReadFromNowAsync().WaitAsync(options.Value.PeerStartBudget, time, cancellation);
        }
        catch (TimeoutException)
        {
            return null;
        }

        return [.. _referrers[subject].OrderBy(digest => digest.ToString(), StringComparer.Ordinal)];
    }

    /// <summary>Reads what has come until now. A read that is under way may have begun before that; the next one serves all who wait for it.</summary>
    private async Task ReadFromNowAsync()
    {
        Task running;
        lock (_lock)
        {
            running = _reading;
        }

        await running;
        lock (_lock)
        {
            running = _reading == running ? _reading = Task.Run(Read) : _reading;
        }

        await running;
    }

    private void Read()
    {
        var stopping = lifetime.ApplicationStopping;
        try
        {
            var (now, changed) = (time.GetUtcNow().UtcDateTime, local.LastChanged());
            if (_settledAt == changed)
            {
                return;
            }

            var known = new HashSet<UInt128>();
            var subjects = new Dictionary<Digest, Digest>();
            var areAllKnown = true;
            foreach (var digest in local.List())
            {
                if (stopping.IsCancellationRequested)
                {
                    return;
                }

                var beginning = UInt128.Parse(digest.Hex.AsSpan(0, 32), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                if (_known.Contains(beginning))
                {
                    known.Add(beginning);
                    if (_subjects.TryGetValue(digest, out var remembered))
                    {
                        subjects[digest] = remembered;
                    }
                }
                else if (TryReadSubject(digest, out var found))
                {
                    known.Add(beginning);
                    if (found is { } subject)
                    {
                        subjects[digest] = subject;
                    }
                }
                else
                {
                    areAllKnown = false;
                }
            }

            (_known, _subjects, _settledAt) = (known, subjects, areAllKnown && changed + Settling < now ? changed : null);
            _referrers = subjects.ToLookup(pair => pair.Value, pair => pair.Key);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What was known stays; the next who asks tries again.
            Log.Unreadable(logger, e.Message);
        }
    }

    /// <summary>Reads what a file refers to, if anything; false when it cannot be read, or is an object without an end, as while it is written.</summary>
    private bool TryReadSubject(Digest digest, out Digest? subject)
    {
        subject = null;
        try
        {
            using var file = local.OpenUnverified(digest);
            Span<byte> first = stackalloc byte[1];
            if (file is null || file.Length == 0 || file.Read(first, 0) == 0)
            {
                return false;
            }

            if (file.Length > OciManifest.MaxBytes || !StartsJson.Contains(first[0]))
            {
                return true;
            }

            // Most JSON is no manifest that refers to another.
            var bytes = file.ReadAll();
            subject = bytes.AsSpan().IndexOf("\"subject\""u8) < 0 ? null : OciManifest.TryParse(bytes)?.Subject?.Digest;
            return first[0] != '{' || bytes.AsSpan().TrimEnd(" \t\r\n"u8) is [.., (byte)'}'];
        }
        catch (IOException e)
        {
            Log.Unreadable(logger, e.Message);
            return false;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "The content cannot be read for manifests that refer to others: {Reason}")]
        public static partial void Unreadable(ILogger logger, string reason);
    }
}
