#!/usr/bin/env bash
# What a proxied request costs: Tidegate next to nginx (and HAProxy, when installed) in one run on this machine. With
# --hits: what a request costs that is answered from the cache of each.
#
# An nginx origin answers 1 KiB; each proxy in turn passes 64 kept-alive connections of load on to it, with one worker
# thread, kept connections to the origin, and the usual X-Forwarded fields. Each proxy has core 0 to itself, origin
# and load share core 1. Three interleaved rounds; the figure is processor time per request, see cpu_per_request.py.
#
# Takes about a minute. Listens on 127.0.0.1 only, on free ports, in a folder of its own; everything it started is
# ended when it ends, however it ends. It never touches a running nginx or HAProxy, nor their configuration.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

case "${1:-}" in
'') hits= ;;
--hits) hits=yes ;;
*)
    echo 'usage: bench-peers.sh [--hits]' >&2
    exit 2
    ;;
esac

for tool in nginx wrk python3 taskset; do
    command -v "$tool" >/dev/null || {
        echo "bench: $tool is missing; scripts/setup.sh --bench gets it" >&2
        exit 1
    }
done
if [[ $(nproc) -lt 2 ]]; then
    echo 'bench: this needs two cores: one for the proxy, one for origin and load' >&2
    exit 1
fi

cargo build --release --locked --bin tidegate --manifest-path "$root/Cargo.toml"
tidegate=${CARGO_TARGET_DIR:-$root/target}/release/tidegate

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

nginx_conf origin <<END
access_log off;
server { listen $origin; location / { default_type text/plain; ${hits:+add_header Cache-Control max-age=3600;} return 200 "$(printf 'x%.0s' {1..1024})"; } }
END

nginx_proxy() { # nginx_proxy NAME PORT LOG
    nginx_conf "$1" <<END
access_log $3;
upstream origin { server $origin; keepalive 64; keepalive_requests 1000000000; }
${hits:+proxy_cache_path $dir/$1/cache keys_zone=cache:10m;}
server {
    listen 127.0.0.1:$2;
    ${hits:+proxy_cache cache;}
    location / {
        proxy_pass http://origin;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host \$http_host;
        proxy_set_header X-Real-IP \$remote_addr;
        proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto \$scheme;
    }
}
END
}

tidegate_conf() { # tidegate_conf NAME PORT STATS_PORT LOG
    cat >"$dir/$1.yaml" <<END
listen: [{ addr: "127.0.0.1:$2" }]
admin: { addr: "127.0.0.1:$3" }
threads: 1
access_log: $4
upstreams: { origin: { nodes: ["$origin"] } }
routes: [{ upstream: origin, cache: $([[ $hits ]] && echo true || echo false) }]
END
}

start origin taskset -c 1 nginx -p "$dir/origin" -e stderr -c "$dir/origin/nginx.conf"

servers=()
measure() { servers+=("$1=${pids[-1]}=http://127.0.0.1:$2/"); } # the one started last

nginx_proxy quiet "${ports[1]}" off
start quiet nginx -p "$dir/quiet" -e stderr -c "$dir/quiet/nginx.conf"
measure 'nginx' "${ports[1]}"

nginx_proxy telling "${ports[2]}" "$dir/nginx.log combined buffer=64k"
start telling nginx -p "$dir/telling" -e stderr -c "$dir/telling/nginx.conf"
measure 'nginx, access log' "${ports[2]}"

if command -v haproxy >/dev/null; then
    cat >"$dir/haproxy.cfg" <<END
global
    nbthread 1
    maxconn 2048
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 30s
    option forwardfor
    http-reuse always
${hits:+cache store
    total-max-size 64
    max-age 3600}
frontend in
    bind 127.0.0.1:${ports[3]}
    ${hits:+http-request cache-use store
    http-response cache-store store}
    default_backend origin
backend origin
    http-request set-header X-Forwarded-Proto http
    server origin $origin
END
    start haproxy haproxy -db -f "$dir/haproxy.cfg"
    measure 'HAProxy' "${ports[3]}"
fi

tidegate_conf off "${ports[4]}" "${ports[5]}" '{ format: off }'
start off "$tidegate" run -c "$dir/off.yaml"
measure 'Tidegate' "${ports[4]}"

tidegate_conf json "${ports[6]}" "${ports[7]}" "{ path: $dir/tidegate.log, format: json }"
start json "$tidegate" run -c "$dir/json.yaml"
measure 'Tidegate, access log' "${ports[6]}"

echo "machine: $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | sed -n 1p)"
echo "nginx: $(nginx -v 2>&1 | sed 's/.*: //')"
if command -v haproxy >/dev/null; then haproxy -v | sed -n 1p; fi
"$tidegate" --version
echo
# In the background, so that a signal ends the wait, and with it everything else, at once.
python3 "$root/scripts/cpu_per_request.py" "${servers[@]}" &
pids+=($!)
wait "${pids[-1]}" || {
    echo 'bench: what the servers said:' >&2
    tail -n 5 "$dir"/*.err >&2
    exit 1
}
