# The images of the local loop, from what `dotnet publish` made. Not for shipping.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble AS base
ARG PROJECT
COPY .build/$PROJECT /app

FROM base AS cli
ENTRYPOINT ["dotnet", "/app/spegel-dapr.dll"]

# With a shell that starts the service anew when it has changed.
FROM base AS service
ARG PROJECT
ENV PROJECT=$PROJECT
COPY --chmod=755 dev.sh /dev.sh
ENTRYPOINT ["/dev.sh", "run"]
