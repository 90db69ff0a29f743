# syntax=docker/dockerfile:1
# The image of one service as native code: docker buildx build -f tilt/service.Dockerfile --build-arg SERVICE=Blob --platform linux/amd64,linux/arm64 .
# SERVICE is Discovery, Blob or Resolver. The same commit gives the same image when SDK and BASE are given by digest and SOURCE_DATE_EPOCH is
# the commit's time, with buildx's output option rewrite-timestamp=true.
ARG SDK=mcr.microsoft.com/dotnet/sdk:10.0-noble-aot
ARG BASE=mcr.microsoft.com/dotnet/runtime-deps:10.0-noble-chiseled

FROM --platform=$BUILDPLATFORM ${SDK} AS build
ARG BUILDARCH
ARG TARGETARCH
# .NET does not run under emulation, so the other architecture is linked by a cross linker.
RUN <<TEXT
set -eu
[ "$BUILDARCH" != "$TARGETARCH" ] || exit 0
case $TARGETARCH in
  arm64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
  amd64) packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;;
  *) echo "There is no image for $TARGETARCH: build for linux/amd64 or linux/arm64." >&2; exit 1 ;;
esac
apt-get update
apt-get install -y --no-install-recommends $packages
rm -rf /var/lib/apt/lists/*
TEXT
WORKDIR /source
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
COPY global.json Directory.* .editorconfig ./
COPY services services
ARG SERVICE
# The first restore holds the packages against the lock files. These do not name the native compiler, which is the SDK's own.
RUN dotnet restore "services/$SERVICE" --locked-mode
ARG SOURCE_DATE_EPOCH=0
# One thread compiles: the generators of log messages write classes in an order that threads decide.
RUN echo -parallel- >/compiler.rsp \
 && find services -name packages.lock.json -delete \
 && dotnet publish "services/$SERVICE" -c Release -a "$TARGETARCH" -o /out \
      -p:PublishAot=true -p:RestorePackagesWithLockFile=false -p:ContinuousIntegrationBuild=true \
      -p:UseSharedCompilation=false -p:CompilerResponseFile=/compiler.rsp \
 && install -D "/out/SpegelDapr.$SERVICE" /image/app/service

FROM ${BASE}
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="spegel-dapr $SERVICE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
# Discovery's pod makes it root, for containerd's socket.
USER 1654:1654
ENTRYPOINT ["/app/service"]
