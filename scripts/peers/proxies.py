"""How each server is configured: the same features on, and as a careful operator would write it.

All of them: one worker, kept connections to the origin, caches in memory, the usual X-Forwarded fields, counters that
can be read from outside, no health checks. Compression only where it is measured.
"""
import shutil
import subprocess
from dataclasses import dataclass

from measure import Origin, Server
from rig import LOAD_CORE, Failed

LOGGED = {
    "nginx": "`combined`, buffer=64k flush=1s",
    "HAProxy": "`option httplog`, one write a line to standard output, which is a file",
    "Tidegate": "`json`",
}


@dataclass(frozen=True)
class Features:
    """What is on in a scenario."""

    cache: bool = False
    log: bool = False
    crowd: bool = False  # thousands of connections
    compress: bool = False
    large: bool = False  # bodies of 64 KiB and more


def clients(features):
    """Connections that a server has to take, those to the origin included."""
    return 6000 if features.crowd else 2048


def start_nginx(rig, name, http, connections=2048, core=None):
    """nginx with this http section; returns its process."""
    temps = " ".join(
        f"{temp}_temp_path {rig.folder}/{name}/{temp};" for temp in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = rig.write(
        f"{name}/nginx.conf",
        f"""daemon off; worker_processes 1; pid {rig.folder}/{name}/pid; error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
keepalive_timeout 75s; keepalive_requests 1000000000; {temps}
{http}
}}
""",
    )
    command = ["nginx", "-p", conf.parent, "-e", "stderr", "-c", conf]
    return rig.start(name, command) if core is None else rig.start(name, command, core=core)


def files(large):
    """How nginx sends a file, and so a hit: what costs it least at this size.

    A small body goes out with its head in one write, for a large one sendfile saves the copy. `tcp_nopush` lets a hit
    of 64 KiB wait 40 ms, and without `open_file_cache` the file of every hit is opened anew.
    """
    return f"sendfile {'on' if large else 'off'}; open_file_cache max=100;"


def origin(rig):
    """Files with sendfile, and 1 KiB from memory, which takes a POST, too; counts what it is asked."""
    port, status = rig.port(), rig.port()
    start_nginx(
        rig,
        "origin",
        f"""access_log off; {files(large=True)}
types {{ application/json json; }} default_type text/plain;
server {{
    listen 127.0.0.1:{port}; root {rig.folder}/files; add_header Cache-Control max-age=3600;
    location = /1k {{ return 200 "{'x' * 1024}"; }}
}}
server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}""",
        core=LOAD_CORE,
    )
    return Origin(f"127.0.0.1:{port}", f"http://127.0.0.1:{status}/")


NGINX_PASSES = """proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;"""


# Without these nginx writes what a client does not take at once to a file, and 4 KiB at a time.
NGINX_LARGE = "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;"


def nginx_http(rig, name, origin_at, features):
    """What every configuration of nginx begins with, and the path of its log."""
    log = rig.folder / f"{name}.log" if features.log else None
    logs = f"access_log {log} combined buffer=64k flush=1s;" if log else "access_log off;"
    cache = f"proxy_cache_path {rig.folder}/{name}/cache keys_zone=cache:10m; proxy_cache cache;" if features.cache else ""
    http = f"""{files(features.large)} {logs} {cache} {NGINX_LARGE if features.large else ""}
upstream origin {{ server {origin_at}; keepalive 64; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{rig.port()}; location / {{ stub_status; }} }}"""
    return http, log


def certificate(rig):
    """A chain of one and its key, ECDSA on P-256 as most sites have it; made once a run."""
    cert, key = rig.folder / "site.pem", rig.folder / "site.key"
    if not cert.exists():
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run([*made, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def nginx(rig, origin_at, ask, features):
    """One server; it compresses every hit anew."""
    port = rig.port()
    secured = ""
    if ask.tls:
        cert, key = certificate(rig)
        # Versions and resumption as they come: TLS 1.3 with tickets is what both speak then.
        secured = f" ssl{' http2' if ask.h2 else ''}; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3"
    http, log = nginx_http(rig, "nginx", origin_at, features)
    gzip = "gzip on; gzip_vary on; gzip_types application/json;" if features.compress else ""
    pid = start_nginx(
        rig,
        "nginx",
        f"""{http} {gzip}
server {{ listen 127.0.0.1:{port}{secured}; location / {{
    proxy_pass http://origin;
    {NGINX_PASSES}
}} }}""",
        connections=clients(features),
    )
    return [Server("nginx", "nginx, gzip of every hit" if gzip else "nginx", port, ask, [pid], log)]


def haproxy(rig, origin_at, ask, features):
    """Objects are cached up to half of total-max-size, if max-object-size says so; it compresses every hit anew.

    Buffers of 64 KiB instead of 16 make large bodies cheaper, and connections dearer.
    """
    port, words = rig.port(), []
    log = rig.folder / "haproxy.log" if features.log else None
    if features.compress:
        words += ["filter cache store", "filter compression", "compression algo gzip"]
        words += ["compression type application/json"]
    if features.cache:
        words += ["http-request cache-use store", "http-response cache-store store"]
    conf = rig.write(
        "haproxy.cfg",
        f"""global
    nbthread 1
    maxconn {clients(features)}
    {"tune.bufsize 65536" if features.large else ""}
    {"log stdout format raw local0" if log else ""}
defaults
    mode http
    timeout connect 1s
    timeout client 75s
    timeout server 30s
    option forwardfor
    http-reuse always
    {"log global" if log else ""}
    {"option httplog" if log else ""}
cache store
    total-max-size 64
    max-object-size 8000000
    max-age 3600
frontend metrics
    bind 127.0.0.1:{rig.port()}
    no log
    http-request use-service prometheus-exporter
frontend in
    bind 127.0.0.1:{port}
    {chr(10).join(words)}
    default_backend origin
backend origin
    http-request set-header X-Forwarded-Proto http
    server origin {origin_at}
""",
    )
    pid = rig.start("haproxy", ["haproxy", "-db", "-f", conf], out=log)
    return [Server("HAProxy", "HAProxy, gzip of every hit" if features.compress else "HAProxy", port, ask, [pid], log)]


def varnish(rig, origin_at, ask, features):
    """It asks nodes for gzip and keeps what they send; ours sends none, so it makes it, once, at its level 6."""
    host, origin_port = origin_at.split(":")
    port, log, instance = rig.port(), None, rig.folder / "varnish"
    gzip = "sub vcl_backend_response { set beresp.do_gzip = true; }" if features.compress else ""
    conf = rig.write(
        "varnish.vcl", f'vcl 4.1;\nbackend default {{ .host = "{host}"; .port = "{origin_port}"; }}\n{gzip}\n'
    )
    listen = ["-T", "none", "-a", f"127.0.0.1:{port}", "-p", "timeout_idle=75"]
    pids = [rig.start("varnish", ["varnishd", "-F", "-j", "none", "-n", instance, *listen, "-f", conf, "-s", "malloc,64m"])]
    if features.log:
        log = rig.write("varnish.log", "")
        pids.append(rig.start("varnishncsa", ["varnishncsa", "-n", instance, "-t", "10", "-a", "-w", log]))
    return [Server("Varnish", "Varnish, gzip 6 kept" if gzip else "Varnish", port, ask, pids, log)]


def start_tidegate(rig, binary, routes, origin_at, features, tls=False):
    """Returns its port, the one of its numbers, its process and its log."""
    port, admin = rig.port(), rig.port()
    log = rig.folder / "tidegate.log" if features.log else None
    secured = ""
    if tls:
        cert, key = certificate(rig)
        secured = f", tls: {{ certs: [{{ cert: {cert}, key: {key} }}] }}"
    conf = rig.write(
        "tidegate.yaml",
        f"""listen: [{{ addr: "127.0.0.1:{port}"{secured} }}]
admin: {{ addr: "127.0.0.1:{admin}" }}
threads: 1
limits: {{ requests_per_connection: 1000000000 }}
access_log: {{ {f"path: {log}, format: json" if log else "format: off"} }}
upstreams: {{ origin: {{ nodes: ["{origin_at}"] }} }}
routes: {routes}
""",
    )
    said = subprocess.run([binary, "check", "-c", conf], capture_output=True, text=True, check=False)
    if said.returncode:
        raise Failed(
            f"{binary} cannot do what is measured here:\n{said.stdout}{said.stderr}--peers measures the others without it"
        )
    return port, admin, rig.start("tidegate", [binary, "run", "-c", conf]), log


def tidegate(binary):
    """The one that is measured, from this file."""

    def start(rig, origin_at, ask, features):
        routes = f"[{{ upstream: origin, cache: {'{ ttl: 1h }' if features.cache else 'false'} }}]"
        port, _, pid, log = start_tidegate(rig, binary, routes, origin_at, features, ask.tls)
        return [Server("Tidegate", "Tidegate", port, ask, [pid], log)]

    return start


def tidegate_of_many_sizes(binary, counts):
    """The same process, under several numbers of connections."""

    def start(rig, origin_at, ask, features):
        (server,) = tidegate(binary)(rig, origin_at, ask, features)
        return [
            Server("Tidegate", f"Tidegate, {conns} connections", server.port, ask, server.pids, conns=conns)
            for conns in counts
        ]

    return start


def installed():
    """Those of the peers that are here, by the name of their kind."""
    programs = {"nginx": "nginx", "HAProxy": "haproxy", "Varnish": "varnishd"}
    return {kind for kind, program in programs.items() if shutil.which(program)}


def versions(binary):
    """What each calls itself, a line each."""
    asks = (["nginx", "-v"], ["haproxy", "-v"], ["varnishd", "-V"], *([[binary, "--version"]] if binary else []))
    for ask in asks:
        if shutil.which(ask[0]):
            said = subprocess.run(ask, capture_output=True, text=True, check=False)
            yield (said.stdout + said.stderr).splitlines()[0].removeprefix("nginx version: ")
