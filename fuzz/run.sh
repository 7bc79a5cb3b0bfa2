#!/usr/bin/env bash
# Fuzzes each target for some seconds, guided by coverage: bash fuzz/run.sh [SECONDS] [TARGET…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
targets=(detection formats envelopes mapping)
(($# < 2)) || targets=("${@:2}")

# Apart from the build of tests: the instrumented program is another one.
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-target/fuzz} CARGO_INCREMENTAL=0
build=(cargo build --manifest-path fuzz/Cargo.toml)
if [[ ! -d fuzz/corpus ]]; then
    "${build[@]}" --bin seeds
    "$CARGO_TARGET_DIR/debug/seeds"
    # It was built without instruments.
    touch src/lib.rs fuzz/src/lib.rs
fi
RUSTC_WRAPPER=$PWD/fuzz/instrument.sh "${build[@]}" "${targets[@]/#/--bin=}"

for target in "${targets[@]}"; do
    mkdir -p "fuzz/artifacts/$target"
    "$CARGO_TARGET_DIR/debug/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" "fuzz/corpus/$target"
done
