using SpegelDapr.Discovery;
using SpegelDapr.ServiceDefaults;

return await ServiceHost.RunAsync(() => DiscoveryService.Create(args));
