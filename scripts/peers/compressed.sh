# shellcheck shell=bash disable=SC2034,SC2154 # it shares its names with bench-peers.sh
# 64 KiB of JSON from the cache of each, to clients that take it compressed: what an answer costs, and its bytes.
#
# Everybody is told to compress as well as a hit allows: who compresses every hit does so at his usual level, who keeps
# the compressed answer at one that is paid for once. Tidegate is measured after it has compressed in the background,
# and beside it a hit of as many bytes as its `br` that nobody has compressed: what a hit of that size costs at all.
#
# Sourced by bench-peers.sh: has its functions, starts what is measured.

title='64 KiB of JSON that leave compressed from the cache'
size=65536
patience=60 # seconds until the background pass of Tidegate has to be through

mkdir -p "$dir/files/plain"
python3 "$root/scripts/peers/records.py" $size >"$dir/files/records.json"

nginx_conf origin <<END
log_format short "\$request_uri";
access_log $dir/asked short;
types { application/json json; }
server { listen $origin; root $dir/files; add_header Cache-Control max-age=3600; }
END
start origin taskset -c 1 nginx -p "$dir/origin" -e stderr -c "$dir/origin/nginx.conf"

# wire PORT TARGET ENCODING: bytes of body that such a client gets.
wire() {
    curl -sf --max-time 5 -H "Accept-Encoding: $3" -o /dev/null -w '%{size_download}' "http://127.0.0.1:$1$2"
}

# serves_records NAME PORT ENCODING: waits until it gives the very records in this encoding to curl.
serves_records() {
    local url=http://127.0.0.1:$2/records.json
    for _ in {1..100}; do
        if curl -sf --max-time 5 --compressed -H "Accept-Encoding: $3" -o "$dir/got" -D "$dir/head" "$url"; then
            grep -qi "^content-encoding: $3" "$dir/head" || fail "$1 does not compress for $3:" "$(cat "$dir/head")"
            cmp -s "$dir/got" "$dir/files/records.json" || fail "$1 says $3 and sends something else"
            return
        fi
        sleep 0.1
    done
    fail "$1 does not answer at $url:" "$(tail -n 5 "$dir"/*.err)"
}

# competes NAME PORT: a peer; the one started last.
peers=0
competes() {
    serves_records "$1" "$2" gzip
    measure "$1" "$2" /records.json gzip
    peers=$((peers + 1))
}

# What a careful operator says beside: without it nginx opens and copies the file of a hit every time.
files='sendfile on; tcp_nopush on; open_file_cache max=100;'

nginx_conf above <<END
$files
access_log off;
proxy_cache_path $dir/above/cache keys_zone=cache:10m;
gzip on;
gzip_vary on;
gzip_types application/json;
server {
    listen 127.0.0.1:${ports[1]};
    proxy_cache cache;
    location / { proxy_pass http://$origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
END
start above nginx -p "$dir/above" -e stderr -c "$dir/above/nginx.conf"
competes 'nginx, gzip of every hit' "${ports[1]}"

# The inner server compresses, the outer one keeps what it says under a key of two values, whatever clients say.
nginx_conf tiers <<END
$files
access_log off;
proxy_cache_path $dir/tiers/cache keys_zone=cache:10m;
map \$http_accept_encoding \$encoding { default ""; ~*gzip gzip; }
server {
    listen 127.0.0.1:${ports[2]};
    proxy_cache cache;
    proxy_cache_key \$request_uri|\$encoding;
    location / {
        proxy_pass http://unix:$dir/tiers/inner;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Accept-Encoding \$encoding;
        proxy_ignore_headers Vary;
    }
}
server {
    listen unix:$dir/tiers/inner;
    gzip on;
    gzip_vary on;
    gzip_comp_level 9;
    gzip_types application/json;
    location / { proxy_pass http://$origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
END
start tiers nginx -p "$dir/tiers" -e stderr -c "$dir/tiers/nginx.conf"
competes 'nginx in two tiers, gzip 9 kept' "${ports[2]}"

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
    http-reuse always
cache store
    total-max-size 64
    max-object-size 1000000
    max-age 3600
frontend in
    bind 127.0.0.1:${ports[3]}
    filter cache store
    filter compression
    compression algo gzip
    compression type application/json
    http-request cache-use store
    http-response cache-store store
    default_backend origin
backend origin
    server origin $origin
END
    start haproxy haproxy -db -f "$dir/haproxy.cfg"
    competes 'HAProxy, gzip of every hit' "${ports[3]}"
fi

if command -v varnishd >/dev/null; then
    # It asks nodes for gzip and keeps what they send; ours sends none, so Varnish makes it, once, at its level 6.
    cat >"$dir/varnish.vcl" <<END
vcl 4.1;
backend default { .host = "${origin%:*}"; .port = "${origin#*:}"; }
sub vcl_backend_response { set beresp.do_gzip = true; }
END
    start varnish varnishd -F -j none -n "$dir/varnish" -T none -a "127.0.0.1:${ports[4]}" \
        -f "$dir/varnish.vcl" -s malloc,64m
    competes 'Varnish, gzip 6 kept' "${ports[4]}"
fi

options=(--size any --peers "$peers")

# Who did not answer from its cache asked the origin for every request.
afterwards() {
    local asked
    asked=$(wc -l <"$dir/asked")
    [[ $asked -le 100 ]] || fail "the origin was asked $asked times: these were not hits"
}

# background_passes: how many answers Tidegate has stored by compressing behind the answers.
background_passes() {
    curl -sf --max-time 5 "http://127.0.0.1:${ports[6]}/metrics" |
        awk '/^tidegate_compression_stored_total\{.*by="background"/ { n += $2 } END { print n + 0 }'
}

# Asks for each encoding until each has been made anew in the background.
settles() {
    local encodings=(gzip br zstd) from=$SECONDS encoding
    until [[ $(background_passes) -ge ${#encodings[@]} ]]; do
        [[ $((SECONDS - from)) -lt $patience ]] ||
            fail "after $patience s Tidegate has compressed $(background_passes) of ${#encodings[@]} answers in the background"
        for encoding in "${encodings[@]}"; do wire "${ports[5]}" /records.json "$encoding" >"$dir/bytes"; done
        sleep 0.1
    done
}

if [[ ! $peers_only ]]; then
    cat >"$dir/tidegate.yaml" <<END
listen: [{ addr: "127.0.0.1:${ports[5]}" }]
admin: { addr: "127.0.0.1:${ports[6]}" }
threads: 1
access_log: { format: off }
upstreams: { origin: { nodes: ["$origin"] } }
routes:
  - { match: { path: /plain/ }, upstream: origin, cache: { ttl: 1h } }
  - { upstream: origin, cache: { ttl: 1h }, compress: true }
END
    start_tidegate tidegate
    for encoding in gzip br zstd; do serves_records Tidegate "${ports[5]}" "$encoding"; done
    settles
    for encoding in gzip br zstd; do
        serves_records Tidegate "${ports[5]}" "$encoding"
        measure "Tidegate, $encoding kept" "${ports[5]}" /records.json "$encoding"
    done
    head -c "$(wire "${ports[5]}" /records.json br)" "$dir/files/records.json" >"$dir/files/plain/as-many.json"
    measure 'Tidegate, as many bytes as they come' "${ports[5]}" /plain/as-many.json
    options+=(--compare 'Tidegate, br kept' 'Tidegate, as many bytes as they come')
fi
