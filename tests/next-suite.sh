#!/usr/bin/env bash
# Fetches programs of Debian's next suite, each once, and prints the directory that holds them: PACKAGE/usr/bin and so on. They lie beside the system
# and nothing is installed. The archive is the one that this machine's own apt sources name. Remove the directory to fetch newer ones.
set -euo pipefail
suite=forky

fail() { echo "tests/next-suite.sh: $*" >&2; exit 1; }

case "${1:-}" in
  "" | -h | --help) echo "Usage: tests/next-suite.sh PACKAGE...   for example: \$(tests/next-suite.sh containerd)/containerd/usr/bin/containerd --version"; exit 0 ;;
esac

# deb822: each stanza that has this system's suite among its own.
stanzas() {
  awk -v here="$here" -v next_suite="$suite" '
    function emit() { if (stanza != "" && wanted && !off) printf "%sTypes: deb\nSuites: %s\nComponents: main\n\n", stanza, next_suite; stanza = ""; wanted = off = 0; field = "" }
    /^[ \t]*$/ || FNR == 1 { emit() }
    /^[ \t]*$/ || /^#/ { next }
    /^[^ \t]/ { field = tolower(substr($0, 1, index($0, ":") - 1)) }
    field == "suites" { for (i = 1; i <= NF; i++) if ($i == here || $i == "stable") wanted = 1 }
    field == "enabled" && tolower($2) ~ /^(no|false|0)$/ { off = 1 }
    field !~ /^(types|suites|components|enabled)$/ { stanza = stanza $0 "\n" }
    END { emit() }' "$@"
}

# One line each: deb [options] address suite component...
lines() { sed -nE "s#^[[:space:]]*deb[[:space:]]+((\[[^]]*\][[:space:]]+)?[^[:space:]]+)[[:space:]]+($here|stable)[[:space:]]+main.*#deb \1 $suite main#p" "$@"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/spegel-dapr-tests/$suite
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
missing=()
for package in "$@"; do [ -d "$cache/$package" ] || missing+=("$package"); done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "${missing[*]} of Debian's $suite need apt-get and dpkg, which this system has not"
  here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  work=$(mktemp -d "$cache/.fetch-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/{sources,lists/partial,cache/archives/partial,unpacked}
  shopt -s nullglob
  files=(/etc/apt/sources.list.d/*.sources)
  [ ${#files[@]} = 0 ] || stanzas "${files[@]}" >"$work/sources/next.sources"
  files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list)
  for file in "${files[@]}"; do [ ! -r "$file" ] || lines "$file"; done >"$work/sources/next.list"
  grep -qs . "$work"/sources/* || fail "no source below /etc/apt names the suite '$here' of Debian's archive, so it is not known where $suite is"
  cat >"$work/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "root";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/sources";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
CONF
  apt() { (cd "$work" && apt-get -q -c "$work/apt.conf" "$@" >"$work/log" 2>&1) || fail "apt-get $* failed for Debian's $suite: $(grep -m1 '^[EW]:' "$work/log" || tail -n1 "$work/log")"; }
  apt update
  # What it cannot reach is only a warning to it.
  compgen -G "$work/lists/*Packages*" >/dev/null || fail "no list of packages of Debian's $suite: $(grep -m1 '^[EW]:' "$work/log" || tail -n1 "$work/log")"
  for package in "${missing[@]}"; do
    apt download "$package"
    dpkg -x "$work/$package"_*.deb "$work/unpacked/$package" || fail "$package of Debian's $suite cannot be unpacked"
    mv "$work/unpacked/$package" "$cache/$package"
  done
fi
echo "$cache"
