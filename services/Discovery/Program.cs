using SpegelDapr.Discovery;
using SpegelDapr.ServiceDefaults;
using SpegelDapr.ServiceDefaults.Kubernetes;

return await ServiceHost.RunAsync(async stop => DiscoveryService.Create(args, await NodeLocation.LearnAsync(args, stop)));
