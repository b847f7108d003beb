#!/bin/bash
# The main job, shown on real traffic: C programs talk TCP to the kernel through a stack of their own, over a TAP in a
# network namespace that vanishes with this script.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly ours=10.97.0.2 kernel=10.97.0.1 port=8000
readonly net="tap:t0,ip=$ours/24,gw=$kernel"
bulk=${DEMO_BYTES:-100000000} lossy=${DEMO_LOSSY_BYTES:-2500000}

# ---- outside: tools, build, and a namespace -------------------------------------------------------------------------

outside() {
  .ci/tools build demo
  work=$(mktemp -d "${TMPDIR:-/tmp}/sockeye-demo.XXXXXX")
  child=
  trap '[ -z "$child" ] || kill $child 2>/dev/null || true; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  echo "building"
  ${MAKE:-make} --no-print-directory examples >"$work/build.log" 2>&1 </dev/null || { cat "$work/build.log"; exit 1; }
  ${CC:-cc} -O2 -o "$work/source" demo/source.c

  # A network of its own, and processes of its own: when the first of them ends, the kernel ends the others.
  local -a unshare=(unshare --net --pid --fork --kill-child)
  if [ "$(id -u)" != 0 ]; then
    unshare+=(--user --map-root-user)
  fi
  if ! why=$("${unshare[@]}" true 2>&1); then
    cure_namespace "$why"
  fi
  if ! why=$("${unshare[@]}" ip tuntap add dev t0 mode tap 2>&1); then
    cure_tap "$why"
  fi
  "${unshare[@]}" "$0" --inside "$work" "${CARGO_TARGET_DIR:-target}/examples" &
  child=$!
  wait $child
}

cure_namespace() {
  echo "This machine does not let us make a network namespace: $1"
  if [ "$(id -u)" = 0 ]; then
    echo "In a container: start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun"
  else
    echo "Run it as root (sudo make demo), or allow user namespaces:"
    echo "  sudo sysctl kernel.unprivileged_userns_clone=1                  (Debian before 11)"
    echo "  sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0      (Ubuntu)"
  fi
  exit 1
} >&2

cure_tap() {
  echo "This machine does not let us make a TAP device: $1"
  if [ ! -e /dev/net/tun ]; then
    echo "/dev/net/tun is missing. Load the module: sudo modprobe tun"
    echo "In a container: start it with --device /dev/net/tun --cap-add NET_ADMIN"
  elif ! (exec 3<>/dev/net/tun) 2>/dev/null; then
    echo "/dev/net/tun does not open. Run it as root (sudo make demo), or: sudo chmod 666 /dev/net/tun"
  else
    echo "Run it as root (sudo make demo)"
  fi
  exit 1
} >&2

# ---- inside: the demo -----------------------------------------------------------------------------------------------

# title, and what it proves
show() {
  printf '\n\033[1m%s\033[0m\n%s\n' "$1" "$2"
}

run() {
  printf '  $ %s\n' "$*" | sed "s|$work/||g; s|$examples/||g"
  timeout 60 "$@" | sed 's/^/  /'
}

# Waits until the address answers, while the process $1 lives.
wait_for() {
  for _ in $(seq 100); do
    curl -s -o /dev/null --max-time 2 "http://$2/" && return
    kill -0 "$1" 2>/dev/null || break
    sleep 0.05
  done
  echo "nothing answers at $2" >&2
  exit 1
}

inside() {
  work=$1 examples=$2
  ip link set lo up
  ip tuntap add dev t0 mode tap
  sysctl -qw net.ipv6.conf.t0.disable_ipv6=1 2>/dev/null || true
  ip addr add $kernel/24 dev t0
  ip link set t0 up
  echo "the kernel is $kernel on TAP t0; our stack is $ours on the same wire"

  show "1. A server" \
    "A C program linked with the library serves the kernel's curl: handshake, data and close, ARP and IP are ours."
  SOCKEYE_NET=$net "$examples/server" &
  local server=$!
  wait_for $server $ours
  run curl -sS -i "http://$ours/"
  kill $server
  wait $server 2>/dev/null || true

  "$work/source" $port &
  local source=$!
  wait_for $source "$kernel:$port"

  show "2. A client at full speed" \
    "100 MB from a kernel server: super-frames, window scaling and autotuning keep the wire busy, with one thread."
  export SOCKEYE_NET=$net
  run "$examples/fetch" $kernel $port "/$bulk"

  show "3. The same over a bad line" \
    "10 ms each way and 1 % loss, made by the library itself: what is lost is sent again, and every byte is right."
  export SOCKEYE_NET="$net,link=delay:10ms+loss:1%+seed:7,pcap=$work/demo.pcapng"
  echo "  SOCKEYE_NET=$net,link=delay:10ms+loss:1%+seed:7,pcap=demo.pcapng"
  run "$examples/fetch" $kernel $port "/$lossy" "$work/ours"
  curl -sS -o "$work/theirs" "http://$kernel:$port/$lossy"
  cmp "$work/ours" "$work/theirs"
  echo "  the same bytes as the kernel gets"

  show "4. What the wire saw" \
    "The library wrote a capture that tcpdump and Wireshark read: no rights needed, one program's packets only."
  summarise "$work/demo.pcapng"
  kill $source
  wait $source 2>/dev/null || true
  printf '\nAll four worked.\n'
}

# The handshake, and a count of what came and went.
summarise() {
  # -Z: reading a file needs no other user, and here there may be none.
  tcpdump -Z root -nr "$1" >"$work/packets" 2>"$work/complaints" || { cat "$work/complaints" >&2; exit 1; }
  grep -m 3 -F '> ' <(grep -F 'Flags' "$work/packets") | cut -c 1-118 | sed 's/^/  /'
  echo "  ..."
  awk -v ours="$ours" '
    / ARP, / { arp++ }
    !/Flags/ { next }
    { packets++; mine = index($3, ours) == 1; way[mine]++ }
    /Flags \[S\.?\]/ { syn++ }
    /Flags \[F\.?\]|Flags \[FP\.?\]/ { fin++ }
    /sack / { sack++ }
    match($0, /seq [0-9]+:[0-9]+/) {
      split(substr($0, RSTART + 4, RLENGTH - 4), range, ":")
      if (range[1] + 0 < highest[$3]) again++
      if (range[2] + 0 > highest[$3]) highest[$3] = range[2] + 0
    }
    END {
      printf "  %d TCP packets (%d received, %d sent), %d ARP; ", packets, way[0], way[1], arp
      printf "%d SYN, %d FIN; %d retransmissions seen, %d acknowledgements with SACK blocks\n", syn, fin, again, sack
      exit packets == 0
    }' "$work/packets"
}

case ${1:-} in
  --inside) inside "$2" "$3" ;;
  "") outside ;;
  *) echo "usage: demo/run.sh" >&2; exit 2 ;;
esac
