#!/usr/bin/env bash
# Makes these certificates anew: of a daemon on this machine, and of who may use it. They guard nothing but a test's daemon.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# NAME SUBJECT EXTENSIONS
signed() {
    key "$1-key.pem"
    openssl req -new -key "$1-key.pem" -subj "/CN=$2" |
        openssl x509 -req -CA ca.pem -CAkey ca-key.pem -days 36500 -extfile <(printf '%s\n' "$3") -out "$1.pem"
}

key ca-key.pem
openssl req -x509 -key ca-key.pem -subj "/CN=Bzzz tests" -days 36500 -out ca.pem \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
signed server "Bzzz tests daemon" "subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth"
signed cert "Bzzz tests node" "extendedKeyUsage=clientAuth"
mv cert-key.pem key.pem
# Nothing more is signed.
rm ca-key.pem
