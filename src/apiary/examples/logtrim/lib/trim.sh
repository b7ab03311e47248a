# Choosing the logs to delete, and deleting them.

# Prints the logs of a folder, newest first.
newest_first() {
    ls -t "$1" | grep '\.log$' || true
}

# Deletes all logs of a folder but the newest ones.
trim() {
    local folder=$1 keep=$2 count=0 name
    for name in $(newest_first "$folder"); do
        count=$((count + 1))
        if [ "$count" -le "$keep" ]; then
            continue
        fi
        echo "$name"
        if [ "$dry_run" = no ]; then
            rm -f -- "$folder/$name"
        fi
    done
}
