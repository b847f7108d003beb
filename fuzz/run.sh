#!/bin/bash
# fuzz/run.sh [TARGET...]: fuzzes the targets (all, if none is named), two at a time, FUZZ_SECONDS each (60). Builds
# them with a stable compiler, debug assertions and overflow checks; with FUZZ_ASAN=1 by a nightly one, with
# AddressSanitizer.
#
# Each begins with the inputs under fuzz/seeds/TARGET, which are only read; what it finds besides goes to
# target/fuzz/TARGET of the main folder. An input that crashes is left there as crash-*, and ends this with failure: it
# is to be mended, and goes to the seeds then, where every run tries it first. FUZZ_ARGS are libFuzzer's own options.
set -euo pipefail
cd "$(dirname "$0")"
cargo=${CARGO:-cargo}
seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
work=$(realpath -m "${CARGO_TARGET_DIR:-../target}/fuzz")
all=(frames calls settings dns captures scripts host)
[ $# -gt 0 ] && all=("$@")

# What cargo-fuzz passes for `-s none`.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
if [ "${FUZZ_ASAN:-0}" = 1 ]; then
  cargo="$cargo +nightly" RUSTFLAGS="$RUSTFLAGS -Zsanitizer=address" work=$work-asan
fi
# A target of its own: build scripts have no counters.
$cargo build --release --target "$host" --target-dir "$work/build"

fuzz() {
  local target=$1 found=$work/$1 log=$work/$1.log
  mkdir -p "$found"
  local places=("$found" "seeds/$target")
  # The project's own scripts are the best ones.
  [ "$target" = scripts ] && places+=(../tests/scripts)
  local options=(-max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1)
  if "$work/build/$host/release/$target" "${options[@]}" -artifact_prefix="$work/" ${FUZZ_ARGS:-} "${places[@]}" \
    >"$log" 2>&1 </dev/null; then
    printf '%-9s %s\n' "$target" "$(awk '
      /stat::number_of_executed_units/ { runs = $2 } /stat::average_exec_per_sec/ { rate = $2 }
      / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
      END { printf "%d executions, %d a second, %d edges", runs, rate, cov }' "$log")"
  else
    printf '%-9s FAILED, see %s\n' "$target" "$log"
    tail -n 40 "$log"
    return 1
  fi
}

status=0 pair=()
for target in "${all[@]}"; do
  fuzz "$target" &
  pair+=($!)
  if [ ${#pair[@]} = 2 ]; then
    for process in "${pair[@]}"; do wait "$process" || status=1; done
    pair=()
  fi
done
for process in ${pair[@]+"${pair[@]}"}; do wait "$process" || status=1; done
exit $status
