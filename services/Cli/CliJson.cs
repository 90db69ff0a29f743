using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using SpegelDapr.Cli.Demo;
using SpegelDapr.Cli.NodeSetup;
using SpegelDapr.Cli.Pull;

namespace SpegelDapr.Cli;

/// <summary>What <c>--json</c> prints: one object on one line.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(PullResult))]
[JsonSerializable(typeof(DemoResult))]
[JsonSerializable(typeof(NodeSetupResult))]
internal sealed partial class CliJson : JsonSerializerContext
{
    /// <summary>The context with characters such as &lt; and + left as they are: the output is no HTML.</summary>
    public static CliJson Relaxed { get; } = new(new JsonSerializerOptions(JsonSerializerDefaults.Web) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
