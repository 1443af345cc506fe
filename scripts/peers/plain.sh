# shellcheck shell=bash disable=SC2034,SC2154 # it shares its names with bench-peers.sh
# A request of 1 KiB that is passed on (or, with --hits, answered from the cache of each), with and without a line in
# the access log. Connections to the origin are kept, and each proxy adds the usual X-Forwarded fields.
#
# Sourced by bench-peers.sh: has its functions and `hits`, starts what is measured.

title="A request of 1 KiB that is $([[ $hits ]] && echo 'answered from the cache' || echo 'passed on')"

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

nginx_proxy quiet "${ports[1]}" off
start quiet nginx -p "$dir/quiet" -e stderr -c "$dir/quiet/nginx.conf"
measure 'nginx' "${ports[1]}" /

nginx_proxy telling "${ports[2]}" "$dir/nginx.log combined buffer=64k"
start telling nginx -p "$dir/telling" -e stderr -c "$dir/telling/nginx.conf"
measure 'nginx, access log' "${ports[2]}" /

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
    measure 'HAProxy' "${ports[3]}" /
fi

if [[ ! $peers_only ]]; then
    tidegate_conf off "${ports[4]}" "${ports[5]}" '{ format: off }'
    start_tidegate off
    measure 'Tidegate' "${ports[4]}" /

    tidegate_conf json "${ports[6]}" "${ports[7]}" "{ path: $dir/tidegate.log, format: json }"
    start_tidegate json
    measure 'Tidegate, access log' "${ports[6]}" /
fi
