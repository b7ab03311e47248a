#!/usr/bin/env bash
# Makes the sandbox image without a registry: debootstrap from a Debian mirror, then `docker import`.
# Dockerfile beside this file makes the same image where Docker Hub can be reached.
#
#   sudo deploy/sandbox/build.sh [--force]
#
# Does nothing when the image is there already with the packages that it is to have, unless --force. Needs root (chroot), debootstrap and Docker.
#
#   BZZZ_SANDBOX_IMAGE    the image's name            (bzzz-sandbox:1)
#   BZZZ_SANDBOX_SUITE    the Debian release          (bookworm)
#   BZZZ_DEBIAN_MIRROR    where its packages are      (what this machine's apt uses, when it is Debian; else debootstrap's own)
#   BZZZ_BUILD_DIR        where the tree is put together, about 1.5 GB for a few minutes   (/var/tmp)
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly image=${BZZZ_SANDBOX_IMAGE:-bzzz-sandbox:1}
readonly suite=${BZZZ_SANDBOX_SUITE:-bookworm}
readonly build_dir=${BZZZ_BUILD_DIR:-/var/tmp}

say() { printf 'sandbox image: %s\n' "$*"; }
fail() { printf 'sandbox image: %s\n' "$*" >&2; exit 1; }

force=no
for argument in "$@"; do
    case $argument in
        --force) force=yes ;;
        *) fail "unknown argument $argument; the only one is --force" ;;
    esac
done

command -v docker >/dev/null || fail "docker is missing: run deploy/prerequisites.sh first"
docker version >/dev/null 2>&1 || fail "no Docker daemon answers: run deploy/prerequisites.sh first"

# The list that Dockerfile installs too.
packages=$(sed -e 's/#.*//' "$here/packages" | tr -s '[:space:]' ',' | sed -e 's/^,//' -e 's/,$//')

if [ "$force" = no ] && there=$(docker image inspect --format '{{index .Config.Labels "bzzz.packages"}}' "$image" 2>/dev/null); then
    if [ "$there" = "$packages" ]; then
        say "$image is there already (--force makes it anew)"
        exit 0
    fi
    say "$image is there with other packages: making it anew"
fi

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "making a root file system needs root, and sudo is missing: run this as root"
    say "making a root file system needs root: going on with sudo"
    exec sudo --preserve-env=BZZZ_SANDBOX_IMAGE,BZZZ_SANDBOX_SUITE,BZZZ_DEBIAN_MIRROR,BZZZ_BUILD_DIR,DOCKER_HOST,http_proxy,https_proxy \
        "$here/build.sh" "$@"
fi
command -v debootstrap >/dev/null || fail "debootstrap is missing: run deploy/prerequisites.sh first"

# The mirror that this machine is set up for is the one it can reach. Only Debian's own apt speaks of a Debian mirror.
mirror_of_apt() {
    # shellcheck disable=SC1091
    [ "$(. /etc/os-release && echo "$ID")" = debian ] || return 0
    apt-get indextargets --format '$(CREATED_BY) $(SITE) $(RELEASE) $(COMPONENT)' 2>/dev/null \
        | awk '$1 == "Packages" && $4 == "main" && $2 !~ /security/ { print $2; exit }'
}
mirror=${BZZZ_DEBIAN_MIRROR:-$(mirror_of_apt)}

# debootstrap downloads with wget, which knows nothing of apt's proxy.
if [ -z "${http_proxy:-}" ] && command -v apt-config >/dev/null; then
    eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    [ -z "${http_proxy:-}" ] || export http_proxy
fi

readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing, without it nothing proves that the packages are Debian's: apt-get install debian-archive-keyring"

tree=$(mktemp -d "$build_dir/bzzz-sandbox.XXXXXX")
clean_up() {
    # debootstrap mounts these for the packages' scripts, and leaves them when it fails.
    umount "$tree/proc" 2>/dev/null || true
    umount "$tree/sys" 2>/dev/null || true
    rm -rf --one-file-system "$tree"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

log=$tree.log
say "installing Debian $suite from ${mirror:-the default mirror}: this takes about two minutes"
if ! debootstrap --variant=minbase --force-check-gpg --keyring="$keyring" --include="$packages" \
    "$suite" "$tree" ${mirror:+"$mirror"} >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "debootstrap failed; all it said is in $log"
fi
rm -f "$log"

# Inside the tree as root directory: an absolute link in it must not lead to this machine's files.
# Nothing in a sandbox installs packages or reads manuals. A set-user-id program gives nothing under
# no-new-privileges; without them there is nothing to think about.
PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$tree" /bin/sh -eu <<'IN_TREE'
groupadd --gid 1000 agent
useradd --uid 1000 --gid 1000 --home-dir /home/agent --create-home --shell /bin/bash agent
install -d -o 1000 -g 1000 /work
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/* /var/cache/debconf/*-old /etc/resolv.conf /etc/hostname
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian/*
find /usr -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
IN_TREE

say "importing it as $image"
tar --create --numeric-owner --one-file-system --directory "$tree" . \
    | docker import \
        --change 'ENV HOME=/home/agent' \
        --change 'ENV LC_CTYPE=C.UTF-8' \
        --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
        --change 'USER 1000:1000' \
        --change 'WORKDIR /work' \
        --change 'CMD ["bash"]' \
        --change "LABEL bzzz.packages=$packages" \
        --message "Bzzz sandbox, Debian $suite" \
        - "$image" >/dev/null
say "$image is ready, $(docker image inspect --format '{{.Size}}' "$image" | awk '{ printf "%.0f MB", $1 / 1e6 }')"
