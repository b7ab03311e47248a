# Stands before the script of an import and of an export.
#
# The export has a store of its own beside the work tree, with its own configuration, index and objects: whatever a
# command does to /work/repo/.git (hooks, filters, a broken config, `rm -rf`), the tree can still be written down.
# The objects that the base needs are hard links, so they cost no space, and are there even when .git is not.
set -eu
repo=/work/repo
store=/work/.bzzz/store
export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0

# The text goes to the model, the status tells the node that it is no error of git's own.
complain() {
    printf '%s\n' "$*" >&2
    exit 3
}

# Little compression: an export follows every command that changed something, and its bytes go no further than the host.
git_in_store() {
    GIT_DIR=$store GIT_WORK_TREE=$repo GIT_INDEX_FILE=$store/index git \
        -c core.bare=false -c core.excludesFile=/dev/null -c core.attributesFile=/dev/null \
        -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.untrackedCache=false \
        -c core.compression=1 -c gc.auto=0 -c maintenance.auto=false -c core.safecrlf=false -c advice.addEmbeddedRepo=false "$@"
}

has_base() {
    [ -d "$store/refs" ] && git_in_store cat-file -e "$base^{tree}" 2>/dev/null
}

# Makes the store from /work/repo/.git, which must have the base.
make_store() {
    rm -rf "$store" "$store.base"
    mkdir -p "${store%/*}"
    format=sha1
    [ "${#base}" = 40 ] || format=sha256
    git init --quiet --bare --template= --object-format="$format" "$store"
    cp -al "$repo/.git/objects" "$store.base"
    mkdir -p "$store/objects/info"
    echo "$store.base" >"$store/objects/info/alternates"
    [ ! -f "$repo/.git/shallow" ] || cp "$repo/.git/shallow" "$store/shallow"
}
