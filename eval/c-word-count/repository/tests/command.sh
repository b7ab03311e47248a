#!/usr/bin/env bash
# The tests of the command.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=0
expect() {
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
    else
        printf 'FAILED  %s\n  expected: %q\n  actual:   %q\n' "$1" "$3" "$2"
        failures=$((failures + 1))
    fi
}

expect "words are counted" "$(printf "The bee and the flower's bee, the end" | ./wordcount)" \
    "$(printf '%6d %s\n' 3 the 2 bee 1 and 1 end 1 "flower's")"
expect "--top" "$(printf 'b a b' | ./wordcount --top 1)" "$(printf '%6d %s\n' 2 b)"
expect "UTF-8" "$(printf 'Größe größe' | ./wordcount)" "$(printf '%6d %s\n' 2 größe)"
expect "no text" "$(printf '' | ./wordcount)" ""
expect "a wrong number" "$(./wordcount --top x 2>/dev/null </dev/null; echo $?)" 2

exit "$((failures > 0))"
