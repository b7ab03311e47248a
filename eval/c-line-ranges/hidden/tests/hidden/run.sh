#!/usr/bin/env bash
# pick against awk, for many lists of ranges and all options.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
gcc -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -g src/*.c -o "$work/pick" || exit 1

# The numbers of the lines that a list holds, of a text with $2 lines; all others with $3 = 1.
reference() {
    awk -v list="$1" -v lines="$2" -v except="$3" 'BEGIN {
        n = split(list, parts, ",")
        for (i = 1; i <= n; i++) {
            if (split(parts[i], ends, "-") == 1) ends[2] = ends[1]
            first = ends[1] == "" ? 1 : ends[1] + 0
            last = ends[2] == "" ? lines : ends[2] + 0
            for (line = first; line <= last && line <= lines; line++) chosen[line] = 1
        }
        for (line = 1; line <= lines; line++) if ((line in chosen) != except) print line
    }'
}

failures=0
tried=0
try() {
    local list=$1 lines=$2 except options
    for except in 0 1; do
        options=()
        [ "$except" = 0 ] || options=(--except)
        reference "$list" "$lines" "$except" >"$work/expected"
        seq "$lines" | "$work/pick" "${options[@]}" "$list" >"$work/actual"
        cmp -s "$work/expected" "$work/actual" || {
            echo "FAILED  ${options[*]} $list of $lines lines: expected $(paste -sd ' ' "$work/expected"), got $(paste -sd ' ' "$work/actual")"
            failures=$((failures + 1))
        }
        [ "$(seq "$lines" | "$work/pick" --count "${options[@]}" "$list")" = "$(wc -l <"$work/expected")" ] || {
            echo "FAILED  --count ${options[*]} $list of $lines lines"
            failures=$((failures + 1))
        }
        tried=$((tried + 1))
    done
}

for list in 1 3 6 7 2-4 5-5 1-6 1-7 6-6 1-1 -1 -4 -6 -9 1- 3- 6- 7- 1,2,3 1-3,4-6 4-6,1-3 1-2,4-5 1-4,2-3 2-3,3-5 3,1-2,5- \
    2,4,6 -2,4 1-2,2 6,5,4 2-4,3 5-,2-3 1-3,5-6 4,-2 10-20 3-9 2147483648 5-2147483648 1,1,1; do
    try "$list" 6
done
for lines in 0 1 2; do
    for list in 1 2 1-2 2-2 -1 2- 1-; do try "$list" "$lines"; done
done

RANDOM=4711
for ((round = 0; round < 120; round++)); do
    list=
    for ((part = RANDOM % 4; part >= 0; part--)); do
        first=$((RANDOM % 12 + 1)) last=$((RANDOM % 12 + 1))
        [ "$first" -le "$last" ] || { swap=$first first=$last last=$swap; }
        case $((RANDOM % 5)) in
            0) list+=",$first" ;;
            1) list+=",-$first" ;;
            2) list+=",$first-" ;;
            *) list+=",$first-$last" ;;
        esac
    done
    try "${list#,}" 12
done

# The largest numbers, and what is refused.
largest=9223372036854775806
[ "$(seq 3 | "$work/pick" --count "2-$largest")" = 2 ] || { echo "FAILED  a range to the largest number"; failures=$((failures + 1)); }
[ "$(seq 3 | "$work/pick" --except "2-$largest")" = 1 ] || { echo "FAILED  --except to the largest number"; failures=$((failures + 1)); }
for wrong in 0 4-2 3-2 2-1 1-0 0-1 x - 1,,2 2-x 1-2-3 99999999999999999999 1-99999999999999999999; do
    seq 3 | "$work/pick" "$wrong" >/dev/null 2>&1
    [ "${PIPESTATUS[1]}" = 2 ] || { echo "FAILED  $wrong is not refused"; failures=$((failures + 1)); }
done

echo "$tried lists, $failures failures"
exit "$((failures > 0))"
