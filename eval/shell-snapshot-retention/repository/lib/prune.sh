# Choosing and removing.

prune() {
    local name status=0
    while IFS= read -r name; do
        if [ "$dry_run" = yes ] || rm -rf -- "${folder:?}/$name"; then
            printf '%s\n' "$name"
        else
            status=1
        fi
    done < <(snapshots "$folder" | head -n "-$last")
    return "$status"
}
