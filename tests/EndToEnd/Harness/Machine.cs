using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Where programs run and listen: this machine, on loopback, or a network namespace with an address of its own.</summary>
internal sealed partial class Machine
{
    private const int NewNetwork = 0x40000000;
    private const int FirstPort = 5000;

    private readonly string? _namespace;
    private int _port = FirstPort - 1;

    private Machine(IPAddress ip, string? networkNamespace) => (Ip, _namespace) = (ip, networkNamespace);

    /// <summary>This machine.</summary>
    public static Machine Local { get; } = new(IPAddress.Loopback, null);

    /// <summary>The address at which others reach it.</summary>
    public IPAddress Ip { get; }

    /// <summary><see cref="Ip"/> as a URL has it, which is in brackets if it is one of IPv6.</summary>
    public string Address => Ip.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{Ip}]" : Ip.ToString();

    private string NamespacePath => $"/run/netns/{_namespace}";

    /// <summary>The machine that a network namespace is.</summary>
    /// <param name="address">Its address.</param>
    /// <param name="networkNamespace">The namespace's name for <c>ip netns</c>.</param>
    public static Machine InNamespace(string address, string networkNamespace) => new(IPAddress.Parse(address), networkNamespace);

    /// <summary>A port that nobody listens on, each handed out once.</summary>
    public int NextPort() => _namespace is null ? FreePorts.Next() : Interlocked.Increment(ref _port);

    /// <summary>A command as it is given to this machine, to run there.</summary>
    public (string File, IEnumerable<string> Arguments) Command(string file, IEnumerable<string> arguments) =>
        _namespace is null ? (file, arguments) : ("nsenter", [$"--net={NamespacePath}", "--", file, .. arguments]);

    /// <summary>A client that connects from this machine.</summary>
    public HttpClient CreateClient() => new(new SocketsHttpHandler
    {
        UseProxy = false,
        ConnectCallback = async (context, cancellation) =>
            new NetworkStream(await ConnectAsync(context.DnsEndPoint, cancellation), ownsSocket: true),
    });

    /// <summary>Connects from this machine.</summary>
    public async Task<Socket> ConnectAsync(EndPoint server, CancellationToken cancellation = default)
    {
        var socket = await CreateSocketAsync();
        try
        {
            await socket.ConnectAsync(server, cancellation);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A socket of this machine that is bound to a port of its address, and does not listen yet.</summary>
    public async Task<Socket> BindAsync(int port)
    {
        var socket = await CreateSocketAsync();
        try
        {
            socket.Bind(new IPEndPoint(Ip, port));
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Waits until a server listens on this machine's address.</summary>
    public Task ListensAsync(string server, int port) => Eventually.HoldsAsync($"{server} listens", async () =>
    {
        try
        {
            using var socket = await ConnectAsync(new IPEndPoint(Ip, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    });

    /// <summary>A socket belongs to the namespace in which it was created, and a thread may change its own (setns(2)); this one ends then.</summary>
    private Task<Socket> CreateSocketAsync()
    {
        var created = new TaskCompletionSource<Socket>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                if (_namespace is not null)
                {
                    using var entered = File.OpenHandle(NamespacePath);
                    if (SetNamespace(entered, NewNetwork) != 0)
                    {
                        throw new IOException($"{NamespacePath} cannot be entered: error {Marshal.GetLastPInvokeError()}.");
                    }
                }

                // Loopback is 127.0.0.1 on machines of either family.
                var socket = new Socket(Ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                if (Ip.AddressFamily == AddressFamily.InterNetworkV6)
                {
                    socket.DualMode = true;
                }

                created.SetResult(socket);
            }
            catch (Exception e) when (e is IOException or SocketException or UnauthorizedAccessException)
            {
                created.SetException(e);
            }
        }).Start();
        return created.Task;
    }

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNamespace(SafeFileHandle handle, int kind);
}
