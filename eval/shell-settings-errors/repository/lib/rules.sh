# The settings there are, and what each may be.

# Those that have to be there.
required=(HOST PORT LOG_LEVEL URL)

log_levels=(debug info warning error)

is_whole_number() { [[ $1 =~ ^[0-9]+$ ]]; }

is_one_of() {
    local value=$1 one
    shift
    for one in "$@"; do
        [ "$value" != "$one" ] || return 0
    done
    return 1
}

# Whether a setting is known and has a value that it may have.
check_setting() {
    local key=$1 value=$2
    [ -n "$value" ] || return 1
    case $key in
        HOST | URL | MAIL_FROM) return 0 ;;
        PORT | WORKERS | TIMEOUT) is_whole_number "$value" ;;
        LOG_LEVEL) is_one_of "$value" "${log_levels[@]}" ;;
        CACHE) is_one_of "$value" on off ;;
        *) return 1 ;;
    esac
}
