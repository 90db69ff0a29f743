using SpegelDapr.Blob;
using SpegelDapr.ServiceDefaults;

return await ServiceHost.RunAsync(() => BlobService.Create(args));
