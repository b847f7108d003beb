#!/bin/bash
# Measures what another user at full effort takes from a stack: round trips alone, beside two processes of a stranger's
# that attack the host, beside the same two at a socket that is none of the host's, and beside two of theirs that only
# burn the processor. Slices in turns; medians of all slices.
#
#   ATTACK_ROUNDS=15    slices of each kind
#   ATTACK_SECONDS=4    of each slice
set -euo pipefail
cd "$(dirname "$0")/../../.."
rounds=${ATTACK_ROUNDS:-15} seconds=${ATTACK_SECONDS:-4} stranger=61236

if [ $# = 0 ]; then
  .ci/tools build soak
  if [ "$(id -u)" != 0 ]; then
    echo "it makes namespaces and is another user for a while: run it as root" >&2
    exit 1
  fi
  built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
  work=$(mktemp -d "${TMPDIR:-/tmp}/sockeye-attack.XXXXXX")
  child=
  trap '[ -z "$child" ] || { kill -KILL $child; wait $child; } 2>/dev/null || true; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  ${MAKE:-make} --no-print-directory >"$work/build.log" 2>&1 </dev/null || { cat "$work/build.log"; exit 1; }
  mkdir "$work/empty"
  touch "$work/empty/sockeye.h"
  ${CC:-cc} -O2 -I"$work/empty" -include benches/kernel_names.h -o "$work/node" tests/soak/*.c
  ${CC:-cc} -O2 -o "$work/stranger" tests/soak/attack/stranger.c
  chmod 755 "$work"
  unset "${!SOCKEYE_@}"
  # A session of their own, in which all have the same priority; the machine may have other work.
  setsid --wait nice -n -10 unshare --net --pid --mount --mount-proc --fork --kill-child "$PWD/tests/soak/attack/run.sh" inside \
    "$work" "$built/release" &
  child=$!
  wait $child
  exit
fi

work=$2 release=$3
readonly ours=10.97.0.2 port=7000
export SOCKEYE_NET="tap:t0,ip=$ours/24,gw=10.97.0.1"
# Where the kernel shares processors out between sessions first (sched(7)), this is what nice(1) is to processes.
echo -5 >/proc/self/autogroup 2>/dev/null || true
mount -t tmpfs attack /run
ip link set lo up
ip tuntap add dev t0 mode tap
ip addr add 10.97.0.1/24 dev t0
ip link set t0 up
hosted=("$release/sockeye" run --stack attacked --)
# It belongs to this session, as all others do.
"$release/sockeye" host --net "$SOCKEYE_NET" --stack attacked 2>"$work/host.log" &
host=$!
"$work/stranger" --decoy decoy &
sleep 0.5
"${hosted[@]}" "$work/node" serve $port 2>"$work/server.log" &
for _ in $(seq 100); do
  "$work/node" trips bytes $ours $port 0.01 >/dev/null 2>&1 && break
  sleep 0.05
done

# In the background only: what is ended there is the program itself, and no shell before it.
as_stranger() { exec setpriv --reuid $stranger --regid $stranger --clear-groups "$@"; }
others=()
beside() {
  case $1 in
    alone) return ;;
    attackers) for n in 1 2; do as_stranger "$work/stranger" $n & others+=($!); done ;;
    elsewhere) for n in 1 2; do as_stranger "$work/stranger" $n decoy & others+=($!); done ;;
    burners) for _ in 1 2; do as_stranger bash -c 'while :; do :; done' & others+=($!); done ;;
  esac
  sleep 0.3
}
end_them() {
  [ ${#others[@]} = 0 ] || { kill "${others[@]}"; wait "${others[@]}" 2>/dev/null || true; }
  others=()
}

# What is measured: who asks, what a trip is, and where to.
measure() {
  case $1 in
    wire) "$work/node" trips bytes $ours $port "$seconds" ;;
    loopback) "${hosted[@]}" "$work/node" trips bytes 127.0.0.1 $port "$seconds" ;;
    connections) "${hosted[@]}" "$work/node" trips connections 127.0.0.1 $port "$seconds" ;;
  esac
}
# What the host has had of the processors, in hundredths of a second.
used() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' /proc/$host/stat; }
declare -A title=([wire]="a byte, kernel's client" [loopback]="a byte, hosted client"
  [connections]="a connection, hosted")
for round in $(seq "$rounds"); do
  for kind in wire loopback connections; do
    for who in alone attackers elsewhere burners; do
      beside $who
      before=$(used)
      line=$(measure $kind)
      echo "$line $(($(used) - before))" >>"$work/$kind.$who"
      end_them
    done
  done
  [ ! -t 2 ] || printf '\rround %d of %d ' "$round" "$rounds" >&2
done
median() { awk -v column="$2" '{ print $column }' "$1" | sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
printf '%-26s%-12s%12s%12s%10s%8s%14s\n' "a round trip" "beside" "median us" "99th us" "a second" "part" "host's CPU us"
for kind in wire loopback connections; do
  for who in alone attackers elsewhere burners; do
    rate=$(median "$work/$kind.$who" 3)
    printf '%-26s%-12s%12.1f%12.1f%10.0f%8.2f%14.1f\n' "${title[$kind]}" $who "$(median "$work/$kind.$who" 1)" \
      "$(median "$work/$kind.$who" 2)" "$rate" "$(awk -v a="$rate" -v b="$(median "$work/$kind.alone" 3)" 'BEGIN { print a / b }')" \
      "$(awk -v ticks="$(median "$work/$kind.$who" 4)" -v rate="$rate" -v s="$seconds" 'BEGIN { print ticks * 1e4 / (rate * s) }')"
  done
done
