#!/bin/bash
# Measures the stack over a TAP beside the kernel's over veth: the same server, the same kernel client, the same
# minute, round by round in turns; medians and their ratio. The client and the server share a core ("one core": all
# the work both sides do), or have one each ("two cores").
#
#   BENCH_ROUNDS=5      rounds, of which the median is shown
#   BENCH_SECONDS=0.5   for each measurement
# SOCKEYE_ variables reach the server: SOCKEYE_SPIN=50 make bench.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${BENCH_ROUNDS:-5} seconds=${BENCH_SECONDS:-0.5}

if [ $# = 0 ]; then
  .ci/tools build bench
  if [ "$(id -u)" != 0 ]; then
    echo "the bench makes network namespaces and raises its priority: run it as root (sudo make bench)" >&2
    exit 1
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/sockeye-bench.XXXXXX")
  child=
  trap '[ -z "$child" ] || kill $child 2>/dev/null || true; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  release=$(realpath -m "${CARGO_TARGET_DIR:-target}/release")
  ${MAKE:-make} --no-print-directory >"$work/build.log" 2>&1 </dev/null || { cat "$work/build.log"; exit 1; }
  mkdir "$work/empty"
  touch "$work/empty/sockeye.h"
  ${CC:-cc} -O2 -pthread -I"$work/empty" -include benches/kernel_names.h -o "$work/kernel" benches/measure.c
  ${CC:-cc} -O2 -pthread -D_GNU_SOURCE -Iinclude -o "$work/sockeye" benches/measure.c \
    -L"$release" -lsockeye -Wl,-rpath,"$release"
  # Namespaces and processes of its own: when the first of them ends, the kernel ends the others.
  unshare --net --pid --mount-proc --fork --kill-child "$0" inside "$work" &
  child=$!
  wait $child
  exit
fi

work=$2
readonly port=5000 kernel=10.98.0.2 ours=10.97.0.2

# ---- this namespace has the clients; the kernel's server is in another, behind veth; ours is behind a TAP ------------

tune() {
  sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="1024 65500" net.ipv6.conf.all.disable_ipv6=1
  sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null || true
  ip link set lo up
}
export -f tune

tune
unshare --net bash -c "tune && exec sleep infinity" &
there=$!
while [ /proc/$there/ns/net -ef /proc/self/ns/net ]; do sleep 0.02; done
ip link add v0 type veth peer name v1 netns $there
ip addr add 10.98.0.1/24 dev v0
ip link set v0 up
nsenter --target $there --net bash -c "ip addr add $kernel/24 dev v1; ip link set v1 up"
ip tuntap add dev t0 mode tap
ip addr add 10.97.0.1/24 dev t0
ip link set t0 up

# nice: the machine may have other work
prio="nice -n -10"
declare -A address=([kernel]=$kernel [sockeye]=$ours) server
start() {
  case $1 in
    kernel) nsenter --target $there --net $prio "$work/kernel" serve $port & ;;
    sockeye) SOCKEYE_NET="tap:t0,ip=$ours/24,gw=10.97.0.1" $prio "$work/sockeye" serve $port & ;;
  esac
  server[$1]=$!
  for _ in $(seq 100); do
    timeout 5 "$work/kernel" rr ${address[$1]} $port 0.01 >/dev/null 2>&1 && return
    kill -0 ${server[$1]} 2>/dev/null || break
    sleep 0.05
  done
  echo "the $1 server does not answer at ${address[$1]}" >&2
  exit 1
}
start kernel
start sockeye

# ---- rounds, in turns ------------------------------------------------------------------------------------------------

kinds=(rr conn in out)
places=("one core")
[ "$(nproc)" -lt 2 ] || places+=("two cores")
for round in $(seq "$rounds"); do
  for place in "${places[@]}"; do
    core=0
    [ "$place" = "one core" ] || core=1
    for kind in "${kinds[@]}"; do
      for target in kernel sockeye; do
        taskset --all-tasks --cpu-list --pid $core ${server[$target]} >/dev/null
        [ ! -t 2 ] || printf '\r%-60s' "round $round of $rounds: $place, $kind, $target" >&2
        timeout 30 taskset --cpu-list 0 $prio "$work/kernel" $kind ${address[$target]} $port "$seconds" \
          >>"$work/$place.$kind.$target"
      done
    done
  done
done
[ ! -t 2 ] || printf '\r%60s\r' "" >&2

median() {
  sort -g "$1" | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'
}
declare -A title=([rr]="round trips/s" [conn]="connections/s" [in]="Gbit/s received" [out]="Gbit/s sent")
printf '%-11s%-18s%16s%16s%9s\n' "" "server's" "kernel, veth" "sockeye, TAP" "ratio"
for place in "${places[@]}"; do
  for kind in "${kinds[@]}"; do
    awk -v place="$place" -v title="${title[$kind]}" -v a="$(median "$work/$place.$kind.kernel")" \
      -v b="$(median "$work/$place.$kind.sockeye")" 'BEGIN {
        form = a < 1000 ? "%16.1f%16.1f" : "%16.0f%16.0f"
        printf "%-11s%-18s" form "%9.2f\n", place, title, a, b, b / a
      }'
  done
done
