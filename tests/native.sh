#!/usr/bin/env bash
# Publishes the services as native code, as their images do, and prints the directory that holds them. What was published from
# the same sources by the same SDK is taken from ~/.cache/spegel-dapr (or $XDG_CACHE_HOME/spegel-dapr), which keeps the last few.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1

services=(Blob Discovery Resolver)
inputs=(global.json .editorconfig Directory.* services/Contracts services/ServiceDefaults)
for service in "${services[@]}"; do inputs+=("services/$service"); done
case $(uname -m) in
  x86_64) runtime=linux-x64 ;;
  aarch64) runtime=linux-arm64 ;;
  *) echo "tests/native.sh: there are no images for $(uname -m)" >&2; exit 2 ;;
esac

files() { find "${inputs[@]}" \( -name bin -o -name obj \) -prune -o -type f -print0 | LC_ALL=C sort -z; }
key=$({ dotnet --version; echo "$runtime"; files | xargs -0 sha256sum; } | sha256sum | cut -c1-20)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/spegel-dapr/native
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if [ ! -d "$cache/$key" ]; then
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  files | tar --null --files-from=- -c | tar -x -C "$build"
  # In a copy, so that what the checkout has built stays. The lock files do not name the native compiler, which is the SDK's own.
  find "$build" -name packages.lock.json -delete
  for service in "${services[@]}"; do
    (cd "$build" && dotnet publish "services/$service" -c Release -r "$runtime" -o "out/$service" --verbosity quiet \
      -p:PublishAot=true -p:RestorePackagesWithLockFile=false -p:RestoreLockedMode=false) >&2
  done
  mkdir "$build/done"
  for service in "${services[@]}"; do install -D "$build/out/$service/SpegelDapr.$service" "$build/done/$service/service"; done
  mv "$build/done" "$cache/$key"
fi
touch "$cache/$key"
find "$cache" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- | xargs -r rm -rf
echo "$cache/$key"
