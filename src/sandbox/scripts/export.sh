# Standard output: a bundle with the one prerequisite $base and one reference, whose tree is the work tree as it is. Nothing,
# and the status $unchanged, when that is $known.
cd "$repo" 2>/dev/null || complain "$repo is gone, so there is nothing to take out of the sandbox: make it again"
if ! has_base; then
    [ -d .git/objects ] || complain "$repo/.git is gone, and with it the commit that the work starts from: it can't be compared to anything"
    make_store
    has_base || complain "$repo/.git no longer has the commit that the work starts from, $base: the history must be kept"
fi
# What an export that was killed left behind.
rm -f "$store/index.lock" "$store"/objects/*/tmp_obj_*

# Objects of earlier exports are kept, because the index need not write them again, but not without bound.
loose_kib=$(git_in_store count-objects -v | sed -n 's/^size: //p')
if [ "${loose_kib:-0}" -gt "$max_loose_kib" ]; then
    rm -rf "$store"/objects/[0-9a-f][0-9a-f] "$store/index"
fi
# The base's own files stay in the index even where .gitignore names them.
[ -f "$store/index" ] || git_in_store read-tree "$base"
if ! git_in_store add --all . 2>/dev/null; then
    rm -f "$store/index" "$store/index.lock"
    git_in_store read-tree "$base"
    git_in_store add --all .
fi
tree=$(git_in_store write-tree)
if [ "$tree" = "$(git_in_store rev-parse --verify --quiet "$known" || true)" ]; then
    exit "$unchanged"
fi
export GIT_AUTHOR_NAME=sandbox GIT_AUTHOR_EMAIL=sandbox@localhost GIT_AUTHOR_DATE='@1 +0000'
export GIT_COMMITTER_NAME=sandbox GIT_COMMITTER_EMAIL=sandbox@localhost GIT_COMMITTER_DATE='@1 +0000'
commit=$(git_in_store commit-tree "$tree" -p "$base" -m work </dev/null)
git_in_store update-ref refs/heads/work "$commit"
git_in_store bundle create --quiet - refs/heads/work "^$base"
