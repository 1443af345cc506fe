#!/usr/bin/env python3
"""What a request costs a server in CPU time, for several servers in turn.

    cpu_per_request.py [--rounds N] [--secs N] [--conns N] [--size BYTES] NAME=PID=URL ...

A round sends each server a few seconds of load (wrk, on the second core) while the server has the first core to
itself, and divides the processor time that the server and its children used by the requests they answered. Rounds
are interleaved, so that whatever else the machine does meets every server alike. Prints a Markdown table: the median
of the rounds, their spread, and the ratio to the first server.

Processor time per request stays comparable on a busy or small machine where requests per second does not. It never
starts or ends a server; it only binds the ones it is given to the first core.
"""
import argparse
import os
import re
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


def wait_until_it_answers(name, url, size):
    """Refuses to measure a server that does not answer as it should."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                body = answer.read()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer at {url}: {error}")
            time.sleep(0.1)
    if len(body) != size:
        sys.exit(f"{name} answers {len(body)} bytes at {url} instead of {size}")


def load(url, conns, secs):
    """Requests answered during `secs` of load, and whether any went wrong."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{conns}", f"-d{secs}s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=secs + 15).stdout
    answered = int(re.search(r"(\d+) requests in", said).group(1))
    wrong = re.findall(r"Non-2xx[^\n]*|Socket errors[^\n]*", said)
    return answered, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=PID=URL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--conns", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024, help="bytes of body that every answer must have")
    args = parser.parse_args()
    servers = []
    for given in args.servers:
        name, pid, url = given.split("=", 2)
        wait_until_it_answers(name, url, args.size)
        family = with_descendants(int(pid))
        bind(family, SERVER_CORE)
        servers.append((name, family, url))
        load(url, args.conns, 1)  # connections and caches are warm from here on

    costs = {name: [] for name, _, _ in servers}
    for _ in range(args.rounds):
        for name, family, url in servers:
            before = processor_seconds(family)
            answered, wrong = load(url, args.conns, args.secs)
            spent = processor_seconds(family) - before
            if wrong or not answered:
                sys.exit(f"{name}: {answered} requests answered, {'; '.join(wrong) or 'nothing said'}: not a measurement")
            costs[name].append(1e6 * spent / answered)

    first = statistics.median(costs[servers[0][0]])
    print(f"| server | CPU µs a request | {args.rounds} rounds | ratio to {servers[0][0]} |")
    print("|---|---:|---|---:|")
    for name, rounds in costs.items():
        middle = statistics.median(rounds)
        print(f"| {name} | {middle:.1f} | {min(rounds):.1f} to {max(rounds):.1f} | {middle / first:.2f} |")


if __name__ == "__main__":
    main()
