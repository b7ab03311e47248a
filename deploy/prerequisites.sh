#!/usr/bin/env bash
# Installs what building and running Bzzz needs on Debian and Ubuntu, and starts a Docker daemon when none answers.
# Says what it does; does nothing when all is there. `make demo` and `make test` run it first.
#
#   BZZZ_DOCKERD_LOG    where a daemon that it starts writes   (/var/log/bzzz-dockerd.log)
set -euo pipefail

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

# Each as the package that brings it.
missing=()
has git || missing+=(git)
has cc || missing+=(gcc)
has make || missing+=(make)
has tar || missing+=(tar)
has docker || missing+=(docker.io)
has debootstrap || missing+=(debootstrap)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
# sandboxd is linked with the static C library.
if ! has cc || [ "$(cc -print-file-name=libc.a)" = libc.a ]; then missing+=(libc6-dev); fi

if [ ${#missing[@]} -gt 0 ]; then
    has apt-get || fail "missing: ${missing[*]} (as Debian names them), and there is no apt-get: install them by hand"
    say "installing ${missing[*]}"
    as_root apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

has cargo || fail "cargo is missing: install Rust from https://rustup.rs (version 1.95 or newer)"

answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }

if ! answers >/dev/null; then
    [ -z "${DOCKER_HOST:-}" ] || fail "no Docker daemon answers at DOCKER_HOST=$DOCKER_HOST"
    if as_root docker version >/dev/null 2>&1; then
        fail "a Docker daemon runs, but $(id -un) may not use it: 'sudo usermod -aG docker $(id -un)', then log in again"
    fi
    if [ -d /run/systemd/system ]; then
        say "starting Docker (systemctl start docker)"
        as_root systemctl start docker || true
    else
        has dockerd || fail "dockerd is missing although docker is there: apt-get install docker.io"
        say "starting dockerd in the background, its log is $dockerd_log"
        # In a session of its own: it stays when the terminal goes.
        as_root setsid --fork sh -c 'exec dockerd >"$1" 2>&1 </dev/null' sh "$dockerd_log"
    fi
    for ((waited_s = 0; waited_s < dockerd_patience_s; waited_s++)); do
        ! answers >/dev/null || break
        ! grep -qs 'failed to start daemon' "$dockerd_log" || break
        sleep 1
    done
    if ! answers >/dev/null; then
        [ ! -r "$dockerd_log" ] || tail -n 15 "$dockerd_log" >&2
        fail "no Docker daemon answers after $waited_s s"
    fi
fi
say "all there: $(git --version), Docker $(answers), $(cargo --version)"
