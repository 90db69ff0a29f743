#!/usr/bin/env bash
# A RabbitMQ of its own for a test: its data, its cookie and its epmd are nobody else's, so that several run side by side and beside the system's.
# It ends with its standard input, whatever becomes of the one who started it, and takes all its processes along.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: tests/rabbitmq/rabbitmq.sh DIRECTORY ADDRESS PORT DIST_PORT EPMD_PORT [VHOSTS]

Runs rabbitmq-server for AMQP on ADDRESS:PORT until standard input ends. DIRECTORY keeps its data from one run to the next; - is a directory that goes
with it. The user is guest, from any address, and besides / there are the virtual hosts v1 to vVHOSTS. The other ports are for Erlang.
TEXT
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[ $# -ge 5 ] || { usage >&2; exit 2; }
directory=$1 address=$2 port=$3 dist=$4 epmd=$5 vhosts=${6:-0}

# The program in PATH on Debian changes to a user of its own, which may not write here.
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || server=rabbitmq-server

scratch=
[ "$directory" != - ] || directory=$(mktemp -d -t rabbitmq-test-XXXXXX) scratch=$directory
groups=()
cleanup() {
  {
    for group in "${groups[@]}"; do kill -KILL -- "-$group" || true; done
    wait
  } 2>/dev/null
  [ -z "$scratch" ] || rm -rf "$scratch"
}
trap cleanup EXIT

mkdir -p "$directory"
cat >"$directory/rabbitmq.conf" <<CONF
listeners.tcp.default = $address:$port
loopback_users = none
log.console.level = warning
log.file = false
load_definitions = $directory/definitions.json
CONF
host() { printf '{"name":"%s"}' "$1"; }
permission() { printf '{"user":"guest","vhost":"%s","configure":".*","write":".*","read":".*"}' "$1"; }
{
  printf '{"users":[{"name":"guest","password":"guest","tags":""}],"vhosts":[%s' "$(host /)"
  for ((i = 1; i <= vhosts; i++)); do printf ',%s' "$(host "v$i")"; done
  printf '],"permissions":[%s' "$(permission /)"
  for ((i = 1; i <= vhosts; i++)); do printf ',%s' "$(permission "v$i")"; done
  printf ']}'
} >"$directory/definitions.json"

export HOME=$directory ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_CONF_ENV_FILE=$directory/none RABBITMQ_CONFIG_FILE=$directory/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$directory/plugins
export RABBITMQ_MNESIA_BASE=$directory/db RABBITMQ_LOG_BASE=$directory/log RABBITMQ_LOGS=- RABBITMQ_PID_FILE=$directory/pid
export RABBITMQ_NODENAME=test-$port@localhost RABBITMQ_DIST_PORT=$dist
# One scheduler that does not spin: these brokers have little to do and share the machine.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"

# Each job is a process group of its own.
set -m
# Started here and not by the server, whose epmd would outlive it.
epmd -port "$epmd" -address 127.0.0.1 </dev/null &
groups+=($!)
"$server" </dev/null &
groups+=($!)
cat >/dev/null &
input=$!
groups+=("$input")
wait -n "${groups[1]}" "$input" || true
