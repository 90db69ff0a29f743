using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit;

public class ServiceHostTests
{
    [Theory]
    [InlineData(true, ServiceHost.Failed)]
    [InlineData(false, 0)]
    public async Task A_service_that_ends_by_an_error_says_so_by_its_exit_code(bool isFailing, int code) => Assert.Equal(code, await ServiceHost.RunAsync(_ =>
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddHostedService(services => new Work(isFailing, services.GetRequiredService<IHostApplicationLifetime>()));
        return Task.FromResult(builder.Build());
    }));

    private sealed class Work(bool isFailing, IHostApplicationLifetime lifetime) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            var started = new TaskCompletionSource();
            using var _ = lifetime.ApplicationStarted.Register(started.SetResult);
            await started.Task.WaitAsync(stoppingToken);
            if (isFailing)
            {
                throw new InvalidOperationException("It fails.");
            }

            lifetime.StopApplication();
            await Task.Delay(Timeout.Infinite, stoppingToken);
        }
    }
}
