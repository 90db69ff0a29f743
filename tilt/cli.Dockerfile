# syntax=docker/dockerfile:1
# The image of the command line tool, which sets nodes up before their pods start: docker buildx build -f tilt/cli.Dockerfile .
# Not native code: with it comes LocalDapr, whose Redis client and YAML reader need reflection.
ARG SDK=mcr.microsoft.com/dotnet/sdk:10.0-noble
ARG BASE=mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled

# The program is the same on all architectures.
FROM --platform=$BUILDPLATFORM ${SDK} AS build
WORKDIR /source
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
COPY global.json Directory.* .editorconfig ./
COPY components components
COPY services services
RUN dotnet restore services/Cli --locked-mode
ARG SOURCE_DATE_EPOCH=0
# One thread compiles: the generators of log messages write classes in an order that threads decide.
RUN echo -parallel- >/compiler.rsp \
 && dotnet publish services/Cli -c Release --no-restore -o /image/app -p:UseAppHost=false \
      -p:ContinuousIntegrationBuild=true -p:UseSharedCompilation=false -p:CompilerResponseFile=/compiler.rsp

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="spegel-dapr command line" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
USER 1654:1654
ENTRYPOINT ["dotnet", "/app/spegel-dapr.dll"]
