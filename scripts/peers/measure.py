"""What one server costs under one kind of load, and whether it did what was to be measured.

Processor time and memory are those of the server's processes and all their children, from /proc; load comes from wrk.
Nothing is started here but the load, and no server is ended.
"""
from __future__ import annotations  # a python3 of Debian 11 cannot do without

import os
import re
import selectors
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from rig import Failed, stat_fields, with_descendants

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}
POST_BODY = "x" * 1024
STREAMS = 10  # requests of a connection at a time, over HTTP/2: what a page asks for at once


@dataclass(frozen=True)
class Ask:
    """A request, sent again and again."""

    path: str
    encoding: str = ""  # what it accepts
    post: bool = False  # with a body of 1 KiB
    close: bool = False  # on a connection of its own
    tls: bool = False
    h2: bool = False  # HTTP/2, by ALPN


@dataclass
class Server:
    """One row of a table: a server that runs, and what it is asked."""

    kind: str  # nginx, HAProxy, Varnish or Tidegate
    name: str
    port: int
    ask: Ask
    pids: list  # its first processes
    log: Path | None = None  # its access log, when it writes one
    conns: int = 64
    wire: int = 0  # bytes of an answer's body
    family: set = field(default_factory=set)

    @property
    def url(self):
        return f"http{'s' if self.ask.tls else ''}://127.0.0.1:{self.port}{self.ask.path}"


@dataclass(frozen=True)
class Sample:
    """One round of load."""

    answered: int
    cost: float  # microseconds of processor time a request
    rate: float  # requests a second
    p99: float  # milliseconds
    busy: float  # share of its core


def processor_seconds(family):
    """User and system time of these processes, all their threads included."""
    return sum(sum(map(int, stat_fields(pid)[11:13])) for pid in family) / TICKS_PER_SECOND


def resident_bytes(family):
    """What these processes hold in memory; pages they share count for each."""
    return sum(int(fields[21]) for fields in map(stat_fields, family) if fields) * PAGE


