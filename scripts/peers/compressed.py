"""Answers that leave compressed: who keeps them that way, and what Tidegate needs before it is measured.

Everybody is told to compress as well as a hit allows: who compresses every hit does so at his usual level, who keeps
the compressed answer at one that is paid for once. Tidegate is measured after it has compressed in the background, and
beside it a hit of as many bytes as its `br` that nobody has compressed: what a hit of that size costs at all.
"""
import re
import time
import urllib.request

from measure import Ask, Server, verify
from proxies import NGINX_PASSES, nginx_http, start_nginx, start_tidegate
from rig import Failed

PATIENCE = 60  # seconds until the background pass has to be through
ENCODINGS = ("gzip", "br", "zstd")


def nginx_in_two_tiers(rig, origin_at, ask, features):
    """The inner server compresses, the outer one keeps that under a key of two values, whatever clients say."""
    port = rig.port()
    http, log = nginx_http(rig, "tiers", origin_at, features)
    inner = f"unix:{rig.folder}/tiers/inner"
    pid = start_nginx(
        rig,
        "tiers",
        f"""{http}
map $http_accept_encoding $encoding {{ default ""; ~*gzip gzip; }}
server {{
    listen 127.0.0.1:{port};
    proxy_cache_key $request_uri|$encoding;
    location / {{
        proxy_pass http://{inner};
        {NGINX_PASSES}
        proxy_set_header Accept-Encoding $encoding;
        proxy_ignore_headers Vary;
    }}
}}
server {{
    listen {inner};
    proxy_cache off;
    gzip on; gzip_vary on; gzip_comp_level 9; gzip_types application/json;
    location / {{
        proxy_pass http://origin;
        {NGINX_PASSES}
    }}
}}""",
    )
    return [Server("nginx", "nginx in two tiers, gzip 9 kept", port, ask, [pid], log)]


def tidegate(binary):
    """All encodings of one answer from one process."""

    def start(rig, origin_at, ask, features):
        routes = """
  - { match: { path: /plain/ }, upstream: origin, cache: { ttl: 1h } }
  - { upstream: origin, cache: { ttl: 1h }, compress: true }"""
        port, admin, pid, _ = start_tidegate(rig, binary, routes, origin_at, features)
        kept = {
            encoding: Server("Tidegate", f"Tidegate, {encoding} kept", port, Ask(ask.path, encoding), [pid])
            for encoding in ENCODINGS
        }
        settle(rig, kept.values(), admin)
        plain = Ask("/plain/as-many.json")
        whole = (rig.folder / "files" / ask.path[1:]).read_text()
        rig.write(f"files{plain.path}", whole[: kept["br"].wire])
        return [*kept.values(), Server("Tidegate", "Tidegate, as many bytes as they come", port, plain, [pid])]

    return start


def settle(rig, servers, admin):
    """Asks for each encoding until each has been made anew in the background."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for server in servers:
            verify(server, rig.expected(server.ask), rig.folder)
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as answer:
            passes = re.findall(
                r'(?m)^tidegate_compression_stored_total\{.*by="background".*\} (\d+)$', answer.read().decode()
            )
        if sum(map(int, passes)) >= len(ENCODINGS):
            break
        if time.monotonic() > deadline:
            raise Failed(f"after {PATIENCE} s Tidegate has not compressed {len(ENCODINGS)} answers in the background")
        time.sleep(0.1)
    for server in servers:
        verify(server, rig.expected(server.ask), rig.folder)
