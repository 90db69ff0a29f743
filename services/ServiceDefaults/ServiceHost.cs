using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace SpegelDapr.ServiceDefaults;

/// <summary>Runs a service as a process.</summary>
public static class ServiceHost
{
    /// <summary>The exit code of a service whose settings are wrong.</summary>
    public const int BadSettings = 2;

    /// <summary>
    /// Builds the service and runs it until SIGTERM or SIGINT. What its user can mend (a wrong setting, a port that is taken) is one line
    /// each on standard error and exit code <see cref="BadSettings"/>, without a stack trace.
    /// </summary>
    public static async Task<int> RunAsync(Func<WebApplication> create)
    {
        ArgumentNullException.ThrowIfNull(create);
        try
        {
            await using var app = create();
            await app.RunAsync();
            return 0;
        }
        catch (OptionsValidationException e)
        {
            return await FailAsync(e.Failures);
        }
        catch (InvalidOperationException e) when (e.Message.StartsWith("Failed to convert configuration value", StringComparison.Ordinal))
        {
            return await FailAsync([e.Message]);
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            return await FailAsync([e.Message]);
        }
    }

    private static async Task<int> FailAsync(IEnumerable<string> problems)
    {
        foreach (var problem in problems)
        {
            await Console.Error.WriteLineAsync(problem.ReplaceLineEndings(" "));
        }

        return BadSettings;
    }
}
