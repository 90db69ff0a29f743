#!/usr/bin/env bash
# The zone lab's network: zones of machines out of network namespaces, with links that are limited, counted and cut. Run with --help.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
prefix=spegel-dapr-lab
default_rate=1000

use_family() {
  family=$1
  prefix_length=$([ "$1" = 6 ] && echo 64 || echo 24)
}
use_family 4

usage() {
  cat <<'TEXT'
Usage: tests/lab/lab.sh COMMAND

  up [--owner PID] [--ipv6] ZONE=NODES...
                                  builds a lab and prints its name, then a line for each machine: its name and its address; with
                                  --ipv6 its machines have addresses of IPv6 alone, beside their loopback
  down LAB                        ends what runs in a lab, and removes it
  status [LAB]                    prints labs, and the rate and the bytes of each link
  rate LAB ZONE LINK MBIT         limits a link in a zone to so many Mbit/s each way, also while it is in use: zones, upstream or
                                  that of one machine, such as node-1
  cut LAB ZONE [LINK]             takes a zone's links to other zones and to Redis down; upstream stays. With a machine's link,
                                  such as node-1, that one alone
  join LAB ZONE [LINK]            takes them up again
  exec LAB MACHINE COMMAND...     runs a command on a machine
  sweep                           removes labs whose owner has ended; up does so too

A zone NAME with N nodes has the machines NAME-1 to NAME-N and NAME-resolver on a bridge, and a router, NAME, with three links:

  zones     to the backbone, and so to the other zones' routers
  upstream  to the machine of the registry
  control   to the machine of Redis, which carries the events and documents of all zones, so that zones carries content alone

Each machine is a network namespace LAB.MACHINE, and nothing is left in the namespace that lab.sh runs in. A lab goes with its owner, by
default the calling process. For example:

  lab=$(tests/lab/lab.sh up --owner $$ zone-a=2 zone-b=2 | head -1)
  tests/lab/lab.sh rate $lab zone-a zones 20
  tests/lab/lab.sh exec $lab zone-a-1 curl http://10.1.0.1:5000/v2/
  tests/lab/lab.sh down $lab
TEXT
}

fail() { echo "tests/lab/lab.sh: $*" >&2; exit 2; }

# When a process started, in clock ticks: with its id this names it for good (proc(5), the 22nd field of stat; the 2nd may hold spaces).
start_of() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  echo "${20}"
}

labs() {
  { ls /run/netns 2>/dev/null; ls "${TMPDIR:-/tmp}"; } | { grep -oE "^$prefix-[0-9]+-[0-9]+-[0-9]+" || true; } | sort -u
}

is_owned() {
  local pid start
  IFS=- read -r pid start _ <<<"${1#"$prefix-"}"
  [ "$(start_of "$pid")" = "$start" ]
}

require_lab() {
  [[ ${1:-} =~ ^$prefix-[0-9]+-[0-9]+-[0-9]+$ ]] && [ -e "/run/netns/$1.backbone" ] || fail "there is no lab '${1:-}'; see lab.sh status"
  lab=$1
}

require_zone() {
  [ -e "/run/netns/$lab.${1:-}" ] && [ -e "/run/netns/$lab.$1-resolver" ] || fail "$lab has no zone '${1:-}'"
}

in_namespace() { nsenter --net="/run/netns/$lab.$1" -- "${@:2}"; }

add_namespace() {
  ip netns add "$lab.$1"
  ip -n "$lab.$1" link set lo up
  # Neighbour discovery would be counted on the links.
  [ "$family" = 6 ] || in_namespace "$1" sh -c 'echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/all/disable_ipv6 || true'
}

# The network of a zone, and an address in it. Servers are in the zone 256.
net() { if [ "$family" = 6 ]; then printf 'fd00:0:0:%x::/64' "$1"; else echo "10.0.$1.0/24"; fi; }
address() { if [ "$family" = 6 ]; then printf 'fd00:0:0:%x::%x' "$1" "$2"; else echo "10.$(($1 / 256)).$(($1 % 256)).$2"; fi; }

# Who the next hop is on a link without addresses of its own: in IPv4 by any address that the neighbour has, in IPv6 by one on that link.
hop() { if [ "$family" = 6 ]; then printf 'fe80::%x' "$1"; else address "$1" 1; fi; }

# set_hop NAMESPACE INTERFACE NUMBER: has a namespace answer for hop NUMBER on a link.
set_hop() { [ "$family" = 4 ] || ip -n "$lab.$1" address replace "$(hop "$3")/64" dev "$2" nodad; }

# connect A INTERFACE B INTERFACE: a cable between two namespaces.
connect() {
  ip link add "$2" netns "$lab.$1" type veth peer name "$4" netns "$lab.$3"
  ip -n "$lab.$1" link set "$2" up
  ip -n "$lab.$3" link set "$4" up
}

