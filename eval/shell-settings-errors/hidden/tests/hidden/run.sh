#!/usr/bin/env bash
# What checkset says.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work" || exit 1
mkdir "a folder"
failures=0

# expect WHAT FILE TEXT EXPECTED: the standard error; nothing is printed, and the status is 1 if anything is expected.
expect() {
    local status=0
    printf '%s' "$3" >"$2"
    bash "$root/bin/checkset" "$2" >output 2>errors || status=$?
    if [ "$(cat errors)" = "$4" ] && [ ! -s output ] && [ "$status" = "$([ -z "$4" ] && echo 0 || echo 1)" ]; then
        echo "ok      $1"
    else
        printf 'FAILED  %s: exit status %s\n--- expected\n%s\n--- actual\n%s\n' "$1" "$status" "$4" "$(cat errors output)"
        failures=$((failures + 1))
    fi
}

good=$'HOST=h\nPORT=1\nLOG_LEVEL=info\nURL=u\n'

expect "all is well" production.env "$good" ""

expect "the example" production.env '# where we are

# and how
PORT=80a

# again


PORT=8080

just some words
LOG_LEVLE=info


LOG_LEVEL=loud

URL=
' "production.env:4: PORT: '80a' is not a whole number
production.env:9: PORT: set before, in line 4
production.env:11: expected KEY=VALUE, found 'just some words'
production.env:12: LOG_LEVLE: unknown setting
production.env:15: LOG_LEVEL: 'loud' is not one of: debug info warning error
production.env:17: URL: must not be empty
production.env: HOST: missing"

expect "the file is named as it was given" "./a folder/x.env" "${good}CACHE=maybe" \
    "./a folder/x.env:5: CACHE: 'maybe' is not one of: on off"

expect "an empty file lacks everything, in order" empty.env "" "empty.env: HOST: missing
empty.env: PORT: missing
empty.env: LOG_LEVEL: missing
empty.env: URL: missing"

expect "the first line is told of, each time" x.env "${good}WORKERS=many
WORKERS=
 WORKERS = 4
COLOUR=blue
COLOUR=" "x.env:5: WORKERS: 'many' is not a whole number
x.env:6: WORKERS: set before, in line 5
x.env:7: WORKERS: set before, in line 5
x.env:8: COLOUR: unknown setting
x.env:9: COLOUR: unknown setting"

expect "values as they are" x.env "${good}TIMEOUT =  1 = one  second\$(date) * %s \\n" \
    "x.env:5: TIMEOUT: '1 = one  second\$(date) * %s \\n' is not a whole number"

expect "empty values of every kind" x.env $'HOST=\nPORT=\nLOG_LEVEL= \nURL=u\nCACHE=' "x.env:1: HOST: must not be empty
x.env:2: PORT: must not be empty
x.env:3: LOG_LEVEL: must not be empty
x.env:5: CACHE: must not be empty"

expect "no key" x.env "${good}=value" "x.env:5: expected KEY=VALUE, found '=value'"

expect "numbers" x.env $'HOST=h\nPORT=-1\nLOG_LEVEL=info\nURL=u\nWORKERS=1.5\nTIMEOUT=007\n' \
    "x.env:2: PORT: '-1' is not a whole number
x.env:5: WORKERS: '1.5' is not a whole number"

rm -f x.env
bash "$root/bin/checkset" x.env >/dev/null 2>&1
[ $? = 2 ] || { echo "FAILED  a file that is not there"; failures=$((failures + 1)); }

exit "$((failures > 0))"
