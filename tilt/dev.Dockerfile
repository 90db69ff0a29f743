# The image of a service for the local loop: what `dotnet publish` made, and a shell that starts it anew when it has changed. Not for shipping.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble
COPY --chmod=755 dev.sh /dev.sh
ARG SERVICE
ENV SERVICE=$SERVICE
COPY .build/$SERVICE /app
ENTRYPOINT ["/dev.sh", "run"]
