#!/usr/bin/env bash
# Builds the fuzz targets with the stable compiler and runs each.
#
#   fuzz/run.sh [TARGET…]       all, without a name
#
#   FUZZ_SECONDS    how long each runs                                  (300)
#   FUZZ_JOBS       how many run at a time                              (one for each processor)
#   FUZZ_KEEP       the folder that keeps what was found on the way     (target/fuzz-corpus)
#
# An input that fails is kept in fuzz/artifacts. What it needs beside Rust is a C++ compiler, for libFuzzer.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly seconds=${FUZZ_SECONDS:-300}
readonly keep=${FUZZ_KEEP:-target/fuzz-corpus}
readonly at_once=${FUZZ_JOBS:-$(nproc)}
readonly host=$(rustc -vV | sed -n 's/^host: //p')
readonly programs=${CARGO_TARGET_DIR:-target}/$host/fuzz

# The instrumentation that libFuzzer is steered by: what `cargo fuzz --sanitizer none` sets. With --target it is not given
# to build scripts and macros, which would not run with it.
export RUSTFLAGS="${RUSTFLAGS:-} --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --package bzzz-fuzz --bins --profile fuzz --target "$host"

if [ $# = 0 ]; then
    for program in fuzz/targets/*.rs; do set -- "$@" "$(basename "$program" .rs)"; done
fi

# One target. What it says goes to a file, of which the end is shown when it fails.
try_out() {
    local target=$1 log=$keep/$1.log folders options
    mkdir -p "fuzz/artifacts/$target" "$keep/$target"
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
        -artifact_prefix="fuzz/artifacts/$target/")
    [ ! -e "fuzz/dictionaries/$target" ] || options+=(-dict="fuzz/dictionaries/$target")
    # New inputs go to the first folder; the others are read.
    folders=("$keep/$target" "fuzz/corpus/$target")
    [ ! -d "fuzz/regressions/$target" ] || folders+=("fuzz/regressions/$target")
    if ! "$programs/$target" "${options[@]}" "${folders[@]}" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        printf 'fuzz: %-15s FAILED; the input is in fuzz/artifacts/%s\n' "$target" "$target" >&2
        return 1
    fi
    local executions coverage
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -ao 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)
    printf 'fuzz: %-15s %10s executions, %s\n' "$target" "$executions" "$coverage"
}

trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
running=0
failed=0
for target in "$@"; do
    [ -e "fuzz/targets/$target.rs" ] || { printf 'fuzz: there is no target %s\n' "$target" >&2; exit 1; }
    if [ "$running" -ge "$at_once" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    try_out "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit "$failed"
