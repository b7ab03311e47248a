# What the tests share. Each test runs in a folder of its own.

failures=0

# Makes snapshots, each with a file in it.
make_snapshots() {
    local name
    for name in "$@"; do
        mkdir -p -- "$name"
        echo data >"$name/file"
    done
}

# Says whether the current folder holds exactly these.
holds() {
    local expected actual
    expected=$(printf '%s\n' "$@" | sort)
    actual=$(find . -mindepth 1 -maxdepth 1 -printf '%P\n' | sort)
    if [ "$expected" != "$actual" ]; then
        printf '  expected: %s\n  actual:   %s\n' "${expected//$'\n'/, }" "${actual//$'\n'/, }"
        return 1
    fi
}

# Runs one test function in an empty folder and reports it.
run_test() {
    local folder output
    folder=$(mktemp -d)
    if output=$(cd "$folder" && "$1" 2>&1); then
        echo "ok      $1"
    else
        echo "FAILED  $1"
        [ -z "$output" ] || echo "$output"
        failures=$((failures + 1))
    fi
    rm -rf -- "$folder"
}
