#!/usr/bin/env bash
# The tests of checkset: which files are taken.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work" || exit 1

good=$'HOST=www.example.org\nPORT=8080\nLOG_LEVEL=info\nURL=https://www.example.org/?lang=en\n'
failures=0

# expect STATUS WHAT TEXT
expect() {
    local status=0
    printf '%s' "$3" >settings.env
    bash "$root/bin/checkset" settings.env >/dev/null 2>&1 || status=$?
    if [ "$status" = "$1" ]; then
        echo "ok      $2"
    else
        echo "FAILED  $2: exit status $status instead of $1"
        failures=$((failures + 1))
    fi
}

expect 0 "all that is required" "$good"
expect 0 "comments and empty lines" $'# all\n\n'"$good"
expect 0 "spaces around keys and values" "$good"$'  WORKERS =  4 \n'
expect 0 "no line end after the last line" "$good"'CACHE=on'
expect 1 "a number that is none" "$good"$'WORKERS=many\n'
expect 1 "a choice that is none" "$good"$'CACHE=maybe\n'
expect 1 "an empty value" "$good"$'MAIL_FROM=\n'
expect 1 "an unknown setting" "$good"$'COLOUR=blue\n'
expect 1 "a setting twice" "$good"$'PORT=8080\n'
expect 1 "a line without =" "$good"$'CACHE on\n'
expect 1 "a setting that is missing" "${good#*$'\n'}"

rm settings.env
bash "$root/bin/checkset" settings.env 2>/dev/null
[ $? = 2 ] || { echo "FAILED  a file that is not there"; failures=$((failures + 1)); }
bash "$root/bin/checkset" 2>/dev/null
[ $? = 2 ] || { echo "FAILED  no file"; failures=$((failures + 1)); }

exit "$((failures > 0))"
