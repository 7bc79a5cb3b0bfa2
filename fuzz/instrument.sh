#!/usr/bin/env bash
# A wrapper of rustc (RUSTC_WRAPPER) that instruments the program and the targets for libFuzzer, and no dependency: what is looked for lies
# in the program, and polars is not built again.
rustc=$1
shift
coverage=(-Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares)
for name in apiwarden apiwarden_fuzz detection formats envelopes mapping; do
    [[ " $* " != *" --crate-name $name "* ]] || exec "$rustc" "$@" "${coverage[@]}"
done
exec "$rustc" "$@"
