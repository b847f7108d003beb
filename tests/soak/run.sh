#!/bin/bash
# Lets hosted programs and embedded servers work for hours and fails when one of them grows, dies or gets a wrong byte.
# docs/soak.md says what is run and by which rule it is judged.
#
#   SOAK_HOURS=1        how long; fractions are fine
#   SOAK_OUT=DIRECTORY  where the samples and the pictures go; target/soak by itself
#   SOAK_PLANT=memory   a leak in the embedded server, or in its descriptors: to see the soak fail
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# = 0 ]; then
  .ci/tools build soak
  if [ "$(id -u)" != 0 ]; then
    echo "the soak makes namespaces and TAP devices: run it as root (sudo make soak)" >&2
    exit 1
  fi
  built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
  out=$(realpath -m "${SOAK_OUT:-$built/soak}")
  mkdir -p "$out/empty"
  child=
  trap '[ -z "$child" ] || { kill -KILL $child; wait $child; } 2>/dev/null || true' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  ${MAKE:-make} --no-print-directory >"$out/build.log" 2>&1 </dev/null || { cat "$out/build.log"; exit 1; }
  touch "$out/empty/sockeye.h"
  ${CC:-cc} -O2 -I"$out/empty" -include benches/kernel_names.h -o "$out/kernel" tests/soak/*.c
  ${CC:-cc} -O2 -D_GNU_SOURCE -Iinclude -o "$out/embedded" tests/soak/*.c \
    -L"$built/release" -lsockeye -Wl,-rpath,"$out"
  # What runs meanwhile is not replaced by a later build.
  cp "$built/release/"{sockeye,libsockeye.so.0,libsockeye_preload.so} "$out"
  cp tests/soak/*.py "$out"
  # Networks, processes and files in /tmp and /run of its own: when the first process ends, the kernel ends the others.
  unset "${!SOCKEYE_@}"
  unshare --net --pid --mount --mount-proc --fork --kill-child "$PWD/tests/soak/run.sh" inside "$out" &
  child=$!
  wait $child
  exit
fi

out=$2
mount -t tmpfs soak /tmp
mount -t tmpfs soak /run
ip link set lo up
for wire in 0 1 2; do
  ip tuntap add dev t$wire mode tap
  sysctl -qw net.ipv6.conf.t$wire.disable_ipv6=1 2>/dev/null || true
  ip addr add 10.97.$wire.1/24 dev t$wire
  ip link set t$wire up
done
# What the kernel remembers of round trips is another connection's: after one of seconds the next would wait as long.
sysctl -qw net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="1024 65500"
cd "$out"
exec python3 "$out/soak.py" --hours "${SOAK_HOURS:-1}" --out "$out"
