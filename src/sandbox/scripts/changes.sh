# Standard input: a bundle on top of $base that has $commit. The index and the files become those of $commit.
cd "$repo"
bundle=$(mktemp)
trap 'rm -f "$bundle"' EXIT
cat >"$bundle"
git bundle unbundle "$bundle" >/dev/null
git read-tree --reset -u "$commit"
