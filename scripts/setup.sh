#!/usr/bin/env bash
# Installs what a machine with only Rust and git lacks to build and test Tidegate, from Debian's own packages.
#
#   scripts/setup.sh           to build and to run the tests: C compiler, cmake, nginx, redis-server 7, python3 that reads
#                              br and zstd and speaks HTTP/2, gRPC and WebSocket, curl, node, openssl, h2load, Pebble,
#                              systemd's tools, chromium with its driver
#   scripts/setup.sh --build   to build only: C compiler, cmake
#   scripts/setup.sh --bench   all of it, and wrk, haproxy and varnish for scripts/bench-peers.sh, valgrind for
#                              scripts/bench-guard.sh
#
# Run it as often as you like: it installs only what is missing and says so. It never removes or upgrades anything
# that is there, never starts or stops a service, and never installs Rust itself.
set -euo pipefail

# Servers and rustup's programs are not on everybody's path.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }
# A compiler without the C library's headers is of no use.
compiles_c() { has cc && printf '#include <stdlib.h>\n' | cc -x c -fsyntax-only - 2>/dev/null; }
compiles_cpp() { has c++ && printf '#include <cstdlib>\n' | c++ -x c++ -fsyntax-only - 2>/dev/null; }
# Debian's packages are for Debian's python3, which need not be the first on the path.
python_decodes() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import brotli, zstandard' 2>/dev/null && return
    done
    return 1
}
# For the scripts of the tests that run /usr/bin/python3.
python_speaks() { has hypercorn && /usr/bin/python3 -c 'import h2, hypercorn, grpc, websockets' 2>/dev/null; }
curl_decodes() { [[ $(curl -V 2>/dev/null) == *brotli*zstd* ]]; }
node_fetches() { has node && [[ $(node -p 'typeof fetch') == function ]]; }

want=tests
case "${1-}" in
    '') ;;
    --build) want=build ;;
    --bench) want=bench ;;
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "unknown option $1; it takes --build, --bench or nothing" ;;
esac

# What is missing: Debian's packages, and the same in words for everybody else.
packages=()
words=()
need() { # need WORDS PACKAGE... : one thing that is missing
    words+=("$1")
    packages+=("${@:2}")
}

compiles_c || need 'a C compiler with headers (gcc or clang)' gcc libc6-dev
compiles_cpp || need 'a C++ compiler (g++ or clang++)' g++
has make || need 'make' make
has cmake || need 'cmake 3 or newer' cmake
if [[ $want != build ]]; then
    has nginx || need 'nginx (an origin of the tests)' nginx-light
    has redis-server && has redis-cli || need 'redis-server 7 or newer (what proxies share)' redis-server redis-tools
    has python3 || need 'python3 (an origin of the tests)' python3
    python_decodes || need 'brotli and zstandard for python3 (a client of the tests)' python3-brotli python3-zstandard
    python_speaks || need 'h2, hypercorn, grpcio and websockets for python3 (clients and origins of the tests)' \
        python3-h2 python3-hypercorn python3-grpcio python3-websockets
    has openssl || need 'openssl (a client of the tests)' openssl
    has systemd-socket-activate && has systemd-analyze ||
        need "systemd's tools (start the proxy in the tests, and read its units)" systemd
    has h2load || need 'h2load (a client of the tests)' nghttp2-client
    has pebble || need 'Pebble (a certificate authority of the tests)' pebble
    curl_decodes || need 'curl that decodes br and zstd (a client of the tests)' curl
    has chromium && has chromedriver || need 'chromium and chromedriver (read the page of the stats port)' chromium chromium-driver
    node_fetches || need 'node 18 or newer (a client of the tests)' nodejs
fi
if [[ $want == bench ]]; then
    has wrk || need 'wrk (the load of the benchmark)' wrk
    has haproxy || need 'haproxy (a peer in the benchmark)' haproxy
    has varnishd || need 'varnish (a peer in the benchmark)' varnish
    has valgrind || need 'valgrind (counts instructions)' valgrind
fi

check_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
    has cargo || fail "Rust is missing: Tidegate needs $wanted or newer." \
        'Get it with rustup (https://www.rust-lang.org/tools/install), then run this again.'
    found=$(cargo --version | cut -d' ' -f2)
    if [[ $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
        fail "Rust $found is too old: Tidegate needs $wanted or newer." \
            'Get it with: rustup update stable (without rustup: https://www.rust-lang.org/tools/install).'
    fi
    [[ $want == build ]] && return
    cargo fmt --version >/dev/null 2>&1 || fail 'rustfmt is missing. Get it with: rustup component add rustfmt'
    cargo clippy --version >/dev/null 2>&1 || fail 'clippy is missing. Get it with: rustup component add clippy'
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    if ! has apt-get || [[ ! -e /etc/debian_version ]]; then
        fail 'this is no Debian (or a child of it), so here is what to install by hand:' "${words[@]/#/  - }" \
            'Then run this again: it will find it.'
    fi
    if [[ $(id -u) != 0 ]] && ! has sudo; then
        fail 'installing packages takes root and there is no sudo. As root, run:' \
            "  apt-get update && apt-get install --no-install-recommends ${packages[*]}"
    fi
    say "missing: ${packages[*]}; installing"
    # Debian starts a server it installs. A policy that says "no service now" prevents that while we install; one
    # that is there already is somebody's decision and stays.
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\n# Put here by scripts/setup.sh while it installs; safe to remove.\nexit 101\n' |
            as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root apt-get update -qq ||
        say 'the lists of packages could not be brought up to date; trying with the old ones'
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
        fail 'apt-get could not install them; its own words are above.'
    say "installed: ${packages[*]}"
    [[ -d /run/systemd/system ]] || return 0
    local package
    for package in "${packages[@]}"; do
        case $package in
            nginx-light | haproxy | varnish | redis-server)
                say "Debian starts $package at the next boot; if you do not want that: systemctl disable ${package%-light}"
                ;;
        esac
    done
}

check_rust
if [[ ${#packages[@]} == 0 ]]; then
    say 'everything is there, nothing to do'
else
    install_packages
fi
