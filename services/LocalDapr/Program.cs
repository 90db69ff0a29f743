using SpegelDapr.LocalDapr.Running;

return await CommandLine.RunAsync(args);
