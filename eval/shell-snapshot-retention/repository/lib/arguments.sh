# Reading the arguments of `prune`.

usage() {
    echo "snapkeep: $1" >&2
    echo "usage: snapkeep list FOLDER | snapkeep prune [--dry-run] --last N FOLDER" >&2
    exit 2
}

need_folder() {
    [ -d "$1" ] || usage "there is no folder $1"
}

# Sets folder, dry_run and last.
read_arguments() {
    folder='' dry_run=no last=''
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry_run=yes ;;
            --last)
                [ $# -gt 1 ] || usage "--last needs a number"
                [ -z "$last" ] || usage "--last is there twice"
                is_number "$2" || usage "--last: '$2' is not a whole number from 1"
                last=$2
                shift
                ;;
            -*) usage "unknown option $1" ;;
            *)
                [ -z "$folder" ] || usage "more than one folder"
                folder=$1
                ;;
        esac
        shift
    done
    [ -n "$folder" ] || usage "prune needs a folder"
    [ -n "$last" ] || usage "prune needs --last"
    need_folder "$folder"
}

is_number() { [[ $1 =~ ^[1-9][0-9]{0,8}$ ]]; }
