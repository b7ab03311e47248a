#!/usr/bin/env bash
# The tests of pick.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=0
# expect WHAT ACTUAL EXPECTED
expect() {
    if [ "$2" = "$3" ]; then
        echo "ok      $1"
    else
        printf 'FAILED  %s\n  expected: %q\n  actual:   %q\n' "$1" "$3" "$2"
        failures=$((failures + 1))
    fi
}
# picked ARGUMENTS...: what is printed of ten lines, on one line
picked() { seq 10 | ./pick "$@" | paste -sd ' '; }

expect "a single line" "$(picked 3)" "3"
expect "single lines, in order" "$(picked 7,3)" "3 7"
expect "a range to the end" "$(picked 8-)" "8 9 10"
expect "a range from the beginning" "$(picked -2)" "1 2"
expect "past the end" "$(picked 11)" ""
expect "a line twice" "$(picked 4,4)" "4"
expect "--except a range" "$(picked --except 2-9)" "1 10"
expect "--except a range to the end" "$(picked --except 3-)" "1 2"
expect "--count of a range" "$(picked --count 2-4)" "3"
expect "--count of a range to the end" "$(picked --count 4-)" "7"
expect "a last line without its end" "$(printf 'a\nb' | ./pick 2)" "b"
for wrong in "" , 0 4-2 x 1,,2 1-2-3 -; do
    expect "'$wrong' is refused" "$(seq 3 | ./pick "$wrong" 2>/dev/null; echo $?)" 2
done

exit "$((failures > 0))"
