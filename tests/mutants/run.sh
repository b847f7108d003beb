#!/bin/bash
# tests/mutants/run.sh [SEED]: breaks lines of src/tcp in small ways, a seeded sample of them, one at a time, and tells
# which of these mutants no test notices. docs/mutants.md says what comes of it. Takes an hour or two; it goes on where
# it was stopped. Needs cargo-mutants (cargo install cargo-mutants) and python3.
#
# SAMPLE='recovery=80 ...' takes other numbers of mutants, AGAIN=yes begins with the survivors of the last run, after
# tests were added for them, COPY=only makes the copy and chooses the sample.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/mutants
seed=${1:-9293}
work=$(realpath -m "${CARGO_TARGET_DIR:-target}/mutants")
tree=$work/tree
command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install cargo-mutants" >&2; exit 1; }
sample=${SAMPLE:-recovery=82 congestion=82 input=82 output=82 rest=82}

# The pure layers, and the tests that run on them in virtual time: nothing else has to be built.
mkdir -p "$tree/src/socket" "$tree/src/device"
rm -rf "$tree/src" "$tree/tests"
mkdir -p "$tree/src/socket" "$tree/src/device"
for layer in addr buf counters cx error icmp ip line neigh ready rng shrink stack tcp time udp wire; do
  for part in "src/$layer" "src/$layer.rs"; do
    if [ -e "$part" ]; then cp -rp "$part" "$tree/src/"; fi
  done
done
cp -p src/socket/errno.rs "$tree/src/socket/"
cp -rp src/device/segment.rs src/device/segment "$tree/src/device/"
cp -rp tests "$tree/tests"
cp -p "$here/pure.rs" "$tree/src/"
cp -p "$here/Cargo.toml" Cargo.lock "$tree/"
export CARGO_TARGET_DIR=$work/target
if command -v mold >/dev/null; then export RUSTFLAGS="-C link-arg=-fuse-ld=mold"; fi

# mutants OUTPUT ARGUMENT...: cargo-mutants on the copy.
mutants() {
  local output=$1 status=0
  shift
  mkdir -p "$output"
  (cd "$tree" && cargo mutants --in-place --config "$here/mutants.toml" --output "$output" \
    --colors never --no-times "$@") || status=$?
  # 2: some were missed, 3: some took too long. Both are results.
  case $status in 0 | 2 | 3) ;; *) return "$status" ;; esac
}

(cd "$tree" && cargo mutants --list --json --config "$here/mutants.toml" --file 'src/tcp/**') > "$work/all.json"
echo "seed $seed, $sample"
"$here/sample.py" choose "$work" "$seed" "$sample" "${AGAIN:-}"
[ "${COPY:-}" != only ] || exit 0

# Few simulations, none that move megabytes, and the tests of TCP alone for all mutants; all there is for those that
# survive these.
quick=()
for test in goodput tests::transfer:: random_segments the_offered_window_grows_beyond alternating_bytes \
  {buf,device,icmp,ip,neigh,stack,udp,wire}::; do
  quick+=(--skip "$test")
done
(cd "$tree" && SOCKEYE_SEEDS=10 cargo test --quiet -- "${quick[@]}")
while "$here/sample.py" next "$work" quick 30 > "$work/next"; do
  mapfile -t chosen < "$work/next"
  SOCKEYE_SEEDS=10 mutants "$work/quick" --baseline skip --timeout 20 "${chosen[@]}" -- -- "${quick[@]}"
  "$here/sample.py" take "$work" quick
done
while "$here/sample.py" next "$work" thorough 1 > "$work/next"; do
  mapfile -t chosen < "$work/next"
  CARGO_PROFILE_DEV_OPT_LEVEL=1 mutants "$work/thorough" --baseline skip --timeout 600 "${chosen[@]}"
  "$here/sample.py" take "$work" thorough
done
"$here/sample.py" table "$work"