add_routes_to_zone() {
  local from=$1 interface=$2 number=$3
  ip -n "$lab.$from" route replace "$(net "$number")" via "$(hop "$number")" dev "$interface" onlink
}

add_machine() {
  local machine=$1 zone=$2 port=$3 number=$4 host=$5
  add_namespace "$machine"
  connect "$machine" eth0 "$zone" "$port"
  ip -n "$lab.$zone" link set "$port" master bridge
  add_address "$machine" eth0 "$(address "$number" "$host")/$prefix_length"
  ip -n "$lab.$machine" route add default via "$(address "$number" 1)"
  machines+=("$machine $(address "$number" "$host")")
}

# Without a search for duplicates an address of IPv6 is there at once.
add_address() {
  # shellcheck disable=SC2046
  ip -n "$lab.$1" address add "$3" dev "$2" $([ "$family" = 4 ] || echo nodad)
}

add_server() {
  add_namespace "$1"
  add_address "$1" lo "$2"
  machines+=("$1 $2")
}

add_zone() {
  local zone=$1 nodes=$2 number=$3
  add_namespace "$zone"
  in_namespace "$zone" sh -c "echo 1 >/proc/sys/net/$([ "$family" = 6 ] && echo ipv6/conf/all/forwarding || echo ipv4/ip_forward)"
  ip -n "$lab.$zone" link add bridge type bridge
  add_address "$zone" bridge "$(address "$number" 1)/$prefix_length"
  ip -n "$lab.$zone" link set bridge up
  add_machine "$zone-resolver" "$zone" resolver "$number" 2
  for ((node = 1; node <= nodes; node++)); do
    add_machine "$zone-$node" "$zone" "node-$node" "$number" $((10 + node))
  done

  connect "$zone" zones backbone "$zone"
  set_hop "$zone" zones "$number"
  ip -n "$lab.backbone" link set "$zone" master bridge
  for ((other = 1; other <= ${#zones[@]}; other++)); do
    [ "$other" = "$number" ] || add_routes_to_zone "$zone" zones "$other"
  done
  for server in "upstream 1" "control 2"; do
    read -r name host <<<"$server"
    connect "$zone" "$name" "$name" "$zone"
    set_hop "$zone" "$name" "$number"
    set_hop "$name" "$zone" 256
    # shellcheck disable=SC2046
    ip -n "$lab.$zone" route add "$(address 256 "$host")" $([ "$family" = 4 ] || echo via "$(hop 256)") dev "$name"
    add_routes_to_zone "$name" "$zone" "$number"
  done
  limit "$zone" zones "$default_rate"
  limit "$zone" upstream "$default_rate"
}

up() {
  local owner=$PPID
  if [ "${1:-}" = --owner ]; then
    [ $# -gt 1 ] || fail "up: give the process that --owner means"
    owner=$2
    shift 2
  fi
  if [ "${1:-}" = --ipv6 ]; then
    use_family 6
    shift
  fi
  [ $# -gt 0 ] || fail "up: give zones and their numbers of nodes, such as zone-a=2"
  zones=("$@")
  for zone in "${zones[@]}"; do
    [[ $zone =~ ^[a-z0-9][-a-z0-9]{0,13}=([1-9]|[1-9][0-9])$ ]] ||
      fail "up: '$zone' is no ZONE=NODES: a name of at most 14 letters, digits and dashes, and 1 to 99 nodes"
  done
  local start
  start=$(start_of "$owner") || fail "up: there is no process '$owner' to own the lab"
  sweep
  lab=$prefix-$owner-$start-$$
  trap 'remove "$lab"' EXIT
  machines=()
  add_namespace backbone
  ip -n "$lab.backbone" link add bridge type bridge
  ip -n "$lab.backbone" link set bridge up
  add_server upstream "$(address 256 1)"
  add_server control "$(address 256 2)"
  for ((i = 1; i <= ${#zones[@]}; i++)); do
    add_zone "${zones[i - 1]%=*}" "${zones[i - 1]#*=}" "$i"
  done
  trap - EXIT
  printf '%s\n' "$lab" "${machines[@]}"
}

# far_end ZONE LINK: the namespace and the interface at the other end of a link.
far_end() {
  case "$2" in
    zones) echo "backbone $1" ;;
    upstream) echo "upstream $1" ;;
    *) echo "$1-${2#node-} eth0" ;;
  esac
}

# limit ZONE LINK MBIT: tc limits what leaves an interface, so both ends of the link. The bucket holds 10 ms, the queue 50.
limit() {
  local bytes=$(($3 * 1250)) far
  far=$(far_end "$1" "$2")
  for end in "$1 $2" "$far"; do
    # shellcheck disable=SC2086
    set -- "$1" "$2" "$3" $end
    tc -n "$lab.$4" qdisc replace dev "$5" root tbf rate "$3mbit" burst $((bytes > 16384 ? bytes : 16384)) latency 50ms
  done
}

rate() {
  require_lab "${1:-}"
  require_zone "${2:-}"
  [[ ${3:-} =~ ^(zones|upstream|resolver|node-[1-9][0-9]?)$ ]] && ip -n "$lab.$2" link show dev "$3" >/dev/null 2>&1 ||
    fail "rate: '${3:-}' is no link of $2 that has one: give zones, upstream, or a machine's without the zone, such as node-1"
  [[ ${4:-} =~ ^[1-9][0-9]{0,4}$ ]] || fail "rate: '${4:-}' is no number of Mbit/s"
  limit "$2" "$3" "$4"
}

require_machine_link() {
  [[ $2 =~ ^(resolver|node-[1-9][0-9]?)$ ]] && ip -n "$lab.$1" link show dev "$2" >/dev/null 2>&1 ||
    fail "'$2' is no machine's link of $1: give one without the zone, such as node-1"
}

# The far ends go down: the own routes stay, and what is sent is lost, as with a cut cable.
cut() {
  require_lab "${1:-}"
  require_zone "${2:-}"
  if [ $# -gt 2 ]; then
    require_machine_link "$2" "$3"
    ip -n "$lab.$2" link set "$3" down
    return
  fi
  ip -n "$lab.backbone" link set "$2" down
  ip -n "$lab.control" link set "$2" down
}

join() {
  require_lab "${1:-}"
  require_zone "${2:-}"
  if [ $# -gt 2 ]; then
    require_machine_link "$2" "$3"
    ip -n "$lab.$2" link set "$3" up
    return
  fi
  local own number
  ip -n "$lab.backbone" link set "$2" up
  ip -n "$lab.control" link set "$2" up
  own=$(ip -n "$lab.$2" -o address show dev bridge scope global | grep -oE '10\.0\.[0-9]+|fd00:0:0:[0-9a-f]+')
  number=${own##*.}
  if [[ $own = fd00:* ]]; then
    use_family 6
    number=$((16#${own##*:}))
    set_hop control "$2" 256
  fi
  add_routes_to_zone control "$2" "$number"
}

remove() {
  local namespaces=()
  for path in /run/netns/"$1".*; do
    [ ! -e "$path" ] || namespaces+=("${path##*/}")
  done
  for namespace in "${namespaces[@]}"; do
    # shellcheck disable=SC2046
    kill -KILL $(ip netns pids "$namespace") 2>/dev/null || true
  done
  for namespace in "${namespaces[@]}"; do
    ip netns delete "$namespace" 2>/dev/null || true
  done
}

sweep() {
  for name in $(labs); do
    if ! is_owned "$name"; then
      remove "$name"
      # A node's content may be on a file system of its own.
      awk -v name="/$name-" 'index($2, name) { print $2 }' /proc/mounts | xargs -r -n1 umount --lazy 2>/dev/null || true
      rm -rf --one-file-system "${TMPDIR:-/tmp}/$name"-*
    fi
  done
}

status() {
  [ $# = 0 ] || require_lab "$1"
  for lab in $(if [ $# = 0 ]; then labs; else echo "$1"; fi); do
    echo "$lab ($(is_owned "$lab" && echo 'its owner runs' || echo 'its owner has ended: sweep removes it'))"
    for path in /run/netns/"$lab".*-resolver; do
      [ -e "$path" ] || continue
      zone=${path##*"$lab".}
      zone=${zone%-resolver}
      for link in zones upstream control; do
        limit=$(tc -n "$lab.$zone" qdisc show dev "$link" | grep -oE 'rate [^ ]+' || true)
        state=$(ip -n "$lab.$zone" -o link show "$link" | grep -q LOWER_UP && echo up || echo cut)
        ip -n "$lab.$zone" -s -o link show "$link" |
          sed -E "s/.*RX:[^\\\\]*\\\\ *([0-9]+).*TX:[^\\\\]*\\\\ *([0-9]+).*/  $zone $link: $state ${limit:+$limit }received \1 sent \2/"
      done
    done
  done
}

command=${1:---help}
[ $# = 0 ] || shift
case "$command" in
  -h | --help) usage ;;
  up | rate | cut | join | sweep | status)
    [ "$(id -u)" = 0 ] || fail "network namespaces need root"
    "$command" "$@"
    ;;
  down)
    require_lab "${1:-}"
    remove "$lab"
    ;;
  exec)
    require_lab "${1:-}"
    [ -e "/run/netns/$lab.${2:-}" ] || fail "$lab has no machine '${2:-}'"
    [ $# -gt 2 ] || fail "exec: give a command"
    exec nsenter --net="/run/netns/$lab.$2" -- "${@:3}"
    ;;
  *) fail "'$command' is no command; see lab.sh --help" ;;
esac
