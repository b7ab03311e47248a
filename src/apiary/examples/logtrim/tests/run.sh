#!/usr/bin/env bash
# The tests of logtrim.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/tests/support.sh"
logtrim() { bash "$root/bin/logtrim" "$@"; }

keeps_the_newest() {
    make_logs a.log b.log c.log d.log
    logtrim . 2 && holds a.log b.log
}

leaves_other_files_alone() {
    make_logs a.log notes.txt b.log
    logtrim . 0 && holds notes.txt
}

deletes_nothing_on_a_dry_run() {
    make_logs a.log b.log
    [ "$(logtrim --dry-run . 1)" = b.log ] && holds a.log b.log
}

takes_names_with_spaces() {
    make_logs "new web.log" "old web.log"
    logtrim . 1 && holds "new web.log"
}

refuses_what_is_no_number() {
    make_logs a.log
    ! logtrim . some 2>/dev/null && holds a.log
}

for test in keeps_the_newest leaves_other_files_alone deletes_nothing_on_a_dry_run takes_names_with_spaces \
    refuses_what_is_no_number; do
    run_test "$test"
done

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
