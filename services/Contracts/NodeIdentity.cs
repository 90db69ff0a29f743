using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace SpegelDapr.Contracts;

/// <summary>Who a node is and where it can be reached.</summary>
/// <param name="Name">The node's name, unique in the cluster.</param>
/// <param name="Location">Its region and zone.</param>
/// <param name="Address">Where other nodes reach its blob service.</param>
public sealed record NodeIdentity(NodeName Name, Location Location, BlobAddress Address);

/// <summary>
/// Which node a blob's request to another one comes from, as it says itself in the header <see cref="SpegelHeaders.Peer"/>:
/// <c>region/zone/name</c>.
/// </summary>
/// <param name="Location">Where the node says it is.</param>
/// <param name="Name">The node's name.</param>
[JsonConverter(typeof(PeerClaimJsonConverter))]
public readonly record struct PeerClaim(Location Location, NodeName Name) : IParsedText<PeerClaim>
{
    /// <inheritdoc/>
    public static string Form => "a node's claim, region/zone/name";

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out PeerClaim value)
    {
        value = default;
        var slash = text?.LastIndexOf('/') ?? -1;
        if (slash < 0 || !Location.TryParse(text![..slash], out var location) || !NodeName.TryParse(text[(slash + 1)..], out var name))
        {
            return false;
        }

        value = new PeerClaim(location, name);
        return true;
    }

    /// <summary><c>region/zone/name</c>.</summary>
    public override string ToString() => $"{Location}/{Name}";
}

/// <summary>A Kubernetes node's name: an RFC 1123 subdomain, lower case, at most 253 characters.</summary>
[JsonConverter(typeof(NodeNameJsonConverter))]
public readonly partial record struct NodeName : IParsedText<NodeName>
{
    private readonly string? _text;

    private NodeName(string text) => _text = text;

    /// <inheritdoc/>
    public static string Form => "a node name: lower-case letters, digits, dashes and dots, at most 253 characters";

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out NodeName value)
    {
        var isName = text is { Length: <= 253 } && Grammar.IsMatch(text);
        value = isName ? new NodeName(text!) : default;
        return isName;
    }

    /// <summary>Parses a node's name.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a node name.</exception>
    public static NodeName Parse(string text) => ParsedText.Parse<NodeName>(text);

    /// <summary>The name; empty for the default value.</summary>
    public override string ToString() => _text ?? "";

    [GeneratedRegex(@"\A[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Grammar { get; }
}

/// <summary>
/// Where other nodes reach a blob service: <c>http://host:port</c> or <c>https://host:port</c> and nothing else, so that an address out of
/// an event can lead a request to no other path.
/// </summary>
[JsonConverter(typeof(BlobAddressJsonConverter))]
public readonly record struct BlobAddress : IParsedText<BlobAddress>
{
    private const int LongestAddress = 300;

    private readonly Uri? _uri;

    private BlobAddress(Uri uri) => _uri = uri;

    /// <inheritdoc/>
    public static string Form => "a blob address, http://host:port";

    /// <summary>The address as the base of requests, with <c>/</c> as its path.</summary>
    public Uri Uri => _uri ?? throw new InvalidOperationException("A default BlobAddress has no value.");

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out BlobAddress value)
    {
        value = default;
        if (text is null or { Length: > LongestAddress }

            // Uri silently drops or maps what is not ASCII, and the result need not be an address again.
            || !Ascii.IsValid(text)
            || !Uri.TryCreate(text, UriKind.Absolute, out var uri)
            || (uri.Scheme != Uri.UriSchemeHttp && uri.Scheme != Uri.UriSchemeHttps)
            || uri.Host.Length == 0
            || uri.Port == 0

            // The zone of a link-local address names an interface of one machine.
            || uri.DnsSafeHost.Contains('%', StringComparison.Ordinal)
            || uri.UserInfo.Length > 0
            || uri.PathAndQuery != "/"
            || uri.Fragment.Length > 0)
        {
            return false;
        }

        value = new BlobAddress(uri);
        return true;
    }

    /// <summary>
    /// Parses what somebody has set, where an IPv6 address needs no brackets if a port follows it: Kubernetes' <c>status.podIP</c> and
    /// <c>status.hostIP</c> have none, so <c>http://$(POD_IP):5000</c> is <c>http://fd00::1:5000</c>.
    /// </summary>
    public static bool TryParseSetting([NotNullWhen(true)] string? text, out BlobAddress value) =>
        TryParse(text is null ? null : WithBrackets(text), out value);

    /// <summary>As <see cref="TryParseSetting"/>.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a blob address.</exception>
    public static BlobAddress ParseSetting(string text) => Parse(WithBrackets(text));

    /// <summary>Parses an address.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a blob address.</exception>
    public static BlobAddress Parse(string text) => ParsedText.Parse<BlobAddress>(text);

    /// <summary>The address without a trailing slash; empty for the default value.</summary>
    public override string ToString() => _uri?.GetLeftPart(UriPartial.Authority) ?? "";

    private static string WithBrackets(string text)
    {
        var host = text.IndexOf("//", StringComparison.Ordinal) + 2;
        var colon = text.LastIndexOf(':');
        return host > 1 && colon > host && text[host] != '['
            && IPAddress.TryParse(text.AsSpan(host..colon), out var ip) && ip.AddressFamily == AddressFamily.InterNetworkV6
            ? $"{text[..host]}[{text[host..colon]}]{text[colon..]}"
            : text;
    }
}
