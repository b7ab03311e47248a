# Reading a file of settings.

# Prints a text without the spaces and tabs around it.
trimmed() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# Reads a file and checks each of its settings, which are noted in `seen`. Fails when anything is wrong.
read_settings() {
    local line key value
    while IFS= read -r line || [ -n "$line" ]; do
        line=$(trimmed "$line")
        case $line in
            '' | '#'*) continue ;;
            *=*) ;;
            *) return 1 ;;
        esac
        key=$(trimmed "${line%%=*}")
        value=$(trimmed "${line#*=}")
        if [ -z "$key" ]; then return 1; fi
        if [ -n "${seen[$key]+there}" ]; then return 1; fi
        seen[$key]=1
        check_setting "$key" "$value" || return 1
    done <"$1"
}

# Whether all settings that have to be there were seen.
all_there() {
    local key
    for key in "${required[@]}"; do
        [ -n "${seen[$key]+there}" ] || return 1
    done
}
