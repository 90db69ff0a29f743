using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace SpegelDapr.ServiceDefaults;

/// <summary>Settings that know what is wrong with them.</summary>
public interface IValidatedOptions
{
    /// <summary>One line for each wrong setting, which names it, its value and the remedy; none when all is well.</summary>
    IEnumerable<string> Problems();
}

/// <summary>Validation of options.</summary>
public static class ValidatedOptionsExtensions
{
    /// <summary>Checks the options when the service starts; see <see cref="IValidatedOptions.Problems"/>.</summary>
    public static OptionsBuilder<TOptions> ValidateProblemsOnStart<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] TOptions>(
        this OptionsBuilder<TOptions> options)
        where TOptions : class, IValidatedOptions
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Services.AddSingleton<IValidateOptions<TOptions>, Validator<TOptions>>();
        return options.ValidateOnStart();
    }

    private sealed class Validator<TOptions> : IValidateOptions<TOptions>
        where TOptions : class, IValidatedOptions
    {
        public ValidateOptionsResult Validate(string? name, TOptions options)
        {
            var problems = options.Problems().ToList();
            return problems.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
        }
    }
}