def verify(server, expected, folder):
    """Waits until the server answers; refuses to measure one that does not give `expected` as it is asked to."""
    ask, body, head = server.ask, folder / "got.body", folder / "got.head"
    command = ["curl", "-s", "--max-time", "5", "-o", body, "-D", head, "-w", "%{http_code} %{size_download} %{http_version}"]
    if ask.encoding:
        command += ["--compressed", "-H", f"Accept-Encoding: {ask.encoding}"]
    if ask.post:
        command += ["--data-binary", POST_BODY, "-H", "Content-Type: text/plain"]
    if ask.close:
        command += ["-H", "Connection: close"]
    if ask.tls:  # of a key of ours, made for this run
        command += ["--insecure", "--http2" if ask.h2 else "--http1.1"]
    deadline = time.monotonic() + 10
    while (said := subprocess.run([*command, server.url], capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            raise Failed(f"{server.name} does not answer at {server.url}: curl ends with {said.returncode}")
        time.sleep(0.1)
    status, wire, version = said.stdout.split()
    encoded = re.findall(r"(?im)^content-encoding: *(\S+)", head.read_text())
    if status != "200" or body.read_bytes() != expected:
        raise Failed(f"{server.name} answers {status} and {body.stat().st_size} bytes, which are not those of the origin")
    if ask.tls and version != ("2" if ask.h2 else "1.1"):
        raise Failed(f"{server.name} speaks HTTP/{version} where the other one is measured")
    if encoded != ([ask.encoding] if ask.encoding else []):
        raise Failed(f"{server.name} answers with Content-Encoding {encoded} to a client of {ask.encoding or 'none'}")
    server.family = with_descendants(server.pids)
    server.wire = int(wire)


def load(server, secs, folder):
    """One round; an answer that is not a 200, or a connection that breaks, is no measurement."""
    ask = server.ask
    if ask.h2:
        return load_h2(server, secs, folder)
    command = ["wrk", "-t1", f"-c{server.conns}", f"-d{secs}s", "--latency", server.url]
    if ask.encoding:
        command += ["-H", f"Accept-Encoding: {ask.encoding}"]
    if ask.close:
        command += ["-H", "Connection: close"]
    if ask.post:
        script = folder / "post.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = "{POST_BODY}"\nwrk.headers["Content-Type"] = "text/plain"\n')
        command += ["-s", script]
    said, spent, took = run(server, command, secs)
    answered = int(re.search(r"(\d+) requests in", said)[1])
    wrong = re.findall(r"Non-2xx[^\n]*|Socket errors[^\n]*", said)
    if wrong or not answered or not spent:
        raise Failed(f"{server.name}: {answered} requests answered, {'; '.join(wrong) or 'nothing said'}: not a measurement")
    number, unit = re.search(r"\b99% +([\d.]+)(\w+)", said).groups()
    rate = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
    return Sample(answered, 1e6 * spent / answered, rate, float(number) * MICROSECONDS[unit] / 1e3, spent / took)


def run(server, command, secs):
    """What a load generator says, the processor time the server spent meanwhile, and how long it took."""
    before, began = processor_seconds(server.family), time.monotonic()
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=secs + 15).stdout
    return said, processor_seconds(server.family) - before, time.monotonic() - began


def load_h2(server, secs, folder):
    """The same over HTTP/2: on each connection as many requests at a time as keep it busy."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{server.conns}", f"-m{STREAMS}", f"-D{secs}", f"--log-file={log}", server.url]
    try:
        said, spent, took = run(server, command, secs)
    except subprocess.TimeoutExpired:  # now and then it waits for ever when its time is over; a server that hangs does so again
        said, spent, took = run(server, command, secs)
    done, bad = re.search(r"requests: \d+ total.* (\d+) succeeded, (\d+) failed", said).groups()
    answered = int(re.search(r"status codes: (\d+) 2xx", said)[1])
    if int(bad) or not answered or not spent or answered != int(done):
        raise Failed(f"{server.name}: {answered} requests answered, {bad} failed: not a measurement\n{said}")
    rate = float(re.search(r"([\d.]+) req/s", said)[1])
    took_each = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    p99 = took_each[len(took_each) * 99 // 100] / 1e3
    log.unlink()
    return Sample(answered, 1e6 * spent / answered, rate, p99, spent / took)


def half_busy(server, folder):
    """Sets as many connections as keep the server about half busy, each asking as soon as it has its answer."""
    shares = {}
    for conns in (1, 2, 3, 4, 6, 8):
        server.conns = conns
        shares[conns] = load(server, 1, folder).busy
        if shares[conns] > 0.5:
            break
    server.conns = min(shares, key=lambda conns: abs(shares[conns] - 0.5))


class Log:
    """Counts the lines of an access log and throws them away, so that hours of load would fit."""

    def __init__(self, path):
        self.path, self.lines = path, 0

    def take(self):
        """Counts what was written since the last time. Its writers append, so they need not know."""
        with open(self.path, "rb+") as file:
            while block := file.read(1 << 20):
                self.lines += block.count(b"\n")
            file.truncate(0)

    def expect(self, name, answered):
        """Refuses a log that has not got a line for each answer, 5 seconds after the last."""
        deadline = time.monotonic() + 5
        while self.lines < answered:
            if time.monotonic() > deadline:
                raise Failed(f"{name} wrote {self.lines} lines into its access log for {answered} answers")
            time.sleep(0.2)
            self.take()


class Origin:
    """What the origin was asked, by its own count."""

    def __init__(self, address, status_url):
        self.address, self.status_url, self.looks = address, status_url, 0

    def asked(self):
        """Requests of others so far."""
        with urllib.request.urlopen(self.status_url, timeout=5) as answer:
            words = answer.read().split()
        self.looks += 1
        return int(words[9]) - self.looks


def hold(server, count, size):
    """Opens `count` connections, has one request of each answered; resident bytes before it and while all are held."""
    request = f"GET {server.ask.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    before, held = resident_bytes(server.family), []
    with selectors.DefaultSelector() as ended:
        try:
            for _ in range(count):
                held.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
                held[-1].sendall(request)
                answer = bytearray()
                while len(answer) < size or len(answer) < answer.find(b"\r\n\r\n") + 4 + size:
                    piece = held[-1].recv(1 << 16)
                    if not piece:
                        raise Failed(f"{server.name} closed a connection that was to be held, the {len(held)}th")
                    answer += piece
                ended.register(held[-1], selectors.EVENT_READ)
            time.sleep(1)  # what is done behind the answers is done, and memory given back
            if gone := ended.select(0):
                raise Failed(f"{server.name} closed {len(gone)} of {count} connections that were to be held")
            return before, resident_bytes(server.family)
        except OSError as error:
            raise Failed(f"{server.name} does not take the {len(held)}th connection that is to be held: {error}") from error
        finally:
            for connection in held:
                connection.close()
