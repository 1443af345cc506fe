#!/usr/bin/env bash
# What a shared Redis gives and costs: an answer from memory, from Redis and from a node, a Redis that is away, a restart.
#
#   scripts/bench-shared.sh                about two minutes
#   --binary PATH    this Tidegate instead of a release build of the working tree
#   --pages N        so many pages, instead of 5,000
#   --size BYTES     of a page, instead of 4 KiB
#
# Told are, for each page asked for once over 16 connections: how long it took (p50, p99), the processor time of the proxy,
# and how many the node was asked for; the same after a restart, and while Redis hangs.
#
# Needs nginx, redis-server and python3 (scripts/setup.sh). Listens on addresses of this machine only, on free ports, in a
# folder of its own; everything it started is ended when it ends.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Servers and rustup's programs are not on everybody's path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

case ${1-} in
-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" && exit 0 ;;
esac
exec python3 -B "$root/scripts/peers/shared.py" "$@"
