#!/usr/bin/env python3
"""Runs scripts/bench-shared.sh, which says what for.

The load is a small client of its own: each page is asked for once, which wrk cannot do, and every answer is compared with
what the node would have sent. It shares its core with the node and Redis, so times are those of a busy neighbourhood;
the differences between the rows are what counts.
"""
import argparse
import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from bench import build
from measure import processor_seconds
from proxies import start_nginx
from rig import LOAD_CORE, Failed, Rig, with_descendants
from watched import ask, until_ready

CONNECTIONS = 16


class Node:
    """nginx with pages of one size, which counts what it is asked for."""

    def __init__(self, rig, size):
        self.port, self.status = rig.port(), rig.port()
        self.filler = "".join(f"{n * 2654435761 % 4294967296:08x}" for n in range(size // 8 + 1))[:size]
        # A word of its configuration has 4 KiB at most.
        parts = [self.filler[at : at + 1_024] for at in range(0, size, 1_024)]
        sets = " ".join(f'set $part{at} "{part}";' for at, part in enumerate(parts))
        whole = "".join(f"${{part{at}}}" for at in range(len(parts)))
        start_nginx(
            rig,
            "node",
            f"""access_log off;
server {{ listen 127.0.0.1:{self.status}; location / {{ stub_status; }} }}
server {{
  listen 127.0.0.1:{self.port}; default_type text/plain; add_header Cache-Control max-age=3600;
  location / {{ {sets} return 200 "$uri {whole}"; }}
}}""",
            core=LOAD_CORE,
        )

    def asked(self):
        """Requests so far."""
        counts = ask(self.status, "/").decode().split("\n")[2].split()
        return int(counts[2])

    def page(self, path):
        """What it answers."""
        return f"{path} {self.filler}".encode()


class Proxy:
    """One Tidegate."""

    def __init__(self, rig, binary, name, node, redis):
        self.rig, self.binary, self.name = rig, binary, name
        self.port, self.admin = rig.port(), rig.port()
        tier = f', redis: {{ url: "redis://127.0.0.1:{redis}/0" }}' if redis else ""
        self.conf = rig.write(
            f"{name}.yaml",
            f"""listen: [{{ addr: "127.0.0.1:{self.port}" }}]
admin: {{ addr: "127.0.0.1:{self.admin}" }}
threads: 1
limits: {{ requests_per_connection: 1000000000 }}
access_log: {{ format: off }}
cache: {{ memory: 512MiB{tier} }}
upstreams: {{ node: {{ nodes: ["127.0.0.1:{node.port}"] }} }}
routes: [{{ upstream: node, cache: true }}]
""",
        )
        self.start()

    def start(self):
        """Starts it and waits until it is ready and, where it has one, knows its Redis."""
        self.pid = self.rig.start(self.name, [self.binary, "run", "-c", self.conf])
        until_ready(self.admin)
        deadline = time.monotonic() + 10
        while "redis:" in self.conf.read_text() and self.metric("cache_tier_up") != 1:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not find its Redis")
            time.sleep(0.02)
        self.family = with_descendants([self.pid])

    def stop(self):
        """Ends it."""
        os.kill(self.pid, signal.SIGTERM)
        process = next(p for p in self.rig.processes if p.pid == self.pid)
        process.wait(10)

    def metric(self, name):
        """The sum of a metric's series."""
        found = re.findall(rf"(?m)^tidegate_{name}(?:{{[^}}]*}})? (\S+)$", ask(self.admin, "/metrics").decode())
        return sum(map(float, found))


class Row:
    """A pass over all pages."""

    def __init__(self, waits, spent, asked):
        self.waits, self.spent, self.asked = sorted(waits), spent, asked

    def __str__(self):
        count = len(self.waits)
        p50, p99 = (1e3 * self.waits[int(count * share)] for share in (0.5, 0.99))
        cost = 1e6 * self.spent / count
        return f"p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  {cost:7.1f} us of processor time  {self.asked:5d} of {count} asked of the node"


def crowd(port, paths, node, connections=CONNECTIONS):
    """Asks for each path once, over so many connections; returns how long each took."""
    selector, waiting, waits = selectors.DefaultSelector(), iter(paths), []
    open_ones = 0

    def send(connection):
        path = next(waiting, None)
        if path is None:
            return False
        connection.path, connection.got, connection.began = path, b"", time.perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n".encode())
        return True

    class Connection(socket.socket):
        """With what it waits for."""

    for _ in range(connections):
        connection = Connection(socket.AF_INET, socket.SOCK_STREAM)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not send(connection):
            connection.close()
            break
        selector.register(connection, selectors.EVENT_READ)
        open_ones += 1
    while open_ones:
        ready = selector.select(15)
        if not ready:
            raise Failed("an answer did not come")
        for key, _ in ready:
            connection = key.fileobj
            piece = connection.recv(1 << 20)
            connection.got += piece
            head, found, body = connection.got.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if not piece:
                raise Failed(f"a connection was closed: {head[:100]}")
            if not found or len(body) < int(length[1] if length else sys.maxsize):
                continue
            waits.append(time.perf_counter() - connection.began)
            if not head.startswith(b"HTTP/1.1 200") or body != node.page(connection.path):
                raise Failed(f"{connection.path}: a wrong answer: {head[:200]}")
            if not send(connection):
                selector.unregister(connection)
                connection.close()
                open_ones -= 1
    return waits


def passed(proxy, node, paths):
    """A pass over the pages at a proxy."""
    asked, before = node.asked(), processor_seconds(proxy.family)
    waits = crowd(proxy.port, paths, node)
    spent = processor_seconds(proxy.family) - before
    # Looking costs the node a request.
    return Row(waits, spent, node.asked() - asked - 1)


def start_redis(rig, port):
    """An empty Redis."""
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    pid = rig.start("redis", [*command, "--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru"], core=LOAD_CORE)
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return pid
        if time.monotonic() > deadline:
            raise Failed("redis-server does not start")
        time.sleep(0.02)


def all_written(proxy):
    """Waits until nothing waits to be written."""
    deadline = time.monotonic() + 10
    while proxy.metric("cache_tier_queue_length") > 0:
        if time.monotonic() > deadline:
            raise Failed("the queue does not become empty")
        time.sleep(0.05)
    time.sleep(0.2)


def told(binary, count, size):
    """All rows, each printed when it is there."""
    rig = Rig()
    try:
        node = Node(rig, size)
        redis_port = rig.port()
        redis = start_redis(rig, redis_port)
        one, two = (Proxy(rig, binary, name, node, redis_port) for name in ("one", "two"))
        alone = Proxy(rig, binary, "alone", node, None)
        pages = [f"/page/{n}" for n in range(count)]
        crowd(alone.port, [f"/warm/{n}" for n in range(500)], node)
        crowd(one.port, [f"/warm/{n}" for n in range(500)], node)
        print("from a node, without Redis        ", passed(alone, node, pages))
        print("from a node, not in Redis         ", passed(one, node, pages))
        all_written(one)
        print("from Redis (another one's)        ", passed(two, node, pages))
        print("from memory                       ", passed(two, node, pages))
        two.stop()
        began = time.monotonic()
        two.start()
        up = time.monotonic() - began
        row = passed(two, node, pages)
        print(f"after a restart ({up:.2f} s)          ", row)
        print(f"  hit rate of its first pass: {1 - row.asked / count:.1%}")
        os.kill(redis, signal.SIGSTOP)
        row = passed(two, node, [f"/hang/{n}" for n in range(count)])
        print("from a node, Redis hangs          ", row, f" slowest {1e3 * row.waits[-1]:.1f} ms")
        os.kill(redis, signal.SIGCONT)
        deadline = time.monotonic() + 10
        began = time.monotonic()
        while two.metric("cache_tier_up") != 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        print(f"  used again {time.monotonic() - began:.2f} s after it went on")
    except BaseException:
        print("\n".join(rig.last_words()), file=sys.stderr)
        raise
    finally:
        rig.end()


def main():
    """The command."""
    parser = argparse.ArgumentParser(prog="bench-shared.sh")
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument("--size", type=int, default=4_096)
    given = parser.parse_args()
    if LOAD_CORE is None:
        raise Failed("this needs two cores: one for the proxies, one for nodes and load")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16_384), most))
    binary = given.binary or build()
    os.sched_setaffinity(0, {LOAD_CORE})
    told(binary, given.pages, given.size)


if __name__ == "__main__":
    try:
        main()
    except Failed as why:
        sys.exit(f"bench-shared: {why}")
