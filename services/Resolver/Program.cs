using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;

return await ServiceHost.RunAsync(_ => Task.FromResult(ResolverService.Create(args)));
