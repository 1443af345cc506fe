#!/usr/bin/env bash
# What a request costs: Tidegate next to nginx (and HAProxy and Varnish, when installed) in one run on this machine.
#
#   scripts/bench-peers.sh                a request that is passed on, 1 KiB
#   scripts/bench-peers.sh --hits         one that is answered from the cache of each, 1 KiB
#   scripts/bench-peers.sh --compressed   the same for 64 KiB of JSON that leave compressed
#
#   --peers          only the peers: Tidegate is not built
#   --binary PATH    this Tidegate instead of a release build of the working tree
#   --keep           the result is added to benches/runs/DATE-PROCESSOR.md, too
#
# An nginx origin answers; each proxy in turn serves 64 kept-alive connections of load, with one worker thread (Varnish
# has no such setting, it has one core). The proxy that is measured has core 0 to itself, origin and load share core 1.
# Three interleaved rounds; the figure is processor time per request, see cpu_per_request.py. What each scenario starts
# and how it is configured: scripts/peers/.
#
# Takes about a minute, --compressed two. Listens on 127.0.0.1 only, on free ports, in a folder of its own; everything
# it started is ended when it ends, however it ends. It never touches a running server, nor its configuration.

# shellcheck disable=SC2034 # a scenario reads what is not used here
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

fail() {
    printf 'bench: %s\n' "$@" >&2
    exit 1
}

# Some are for the scenario alone.
scenario=plain hits='' peers_only='' binary='' keep='' # `hits` changes the configurations of the scenario `plain`
while [[ $# -gt 0 ]]; do
    case $1 in
    --hits) hits=yes ;;
    --compressed) scenario=compressed ;;
    --peers) peers_only=yes ;;
    --binary) binary=${2:?'bench: --binary takes a path'} && shift ;;
    --keep) keep=yes ;;
    *)
        echo 'usage: bench-peers.sh [--hits | --compressed] [--peers | --binary PATH] [--keep]' >&2
        exit 2
        ;;
    esac
    shift
done

for tool in nginx wrk python3 curl taskset; do
    command -v "$tool" >/dev/null || fail "$tool is missing; scripts/setup.sh --bench gets it"
done
[[ $(nproc) -ge 2 ]] || fail 'this needs two cores: one for the proxy, one for origin and load'

tidegate=${binary:-${CARGO_TARGET_DIR:-$root/target}/release/tidegate}
if [[ ! $peers_only && ! $binary ]]; then
    cargo build --release --locked --bin tidegate --manifest-path "$root/Cargo.toml"
fi

dir=$(mktemp -d)
chmod 755 "$dir" # workers of nginx run as somebody else when we are root
pids=()
clean_up() {
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for _ in {1..50}; do # five seconds for all to leave
        local left=0
        for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null && left=1; done
        [[ $left == 0 ]] && break
        sleep 0.1
    done
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Free ports; kept open together so that they differ.
read -r -a ports < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
print(*(s.getsockname()[1] for s in held))')
origin=127.0.0.1:${ports[0]}

# start NAME COMMAND... : in the background, its words in a file that is shown when the measurement fails.
start() {
    "${@:2}" >"$dir/$1.out" 2>"$dir/$1.err" &
    pids+=($!)
}

# nginx_conf NAME < the http section's own part
nginx_conf() {
    mkdir -p "$dir/$1"
    {
        echo "daemon off; worker_processes 1; pid $dir/$1/pid; error_log stderr error;"
        echo 'events { worker_connections 2048; }'
        echo "http { keepalive_timeout 75s; keepalive_requests 1000000000;"
        for temp in client_body proxy fastcgi uwsgi scgi; do echo "${temp}_temp_path $dir/$1/$temp;"; done
        cat
        echo '}'
    } >"$dir/$1/nginx.conf"
}

# start_tidegate NAME: on $dir/NAME.yaml, once it has said that it understands the file.
start_tidegate() {
    local said
    said=$("$tidegate" check -c "$dir/$1.yaml" 2>&1) ||
        fail "$tidegate cannot do what is measured here:" "$said" '--peers measures the others without it'
    start "$1" "$tidegate" run -c "$dir/$1.yaml"
}

# measure NAME PORT TARGET [ENCODING]: the one started last, with what a client that takes this encoding gets from it.
servers=()
measure() { servers+=("$1=${pids[-1]}=http://127.0.0.1:$2$3${4:+ $4}"); }

# What a scenario says beside the servers it starts.
title=''            # of the result
options=()          # for cpu_per_request.py
afterwards() { :; } # fails when what was measured is not what was meant

# shellcheck source=/dev/null
source "$root/scripts/peers/$scenario.sh"

processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | sed -n 1p)
{
    echo "## $title"
    echo
    echo "- machine: $(nproc) cores, $processor"
    echo "- nginx: $(nginx -v 2>&1 | sed 's/.*: //')"
    if command -v haproxy >/dev/null; then echo "- $(haproxy -v | sed -n 1p)"; fi
    if [[ $scenario == compressed ]] && command -v varnishd >/dev/null; then echo "- $(varnishd -V 2>&1 | sed -n 1p)"; fi
    if [[ ! $peers_only ]]; then echo "- $("$tidegate" --version)"; fi
    echo
} | tee "$dir/report"
# In the background, so that a signal ends the wait, and with it everything else, at once.
python3 "$root/scripts/cpu_per_request.py" "${options[@]}" "${servers[@]}" >"$dir/table" &
pids+=($!)
wait "${pids[-1]}" || {
    echo 'bench: what the servers said:' >&2
    tail -n 5 "$dir"/*.err >&2
    exit 1
}
afterwards
tee -a "$dir/report" <"$dir/table"

if [[ $keep ]]; then
    slug=$(tr -cs '[:alnum:]\n' - <<<"${processor,,}")
    kept=$root/benches/runs/$(date -u +%F)-${slug%-}.md
    mkdir -p "${kept%/*}"
    { if [[ -e $kept ]]; then echo; fi && cat "$dir/report"; } >>"$kept"
    echo
    echo "kept in ${kept#"$root/"}"
fi
