using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults;

/// <summary>The node that a service runs on (section <c>Node</c>).</summary>
public sealed class NodeOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Node";

    /// <summary>The node's name.</summary>
    public string Name { get; set; } = Environment.MachineName.ToLowerInvariant();

    /// <summary>The node's region.</summary>
    public string Region { get; set; } = Location.Default.Region;

    /// <summary>The node's zone within the region.</summary>
    public string Zone { get; set; } = Location.Default.Zone;

    /// <summary>Where other nodes reach this node's blob service: <c>http://host:port</c>, an IPv6 address with brackets or without.</summary>
    public string Address { get; set; } = "";

    /// <summary>The node's location.</summary>
    public Location Location => Location.Parse($"{Region}/{Zone}");

    /// <summary>The node's identity.</summary>
    public NodeIdentity Identity => new(NodeName.Parse(Name), Location, BlobAddress.ParseSetting(Address));

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (!NodeName.TryParse(Name, out _))
        {
            yield return $"Node:Name is '{Name}': give {NodeName.Form}.";
        }

        if (!Location.IsPart(Region))
        {
            yield return $"Node:Region is '{Region}': give 1 to 63 characters of a-z, 0-9 and dash.";
        }

        if (!Location.IsPart(Zone))
        {
            yield return $"Node:Zone is '{Zone}': give 1 to 63 characters of a-z, 0-9 and dash.";
        }

        if (!BlobAddress.TryParseSetting(Address, out _))
        {
            yield return $"Node:Address is '{Address}': give {BlobAddress.Form}, at which other nodes reach this node's blob service.";
        }
    }
}
