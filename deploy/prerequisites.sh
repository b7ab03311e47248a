#!/usr/bin/env bash
# Installs what building and running Bzzz needs on Debian and Ubuntu. Says what it does; does nothing when all is there.
#
#   deploy/prerequisites.sh         for the tests and everything else: a Docker daemon, which it starts when none answers,
#                                   and bubblewrap, with the tools that sandboxes have from this machine then
#   deploy/prerequisites.sh demo    for `make demo`: Docker and the sandbox image where Docker is installed and this user
#                                   may use it, else bubblewrap and the tools
#
#   BZZZ_DOCKERD_LOG    where a daemon that it starts writes   (/var/log/bzzz-dockerd.log)
set -euo pipefail

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly dockerd_log=${BZZZ_DOCKERD_LOG:-/var/log/bzzz-dockerd.log}
# A daemon on a slow disk takes some seconds to look through its containers.
readonly dockerd_patience_s=60

say() { printf 'prerequisites: %s\n' "$*"; }
fail() { printf 'prerequisites: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo -- "$@"
    else
        fail "'$*' needs root, and sudo is missing: run this as root"
    fi
}

install_packages() {
    [ $# -gt 0 ] || return 0
    has apt-get || fail "missing: $* (as Debian names them), and there is no apt-get: install them by hand"
    say "installing $*"
    as_root apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

# What follows prints what is missing, each as the package that brings it.

for_building() {
    has git || echo git
    has cc || echo gcc
    # libFuzzer is C++.
    has c++ || echo g++
    has make || echo make
    has tar || echo tar
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    # sandboxd is linked with the static C library.
    if ! has cc || [ "$(cc -print-file-name=libc.a)" = libc.a ]; then echo libc6-dev; fi
}

for_docker() {
    # A client alone, as for a daemon elsewhere, starts none here.
    has docker && { has dockerd || [ -n "${DOCKER_HOST:-}" ] || answers >/dev/null; } || echo docker.io
    has debootstrap || echo debootstrap
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
}

# A Docker daemon of a test's own has a network of its own. Podman is tried in Docker's place, and gVisor in that of the
# kernel, where the distribution has it. One of several nodes has a wrong clock, and some are behind
# routers. JavaScript's Hypercore reads what nodes wrote.
for_tests() {
    has ip || echo iproute2
    has iptables || echo iptables
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || echo libfaketime
    has podman || echo podman
    has node || echo nodejs
    has npm || echo npm
    has runsc || ! apt-cache show runsc >/dev/null 2>&1 || echo runsc
}

# The packages of the sandbox image: sandboxes by bubblewrap have this machine's /usr. What is in a home folder, as Rust
# by rustup is, they do not see.
for_bubblewrap() {
    has bwrap || echo bubblewrap
    has prlimit || echo util-linux
    has dpkg-query || return 0
    local package
    for package in $(sed -e 's/#.*//' "$here/sandbox/packages"); do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }

# Succeeds when a daemon answers in the end; says why not.
start_docker() {
    ! answers >/dev/null || return 0
    if [ -n "${DOCKER_HOST:-}" ]; then
        say "no Docker daemon answers at DOCKER_HOST=$DOCKER_HOST"
        return 1
    fi
    if as_root docker version >/dev/null 2>&1; then
        say "a Docker daemon runs, but $(id -un) may not use it: 'sudo usermod -aG docker $(id -un)', then log in again"
        return 1
    fi
    if [ -d /run/systemd/system ]; then
        say "starting Docker (systemctl start docker)"
        as_root systemctl start docker || true
    elif has dockerd; then
        say "starting dockerd in the background, its log is $dockerd_log"
        # In a session of its own: it stays when the terminal goes.
        as_root setsid --fork sh -c 'exec dockerd >"$1" 2>&1 </dev/null' sh "$dockerd_log"
    else
        say "dockerd is missing although docker is there: apt-get install docker.io"
        return 1
    fi
    for ((waited_s = 0; waited_s < dockerd_patience_s; waited_s++)); do
        ! answers >/dev/null || return 0
        ! grep -qs 'failed to start daemon' "$dockerd_log" || break
        sleep 1
    done
    [ ! -r "$dockerd_log" ] || tail -n 15 "$dockerd_log" >&2
    say "no Docker daemon answers after $waited_s s"
    return 1
}

# A daemon on another machine is not given the demo's image: it may be of another kind, and far.
is_local() { [[ ${DOCKER_HOST:-unix://} = unix://* ]]; }

[ $# -le 1 ] && [[ ${1:-} =~ ^(|demo)$ ]] || fail "unknown arguments: $*"
# The names of packages have no spaces.
# shellcheck disable=SC2046
install_packages $(for_building)
has cargo || fail "cargo is missing: install Rust from https://rustup.rs (version 1.95 or newer)"

if [ "${1:-}" != demo ]; then
    # shellcheck disable=SC2046
    install_packages $(for_docker; for_bubblewrap; for_tests)
    start_docker || fail "the tests need Docker"
elif has docker && is_local && start_docker; then
    # shellcheck disable=SC2046
    install_packages $(for_docker)
    "$here/sandbox/build.sh"
else
    say "sandboxes are made by bubblewrap: there is no Docker that could be used"
    # shellcheck disable=SC2046
    install_packages $(for_bubblewrap)
fi
docker=$(answers || true)
say "all there: $(git --version), ${docker:+Docker $docker, }$(bwrap --version 2>/dev/null || echo no bubblewrap), $(cargo --version)"
