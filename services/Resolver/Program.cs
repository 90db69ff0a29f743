using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;

return await ServiceHost.RunAsync(() => ResolverService.Create(args));
