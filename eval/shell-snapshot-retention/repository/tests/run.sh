#!/usr/bin/env bash
# The tests of snapkeep.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/tests/support.sh"
snapkeep() { bash "$root/bin/snapkeep" "$@"; }

a=2024-05-10T20-00-00
b=2024-05-11T20-00-00
c=2024-05-12T20-00-00

lists_the_oldest_first() {
    make_snapshots "$c" "$a" "$b" other
    [ "$(snapkeep list . | paste -sd ' ')" = "$a $b $c" ]
}

keeps_the_newest() {
    make_snapshots "$a" "$b" "$c"
    [ "$(snapkeep prune --last 2 .)" = "$a" ] && holds "$b" "$c"
}

keeps_all_when_there_are_few() {
    make_snapshots "$a" "$b"
    [ "$(snapkeep prune --last 5 .)" = "" ] && holds "$a" "$b"
}

removes_nothing_on_a_dry_run() {
    make_snapshots "$a" "$b" "$c"
    [ "$(snapkeep prune --dry-run --last 1 . | paste -sd ' ')" = "$a $b" ] && holds "$a" "$b" "$c"
}

leaves_everything_else_alone() {
    make_snapshots "$a" "$b" 2024-13-01T00-00-00 2024-05-12 "$c.old"
    touch "$c"
    ln -s "$a" 2024-05-09T20-00-00
    snapkeep prune --last 1 . && holds "$b" 2024-13-01T00-00-00 2024-05-12 "$c.old" "$c" 2024-05-09T20-00-00
}

takes_folders_with_spaces() {
    mkdir "a folder" && make_snapshots "a folder/$a" "a folder/$b"
    snapkeep prune --last 1 "a folder" && cd "a folder" && holds "$b"
}

refuses_wrong_usage() {
    local arguments
    make_snapshots "$a" "$b"
    for arguments in "" "prune ." "prune --last 0 ." "prune --last x ." "prune --last" "prune --last 1 --last 1 ." \
        "prune --last 1" "prune --last 1 nowhere" "prune --all ." "list"; do
        # shellcheck disable=SC2086
        snapkeep $arguments 2>/dev/null
        [ $? = 2 ] || { echo "  taken: $arguments"; return 1; }
    done
    holds "$a" "$b"
}

for test in lists_the_oldest_first keeps_the_newest keeps_all_when_there_are_few removes_nothing_on_a_dry_run \
    leaves_everything_else_alone takes_folders_with_spaces refuses_wrong_usage; do
    run_test "$test"
done

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
