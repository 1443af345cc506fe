#!/usr/bin/env bash
# What a request costs: Tidegate next to nginx, HAProxy and Varnish in one run on this machine.
#
#   scripts/bench-peers.sh                      everything, in less than ten minutes
#   scripts/bench-peers.sh --only NAME[,NAME]   some scenarios; --list says which there are
#   scripts/bench-peers.sh --hits               hits of 1 KiB, without and with access logs
#   scripts/bench-peers.sh --compressed         64 KiB of JSON that leave compressed
#   scripts/bench-peers.sh --tls                hits of 1 KiB over TLS, HTTP/1.1 and HTTP/2, and full handshakes
#
#   --install        gets what is missing first, with scripts/setup.sh --bench
#   --peers          only the peers: Tidegate is not built
#   --binary PATH    this Tidegate instead of a release build of the working tree
#   --keep           the result is added to benches/runs/DATE-PROCESSOR.md, too
#   --rounds N       so many rounds instead of each scenario's own number
#   --secs N         so long is one round of one server, instead of 2 seconds
#
# An nginx origin answers; each proxy in turn serves load from wrk (HTTP/2: h2load), with one worker thread (Varnish has no such
# setting, it has one core). The proxy that is measured has one core to itself, origin and load share another. Rounds
# are interleaved and the figure is processor time per request: both stay comparable where a machine is small or busy.
# A peer that is not installed is left out. The scenarios are in scripts/peers/scenarios.py, the configurations in
# scripts/peers/proxies.py.
#
# Listens on 127.0.0.1 only, on free ports, in a folder of its own (in memory, if it can); everything it started is
# ended when it ends, however it ends. It never touches a running server, nor its configuration.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Servers and rustup's programs are not on everybody's path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

given=()
for word in "$@"; do
    case $word in
    --install) "$root/scripts/setup.sh" --bench ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) given+=("$word") ;;
    esac
done
if ! command -v python3 >/dev/null; then
    echo 'bench: python3 is missing; scripts/setup.sh --bench gets it' >&2
    exit 1
fi
exec python3 -B "$root/scripts/peers/bench.py" "${given[@]}"
