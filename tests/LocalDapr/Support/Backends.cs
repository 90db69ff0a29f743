using System.Reflection;
using Xunit.Sdk;

namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>The backends of pub/sub and state that tests run on.</summary>
public enum Backend
{
    InMemory,
    Redis,
    RabbitMq,
}

/// <summary>A test of what LocalDapr has and daprd has not: skipped where DAPRD_PATH names what to test.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LocalFactAttribute : FactAttribute
{
    public LocalFactAttribute() => Skip = WhyNot;

    public static string? WhyNot { get; } = Runtime.DaprdPath is null ? null : "it is about LocalDapr itself";
}

/// <summary>As <see cref="LocalFactAttribute"/>, on the backends that the test names.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LocalTheoryAttribute : TheoryAttribute
{
    public LocalTheoryAttribute() => Skip = LocalFactAttribute.WhyNot;
}

/// <summary>Runs a theory on memory. Sidecars that are processes of their own, as daprd's are, do not share it.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OnMemoryAttribute : DataAttribute
{
    public OnMemoryAttribute(bool shared = false) =>
        Skip = shared && Runtime.DaprdPath is not null ? "each daprd has in-memory components of its own" : null;

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Backend.InMemory]];
}

/// <summary>Runs a theory on a Redis of its own. A missing redis-server skips it, and fails it under CI=true.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OnRedisAttribute : DataAttribute
{
    public OnRedisAttribute() =>
        Skip = RedisServer.Program is null && Environment.GetEnvironmentVariable("CI") != "true" ? "redis-server is not installed" : null;

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Backend.Redis]];
}

/// <summary>Runs a theory on a RabbitMQ, as <see cref="RabbitMqFactAttribute"/> does.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OnRabbitMqAttribute : DataAttribute
{
    public OnRabbitMqAttribute() => Skip = RabbitMqFactAttribute.WhyNot;

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Backend.RabbitMq]];
}

/// <summary>A test that runs a RabbitMQ. A missing rabbitmq-server skips it, and fails it under CI=true.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RabbitMqFactAttribute : FactAttribute
{
    public RabbitMqFactAttribute() => Skip = WhyNot;

    /// <summary>Why such tests cannot run; null when they can.</summary>
    public static string? WhyNot { get; } =
        !RabbitMqServer.IsInstalled && Environment.GetEnvironmentVariable("CI") != "true" ? "rabbitmq-server is not installed" : null;
}
