#!/usr/bin/env bash
# Proves evaluation cases, each in a container without network:
#
#   eval/prove.sh [CASE...]
#
#   - the repository's own checks pass at the base and with the reference;
#   - the case's check fails at the base and passes with the reference;
#   - no hidden file stands in the place of one of the repository, and no check leaves files that git would take.
#
# BZZZ_SANDBOX_IMAGE is the image (bzzz-sandbox:1). With VERBOSE=1 the end of each check's output is shown.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
readonly image=${BZZZ_SANDBOX_IMAGE:-bzzz-sandbox:1}
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# What runs in the container: all commands of a list in a TOML file, at the top of the tree, up to the first that fails.
readonly runner='
import subprocess, sys, tomllib
with open(sys.argv[1], "rb") as file:
    commands = tomllib.load(file)[sys.argv[2]]
for command in commands:
    code = subprocess.run(["bash", "-c", command], timeout=60, stdin=subprocess.DEVNULL).returncode
    if code:
        sys.exit(f"exit status {code} of: {command}")
'

# run TREE FILE KEY: the checks in a copy of the tree, then what git would take of what they left.
run() {
    tar --create --directory "$1" . | docker run --rm --interactive --network none "$image" bash -c '
        set -e
        tar --extract --directory /work
        cp "/work/$2" /tmp/checks.toml
        rm -f /work/.case.toml
        git init --quiet . && git add --all
        python3 -c "$1" /tmp/checks.toml "$3" || exit 1
        left=$(git ls-files --others --exclude-standard; git diff --name-only)
        [ -z "$left" ] || { echo "left behind: $left"; exit 3; }
    ' run "$runner" "$2" "$3" >"$scratch/output" 2>&1
}

failed=0
# expect pass|fail LABEL TREE FILE KEY
expect() {
    local wanted=$1 label=$2 status=0 began=$SECONDS outcome=ok
    shift 2
    run "$@" || status=$?
    case $wanted:$status in
        pass:0 | fail:1) ;;
        *) outcome="NOT AS IT SHOULD BE (status $status)" failed=1 ;;
    esac
    printf '  %-36s %s, %s s\n' "$label" "$outcome" "$((SECONDS - began))"
    if [ "$outcome" != ok ] || [ "${VERBOSE:-0}" = 1 ]; then tail -n 15 "$scratch/output" | sed -e 's/^/    | /'; fi
}

[ $# -gt 0 ] || set -- */
for case in "${@%/}"; do
    echo "$case"
    for tree in base reference; do
        rm -rf "${scratch:?}/$tree" "$scratch/$tree+hidden"
        cp -a "$case/repository" "$scratch/$tree"
        # A repository of its own: within another one, git apply would leave out what is not below the current folder.
        [ "$tree" = base ] || (
            cd "$scratch/$tree" && git init --quiet . && git apply "$OLDPWD/$case/reference.patch" && rm -rf .git
        )
        cp -a "$scratch/$tree" "$scratch/$tree+hidden"
        cp -a "$case/hidden/." "$scratch/$tree+hidden"
        cp "$case/case.toml" "$scratch/$tree+hidden/.case.toml"
    done
    clashes=$(cd "$case/hidden" && find . -type f | while read -r file; do [ ! -e "../repository/$file" ] || echo "$file"; done)
    [ -z "$clashes" ] || { echo "  hidden files in the place of others: $clashes"; failed=1; }
    expect pass "own checks at the base" "$scratch/base" .bzzz.toml checks
    expect pass "own checks with the reference" "$scratch/reference" .bzzz.toml checks
    expect fail "the check at the base" "$scratch/base+hidden" .case.toml check
    expect pass "the check with the reference" "$scratch/reference+hidden" .case.toml check
done
exit "$failed"
