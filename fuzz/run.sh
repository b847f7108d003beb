#!/bin/bash
# fuzz/run.sh [TARGET...]: fuzzes the targets (all, if none is named), two at a time, FUZZ_SECONDS each (60). Builds
# them with a stable compiler, debug assertions and overflow checks; with FUZZ_ASAN=1 with AddressSanitizer besides.
#
# Each begins with the inputs under fuzz/seeds/TARGET, which are only read; what it finds besides goes to
# target/fuzz/TARGET of the main folder. An input that crashes is left there as TARGET-crash-*, is printed, and ends
# this with failure: it is to be mended, and goes to the seeds then, where every run tries it first. FUZZ_ARGS are
# libFuzzer's own options.
#
# FUZZ_MERGE=1: fuzzes nothing, but makes the seeds the fewest inputs, of them and of what was found, that reach as
# much. Seeds with names that are no hashes, as those that crashed once have, stay.
set -euo pipefail
cd "$(dirname "$0")"
cargo=${CARGO:-cargo}
seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
work=$(realpath -m "${CARGO_TARGET_DIR:-../target}/fuzz")
all=(frames calls settings dns captures scripts host)
[ $# -gt 0 ] && all=("$@")

# What cargo-fuzz passes for `-s none`, but for the one codegen unit: several are built at once.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
if [ "${FUZZ_ASAN:-0}" = 1 ]; then
  # A stable compiler has the sanitizer, and says what it thinks of who uses it.
  export RUSTC_BOOTSTRAP=1
  RUSTFLAGS="$RUSTFLAGS -Zsanitizer=address" work=$work-asan
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
  if "$work/build/$host/release/$target" "${options[@]}" -artifact_prefix="$work/$target-" ${FUZZ_ARGS:-} \
    "${places[@]}" >"$log" 2>&1 </dev/null && report "$target" "$log"; then
    return
  fi
  printf '%-9s FAILED, see %s\n' "$target" "$log"
  tail -n 40 "$log"
  # Whoever reads this may not have the file.
  sed -n 's/.*Test unit written to //p' "$log" | while read -r input; do
    printf '%s, by base64 -d:\n' "$input"
    base64 "$input"
  done
  return 1
}

# What a run came to; it failed if it has not run anything.
report() {
  awk -v target="$1" '
    /stat::number_of_executed_units/ { runs = $2 } /stat::average_exec_per_sec/ { rate = $2 }
    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
    END { printf "%-9s %d executions, %d a second, %d edges\n", target, runs, rate, cov; exit !runs }' "$2"
}

merge() {
  local target=$1 found=$work/$1 fewest=$work/$1.fewest seed name stay
  rm -rf "$fewest" && mkdir -p "$fewest" "$found"
  local places=("seeds/$target" "$found")
  "$work/build/$host/release/$target" -set_cover_merge=1 -timeout=25 -rss_limit_mb=4096 ${FUZZ_ARGS:-} "$fewest" \
    "${places[@]}" >"$work/$target.log" 2>&1 </dev/null || { tail -n 40 "$work/$target.log"; return 1; }
  find "seeds/$target" -type f -regextype posix-extended -regex '.*/([0-9a-f]{12}|[0-9a-f]{40})' -delete
  # What stays needs no second copy. libFuzzer calls an input by its SHA-1.
  stay=$(find "seeds/$target" -type f -exec sha1sum {} + | cut -c1-40)
  for seed in "$fewest"/*; do
    name=$(basename "$seed")
    [[ $stay == *"$name"* ]] || cp "$seed" "seeds/$target/${name:0:12}"
  done
  printf '%-9s %d seeds\n' "$target" "$(find "seeds/$target" -type f | wc -l)"
}

act=fuzz
[ "${FUZZ_MERGE:-0}" = 1 ] && act=merge
status=0 pair=()
for target in "${all[@]}"; do
  $act "$target" &
  pair+=($!)
  if [ ${#pair[@]} = 2 ]; then
    for process in "${pair[@]}"; do wait "$process" || status=1; done
    pair=()
  fi
done
for process in ${pair[@]+"${pair[@]}"}; do wait "$process" || status=1; done
exit $status
