"""What is measured: each scenario is a request, the features that are on, and who takes part."""
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import compressed
import proxies
from measure import STREAMS, Ask
from proxies import LOGGED, Features

ALL = ("nginx", "HAProxy", "Varnish", "Tidegate")
SECURED = ("nginx", "Tidegate")
PASSING = ("nginx", "HAProxy", "Tidegate")  # Varnish is a cache
HELD = 5000  # connections


@dataclass(frozen=True)
class Scenario:
    """One table."""

    name: str
    title: str
    ask: Ask
    features: Features = Features()
    kinds: tuple = ALL
    rounds: int = 5
    how: str = "full"  # the load: full, half, or idle
    conns: tuple = ()  # one row of Tidegate for each
    note: str = ""


def hit(name, title, ask, log=False, large=False, **rest):
    """A scenario of answers from the cache of each."""
    return Scenario(name, title, ask, Features(cache=True, log=log, large=large), **rest)


SMALL = Ask("/1k")
# varnishncsa, beside Varnish, leaves lines out at this load, so that there is nothing to compare.
LINES = "A line for each request in a file: " + "; ".join(f"{kind} {what}" for kind, what in LOGGED.items()) + "."
BUFFERS = "Buffers of 64 KiB for nginx (and no temporary files) and for HAProxy: theirs as they come cost them more."
SCENARIOS = (
    hit("hit-1k", "Hit of 1 KiB", SMALL),
    hit("hit-1k-logged", "Hit of 1 KiB, access logs on", SMALL, log=True, kinds=PASSING, note=LINES),
    hit("hit-64k", "Hit of 64 KiB", Ask("/64k"), large=True, rounds=3),
    hit("hit-1m", "Hit of 1 MiB", Ask("/1m"), large=True, rounds=3),
    Scenario(
        "compressed",
        "64 KiB of JSON that leave compressed from the cache",
        Ask("/records.json", "gzip"),
        Features(cache=True, compress=True),
        rounds=3,
    ),
    Scenario("proxied-1k", "1 KiB that is passed on", SMALL, kinds=PASSING),
    Scenario(
        "proxied-1k-logged",
        "1 KiB that is passed on, access logs on",
        SMALL,
        Features(log=True),
        kinds=PASSING,
        rounds=3,
        note=LINES,
    ),
    Scenario(
        "proxied-1m", "1 MiB that is passed on", Ask("/1m"), Features(large=True), kinds=PASSING, rounds=3, note=BUFFERS
    ),
    Scenario("post-1k", "POST of 1 KiB that is passed on, 1 KiB back", Ask("/1k", post=True), kinds=PASSING),
    hit("new-connection", "Hit of 1 KiB on a connection of its own", Ask("/1k", close=True)),
    hit("hit-1k-tls", "Hit of 1 KiB over TLS, HTTP/1.1", Ask("/1k", tls=True), kinds=SECURED),
    hit(
        "hit-1k-h2",
        "Hit of 1 KiB over TLS, HTTP/2",
        Ask("/1k", tls=True, h2=True),
        kinds=SECURED,
        note=f"Load from h2load, {STREAMS} requests at a time on each connection.",
    ),
    hit(
        "handshakes",
        "Full handshake (ECDSA P-256) and a hit of 1 KiB",
        Ask("/1k", close=True, tls=True),
        kinds=SECURED,
        note="Each request on a connection of its own, with nothing to resume; 1,000,000 ÷ µs are handshakes a CPU second.",
    ),
    hit(
        "half-load",
        "Hit of 1 KiB at half load",
        SMALL,
        rounds=3,
        how="half",
        note="Load comes on as many connections (1 to 8, each asks anew when it has its answer) as keep the server's core"
        " nearest to half busy; see the column for how busy that was.",
    ),
    hit("connections", "Hit of 1 KiB on few and on many connections", SMALL, kinds=("Tidegate",), conns=(64, 8, 512)),
    Scenario(
        "idle",
        f"Idle: {HELD} connections held after a hit of 1 KiB each",
        SMALL,
        Features(cache=True, crowd=True),
        how="idle",
        note="What the kernel keeps for a connection is not in it. nginx sets aside its connections when it starts.",
    ),
)


def write_files(rig):
    """What the origin has; digits that nobody can guess, the same in every run."""
    digits = random.Random(7)
    rig.write("files/1k", "x" * 1024)
    for name, size in (("64k", 1 << 16), ("1m", 1 << 20)):
        rig.write(f"files/{name}", digits.randbytes(size // 2).hex())
    records = [sys.executable, Path(__file__).with_name("records.py"), str(1 << 16)]
    rig.write("files/records.json", subprocess.run(records, capture_output=True, text=True, check=True).stdout)


def starters(scenario, binary):
    """Functions that start those who take part, in the order of the table; the first of a kind stands for it."""
    here = proxies.installed() | ({"Tidegate"} if binary else set())
    nginxes = (compressed.nginx_in_two_tiers, proxies.nginx) if scenario.features.compress else (proxies.nginx,)
    if scenario.features.compress:
        own = compressed.tidegate(binary)
    elif scenario.conns:
        own = proxies.tidegate_of_many_sizes(binary, scenario.conns)
    else:
        own = proxies.tidegate(binary)
    all_kinds = {"nginx": nginxes, "HAProxy": (proxies.haproxy,), "Varnish": (proxies.varnish,), "Tidegate": (own,)}
    return [start for kind in scenario.kinds if kind in here for start in all_kinds[kind]]
