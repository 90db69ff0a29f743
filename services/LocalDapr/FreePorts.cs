using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace SpegelDapr.LocalDapr;

/// <summary>
/// Loopback ports that nobody listens on, each handed out once, for whoever must name a port before it is listened on. They are outside the
/// range from which the kernel takes the ports of outgoing connections, so none of those comes first.
/// </summary>
public static class FreePorts
{
    private const int Lowest = 10_000;
    private const int UsualEphemeral = 32_768;

    private static readonly HashSet<int> Taken = [];
    private static readonly int FirstEphemeral = ReadFirstEphemeral();

    /// <summary>A port.</summary>
    public static int Next()
    {
        while (true)
        {
            var port = Random.Shared.Next(Lowest, FirstEphemeral);
            lock (Taken)
            {
                if (IsFree(port) && Taken.Add(port))
                {
                    return port;
                }
            }
        }
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Linux tells where the range begins (ip-sysctl, ip_local_port_range); elsewhere it begins higher.</summary>
    private static int ReadFirstEphemeral()
    {
        try
        {
            var range = File.ReadAllText("/proc/sys/net/ipv4/ip_local_port_range").Split();
            return Math.Max(int.Parse(range[0], CultureInfo.InvariantCulture), Lowest * 2);
        }
        catch (IOException)
        {
            return UsualEphemeral;
        }
    }
}
