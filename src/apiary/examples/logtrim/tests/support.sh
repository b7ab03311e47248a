# What the tests share. Each test runs in a folder of its own.

failures=0

# Makes logs; each is a minute older than the one before it.
make_logs() {
    local age=0 name
    for name in "$@"; do
        touch -d "2024-01-01 12:00:00 $age minutes ago" -- "$name"
        age=$((age + 1))
    done
}

# Says whether the current folder holds exactly these files.
holds() {
    local expected actual
    expected=$(printf '%s\n' "$@" | sort)
    actual=$(find . -type f -printf '%P\n' | sort)
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
