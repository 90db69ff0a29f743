// Each test runs several daemons on a small machine.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
