#!/usr/bin/env python3
"""What a request costs a server in CPU time, for several servers in turn.

    cpu_per_request.py [--rounds N] [--secs N] [--conns N] [--size BYTES | --size any]
                       [--peers N] [--compare NAME NAME]... 'NAME=PID=URL [ENCODING]' ...

A round sends each server a few seconds of load (wrk, on the second core) while the server has the first core to
itself, and divides the processor time that the server and its children used by the requests they answered. Rounds
are interleaved, so that whatever else the machine does meets every server alike. Prints a Markdown table: the median
of the rounds, their spread, and the ratio to the first server, or to the best of the first N (--peers).

With an ENCODING behind the URL that is what the load accepts, and an answer that is written otherwise is refused. With
--size any the table has the bytes of each answer on the wire, too. --compare says how two servers stand to each other.

Processor time per request stays comparable on a busy or small machine where requests per second does not. It never
starts or ends a server; it only binds the ones it is given to the first core.
"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

SERVER_CORE, LOAD_CORE = 0, 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, which may hold blanks; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def with_descendants(root):
    """`root` and every process below it."""
    parents = {int(name): stat_fields(name) for name in os.listdir("/proc") if name.isdigit()}
    family, fresh = set(), {root}
    while fresh:
        family |= fresh
        fresh = {pid for pid, fields in parents.items() if fields and int(fields[1]) in fresh} - family
    return family


def processor_seconds(pids):
    """User and system time of these processes, all their threads included."""
    ticks = 0
    for pid in pids:
        fields = stat_fields(pid)
        ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS_PER_SECOND


def bind(pids, core):
    """Binds every thread of these processes to one core."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})


def wait_until_it_answers(name, url, encoding, size):
    """Bytes of body on the wire; refuses to measure a server that does not answer as it should."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": encoding or "identity"})
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                body, encoded = answer.read(), answer.headers.get("Content-Encoding", "")
            break
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer at {url}: {error}")
            time.sleep(0.1)
    if encoded != encoding:
        sys.exit(f"{name} answers with Content-Encoding {encoded!r} at {url} instead of {encoding!r}")
    if size is not None and len(body) != size:
        sys.exit(f"{name} answers {len(body)} bytes at {url} instead of {size}")
    return len(body)


def load(url, encoding, conns, secs):
    """Requests answered during `secs` of load, and whether any went wrong."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{conns}", f"-d{secs}s", url]
    if encoding:
        command += ["-H", f"Accept-Encoding: {encoding}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=secs + 15).stdout
    answered = int(re.search(r"(\d+) requests in", said).group(1))
    wrong = re.findall(r"Non-2xx[^\n]*|Socket errors[^\n]*", said)
    return answered, wrong


def size_or_any(text):
    """The argument of --size; None for any."""
    return None if text == "any" else int(text)


def print_table(costs, sizes, peers, rounds):
    """`costs` and `sizes` by name; sizes are left out when all are as they have to be."""
    medians = {name: statistics.median(figures) for name, figures in costs.items()}
    first = list(costs)[0]
    best = min(list(medians.values())[:peers])
    fewest = min(list(sizes.values())[:peers]) if sizes else None
    to_what = first if peers == 1 else "the best peer"
    print(f"| server | CPU µs a request | {rounds} rounds | ratio to {to_what} |", end="")
    print(" bytes of body | ratio to the fewest of a peer |" if sizes else "")
    print("|---|---:|---|---:|" + ("---:|---:|" if sizes else ""))
    for name, figures in costs.items():
        middle = medians[name]
        print(f"| {name} | {middle:.1f} | {min(figures):.1f} to {max(figures):.1f} | {middle / best:.2f} |", end="")
        print(f" {sizes[name]} | {sizes[name] / fewest:.2f} |" if sizes else "")
    return medians


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="'NAME=PID=URL [ENCODING]'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--conns", type=int, default=64)
    parser.add_argument("--size", type=size_or_any, default=1024, help="bytes of body that every answer must have")
    parser.add_argument("--peers", type=int, default=1, help="ratios are to the best of so many, the first ones")
    parser.add_argument("--compare", nargs=2, action="append", default=[], metavar="NAME")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaving ends the load that is under way, dying does not
    servers, sizes = [], {}
    for given in args.servers:
        name, pid, target = given.split("=", 2)
        url, _, encoding = target.partition(" ")
        sizes[name] = wait_until_it_answers(name, url, encoding, args.size)
        family = with_descendants(int(pid))
        bind(family, SERVER_CORE)
        servers.append((name, family, url, encoding))
        load(url, encoding, args.conns, 1)  # connections and caches are warm from here on

    costs = {name: [] for name in sizes}
    for _ in range(args.rounds):
        for name, family, url, encoding in servers:
            before = processor_seconds(family)
            answered, wrong = load(url, encoding, args.conns, args.secs)
            spent = processor_seconds(family) - before
            if wrong or not answered:
                sys.exit(f"{name}: {answered} requests answered, {'; '.join(wrong) or 'nothing said'}: not a measurement")
            costs[name].append(1e6 * spent / answered)
    for name, _, url, encoding in servers:
        size = wait_until_it_answers(name, url, encoding, args.size)
        # Who compresses every time need not end up with the same byte; more than that, and two answers were measured.
        if abs(size - sizes[name]) > sizes[name] / 100:
            sys.exit(f"{name} answered {sizes[name]} bytes before the measurement and {size} after it")

    medians = print_table(costs, sizes if args.size is None else {}, args.peers, args.rounds)
    for name, other in args.compare:
        print(f"\n{name}: {medians[name] / medians[other]:.2f} × {other}")


if __name__ == "__main__":
    main()
