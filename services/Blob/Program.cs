using SpegelDapr.Blob;
using SpegelDapr.ServiceDefaults;
using SpegelDapr.ServiceDefaults.Kubernetes;

return await ServiceHost.RunAsync(async stop => BlobService.Create(args, await NodeLocation.LearnAsync(args, stop)));
