#!/usr/bin/env bash
# Builds the fuzz targets with the stable compiler and runs each.
#
#   fuzz/run.sh [TARGET…]       all, without a name
#
#   FUZZ_SECONDS    how long each runs                                  (300)
#   FUZZ_KEEP       the folder that keeps what was found on the way     (target/fuzz-corpus)
#
# An input that fails is kept in fuzz/artifacts. What it needs beside Rust is a C++ compiler, for libFuzzer.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly seconds=${FUZZ_SECONDS:-300}
readonly keep=${FUZZ_KEEP:-target/fuzz-corpus}
readonly host=$(rustc -vV | sed -n 's/^host: //p')

# The instrumentation that libFuzzer is steered by: what `cargo fuzz --sanitizer none` sets. With --target it is not given
# to build scripts and macros, which would not run with it.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --package bzzz-fuzz --bins --profile fuzz --target "$host"

[ $# -gt 0 ] || set -- $(cd fuzz/targets && printf '%s\n' *.rs | sed 's/\.rs$//')

failed=()
for target in "$@"; do
    mkdir -p "fuzz/artifacts/$target" "fuzz/regressions/$target" "$keep/$target"
    log=$keep/$target.log
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
        -artifact_prefix="fuzz/artifacts/$target/")
    [ ! -e "fuzz/dictionaries/$target" ] || options+=(-dict="fuzz/dictionaries/$target")
    # New inputs go to the first folder; the others are read.
    if "target/$host/fuzz/$target" "${options[@]}" "$keep/$target" "fuzz/corpus/$target" "fuzz/regressions/$target" \
        >"$log" 2>&1; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        coverage=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)
        printf 'fuzz: %-15s %10s executions, %s\n' "$target" "$executions" "$coverage"
    else
        tail -n 40 "$log" >&2
        printf 'fuzz: %-15s FAILED; the input is in fuzz/artifacts/%s\n' "$target" "$target" >&2
        failed+=("$target")
    fi
done
[ ${#failed[@]} = 0 ]
