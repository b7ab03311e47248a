# Reads the arguments into dry_run, folder and keep; ends the program when they make no sense.

usage() {
    echo "usage: logtrim [--dry-run] FOLDER KEEP" >&2
    exit 64
}

read_arguments() {
    dry_run=no
    if [ "${1:-}" = --dry-run ]; then
        dry_run=yes
        shift
    fi
    [ $# -eq 2 ] || usage
    folder=$1
    keep=$2
    [[ $keep =~ ^[0-9]+$ ]] || usage
    if [ ! -d "$folder" ]; then
        echo "logtrim: $folder is not a folder" >&2
        exit 66
    fi
}
