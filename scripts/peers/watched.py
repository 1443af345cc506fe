#!/usr/bin/env python3
"""Runs scripts/bench-stats.sh, which says what for.

The crowd of nodes are addresses of one nginx; each has answered before anything is measured, so that all of its series
exist. Processor time is read from the threads' own clocks, in nanoseconds.
"""
import argparse
import contextlib
import os
import resource
import socket
import statistics
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from bench import build
from measure import Ask, Server, half_busy, load
from proxies import start_nginx
from rig import LOAD_CORE, Failed, Rig, with_descendants

UPSTREAMS, NODES = 100, 10
VIEWERS = 50
ROUNDS = 6  # of load, in turns
SERVING = "data"  # the name of threads that serve requests


def addresses():
    """One for each node."""
    return [[f"127.{1 + upstream}.0.{1 + node}" for node in range(NODES)] for upstream in range(UPSTREAMS)]


def start_nodes(rig):
    """nginx on all of the addresses; returns their port."""
    port = rig.port()
    listens = "".join(f"listen {addr}:{port};" for upstream in addresses() for addr in upstream)
    body = f'return 200 "{"x" * 1024}";'
    start_nginx(rig, "nodes", f"access_log off; server {{ {listens} location / {{ {body} }} }}", core=LOAD_CORE)
    return port


def start_tidegate(rig, binary, node_port):
    """Returns its data port, its stats port and its process."""
    port, admin = rig.port(), rig.port()
    upstreams = "".join(
        f"  u{at}: {{ nodes: [{', '.join(f'{addr}:{node_port}' for addr in nodes)}] }}\n"
        for at, nodes in enumerate(addresses())
    )
    routes = "".join(f"  - {{ match: {{ path: /u{at}/ }}, upstream: u{at} }}\n" for at in range(UPSTREAMS))
    conf = rig.write(
        "tidegate.yaml",
        f"""listen: [{{ addr: "127.0.0.1:{port}" }}]
admin: {{ addr: "127.0.0.1:{admin}" }}
threads: 1
limits: {{ requests_per_connection: 1000000000 }}
access_log: {{ format: off }}
upstreams:
{upstreams}routes:
  - {{ match: {{ path: /kept }}, upstream: u0, cache: {{ ttl: 1h }} }}
{routes}""",
    )
    return port, admin, rig.start("tidegate", [binary, "run", "-c", conf])


def ask(port, path):
    """The body of an answer that has to be a 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != 200:
        raise Failed(f"{path} answers {answer.status}")
    return body


def until_ready(admin):
    """Waits for the stats port."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask(admin, "/readyz")
        except (OSError, Failed) as error:
            if time.monotonic() > deadline:
                raise Failed(f"Tidegate is not ready: {error}") from error
            time.sleep(0.1)


def everybody_answers(port):
    """Asks until each node has answered, more than once."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        for upstream in range(UPSTREAMS):
            for _ in range(3 * NODES):
                connection.request("GET", f"/u{upstream}/")
                if connection.getresponse().read() != b"x" * 1024:
                    raise Failed("a node does not answer")


def beside(pid):
    """Nanoseconds that threads have run which do not serve requests, those that have ended left out."""
    spent = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if not (task / "comm").read_text().startswith(SERVING):
                spent[task.name] = int((task / "schedstat").read_text().split()[0])
    return spent


def share(pid, secs, each_second=lambda: None):
    """Share of one core that those threads take, while this is done each second."""
    before, began = beside(pid), time.monotonic()
    for second in range(secs):
        each_second()
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    after, took = beside(pid), time.monotonic() - began
    return sum(ns - before.get(task, 0) for task, ns in after.items()) / 1e9 / took


class Viewers:
    """Connections that read the stream of the page."""

    def __init__(self, admin, count):
        self.bytes, self.ended, self.threads, self.sockets = 0, False, [], []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", admin), timeout=10)
            connection.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{admin}\r\n\r\n".encode())
            if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                raise Failed("a viewer is not let in")
            self.sockets.append(connection)
        for connection in self.sockets:
            self.threads.append(threading.Thread(target=self.read, args=(connection,), daemon=True))
            self.threads[-1].start()

    def read(self, connection):
        """Takes what comes."""
        with contextlib.suppress(OSError):
            while piece := connection.recv(1 << 20):
                self.bytes += len(piece)
        self.ended = True

    def leave(self):
        """All of them; refuses a measurement in which one had to leave before."""
        ended = self.ended
        for connection in self.sockets:
            connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)
        if ended:
            raise Failed("the stream ended while it was watched")


def watched(pid, admin, count, secs):
    """Share of a core with so many viewers, and bytes that one of them gets a second."""
    viewers = Viewers(admin, count)
    time.sleep(1)
    got, took = viewers.bytes, time.monotonic()
    cost = share(pid, secs)
    rate = (viewers.bytes - got) / count / (time.monotonic() - took)
    viewers.leave()
    return cost, rate


def data_path(port, admin, pid, folder):
    """Hits in turns with nobody looking and with many viewers: 99th percentiles and processor times."""
    server = Server("Tidegate", "Tidegate", port, Ask("/kept"), [pid], family=with_descendants([pid]))
    half_busy(server, folder)
    samples = {0: [], VIEWERS: []}
    for _ in range(ROUNDS):
        for count, into in samples.items():
            viewers = Viewers(admin, count)
            into.append(load(server, 3, folder))
            viewers.leave()
    return server.conns, samples


def told(binary, secs):
    """All measurements, each printed when it is there."""
    rig = Rig()
    try:
        node_port = start_nodes(rig)
        port, admin, pid = start_tidegate(rig, binary, node_port)
        until_ready(admin)
        everybody_answers(port)
        idle = share(pid, secs)
        print(f"nobody looks: {idle:.2%} of a core")
        took, size = [], []

        def scrape():
            began = time.monotonic()
            size.append(len(ask(admin, "/metrics")))
            took.append(1e3 * (time.monotonic() - began))

        cost = share(pid, secs, scrape)
        print(
            f"a scrape a second: {cost - idle:+.2%} of a core; {statistics.median(took):.1f} ms each, at most "
            f"{max(took):.1f}; {size[-1] / 1024:.0f} KiB"
        )
        for count in (1, VIEWERS):
            cost, rate = watched(pid, admin, count, secs)
            print(f"{count} viewers: {cost - idle:+.2%} of a core, {(cost - idle) / max(count, 1):.3%} each; {rate / 1024:.0f} KiB/s each")
        conns, samples = data_path(port, admin, pid, rig.folder)
        for count, rounds in samples.items():
            print(
                f"hits, {conns} connections, {count} viewers: 99th percentile {statistics.median(s.p99 for s in rounds):.3f} ms "
                f"({', '.join(f'{s.p99:.3f}' for s in rounds)}), {statistics.median(s.cost for s in rounds):.2f} us of "
                f"processor time each, {statistics.median(s.rate for s in rounds):.0f}/s"
            )
    except BaseException:
        print("\n".join(rig.last_words()), file=sys.stderr)
        raise
    finally:
        rig.end()


def main():
    """The command."""
    parser = argparse.ArgumentParser(prog="bench-stats.sh")
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--secs", type=int, default=15)
    given = parser.parse_args()
    if LOAD_CORE is None:
        raise Failed("this needs two cores: one for the proxy, one for nodes and load")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16_384), most))
    binary = given.binary or build()
    os.sched_setaffinity(0, {LOAD_CORE})
    told(binary, given.secs)


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit(f"bench-stats: {why}")
