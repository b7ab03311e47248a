# The names of snapshots.

is_snapshot_name() {
    [[ $1 =~ ^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])-[0-5][0-9]-[0-5][0-9]$ ]]
}

# Prints the snapshots of a folder, the oldest first.
snapshots() {
    local path name
    for path in "$1"/*/; do
        path=${path%/}
        name=${path##*/}
        if is_snapshot_name "$name" && [ ! -L "$path" ]; then
            printf '%s\n' "$name"
        fi
    done | LC_ALL=C sort
}
