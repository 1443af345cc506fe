#!/usr/bin/env bash
# What watching costs: the stats port of a Tidegate with 100 upstreams of 10 nodes, scraped and watched.
#
#   scripts/bench-stats.sh                 about three minutes
#   --binary PATH    this Tidegate instead of a release build of the working tree
#   --secs N         so long is each measurement, instead of 15 seconds
#
# Told are: processor time of all threads but those that serve requests, with nobody looking, with a scrape of /metrics
# a second, with one viewer of the page's stream and with 50; how long a scrape takes; and the 99th percentile and the
# processor time of cache hits with nobody looking and with 50 viewers, in turns.
#
# Needs nginx, wrk and python3 (scripts/setup.sh --bench). Listens on addresses of this machine only (127.0.0.0/8), on
# free ports, in a folder of its own; everything it started is ended when it ends.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Servers and rustup's programs are not on everybody's path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

case ${1-} in
-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" && exit 0 ;;
esac
exec python3 -B "$root/scripts/peers/watched.py" "$@"
