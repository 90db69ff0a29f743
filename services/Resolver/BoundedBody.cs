using System.Buffers;

namespace SpegelDapr.Resolver;

/// <summary>Reads requests of bounded size.</summary>
internal static class BoundedBody
{
    /// <summary>The whole body; null when it has more than <paramref name="most"/> bytes.</summary>
    public static async Task<byte[]?> ReadAsync(HttpRequest request, int most)
    {
        if (request.ContentLength > most)
        {
            return null;
        }

        var reader = request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync(request.HttpContext.RequestAborted);
            if (read.IsCompleted || read.Buffer.Length > most)
            {
                var body = read.Buffer.Length > most ? null : read.Buffer.ToArray();

                // Without this Kestrel cannot read on, and gives the connection up.
                reader.AdvanceTo(read.Buffer.End);
                return body;
            }

            reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }
}
