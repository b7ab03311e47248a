# Standard input: a tar of one folder .git that has $base.
mkdir -p "$repo"
cd "$repo"
tar -x --no-same-owner -f -
[ -d .git/objects ] || complain "the archive holds no folder .git"
git config core.bare false
# For every repository in the sandbox: tests of software that uses git make their own.
git config --file "$HOME/.gitconfig" user.name "Bzzz sandbox"
git config --file "$HOME/.gitconfig" user.email "sandbox@localhost"
git config gc.auto 0
git config maintenance.auto false
git config advice.detachedHead false
# It would name a path of the host, and there is no network to reach it by.
git config --remove-section remote.origin 2>/dev/null || true
git reset --quiet --hard "$base"
make_store
# The file times in it spare the first export from reading every file again.
cp .git/index "$store/index"
