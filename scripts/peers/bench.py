#!/usr/bin/env python3
"""Runs the scenarios of scripts/bench-peers.sh, which says what for and has the options explained.

Every server is checked before it is measured and watched while it is: an answer that is not the origin's, a hit that
reached the origin, a request that did not, a broken connection end the run without a result.
"""
import argparse
import datetime
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import proxies
from measure import Log, half_busy, hold, load, resident_bytes, verify
from report import Row, scenario_lines, summary_lines
from rig import LOAD_CORE, Failed, Rig
from scenarios import HELD, SCENARIOS, starters, write_files

ROOT = Path(__file__).resolve().parents[2]
FILES_FOR_A_CROWD = 13_000  # descriptors: a proxy may need two for each connection
SECS = 2
SHORT = {"hits": "hit-1k,hit-1k-logged", "compressed": "compressed", "tls": "hit-1k-tls,hit-1k-h2,handshakes"}


def options():
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="bench-peers.sh", usage="%(prog)s [OPTION]...; see --help", add_help=False)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", help=argparse.SUPPRESS)
    for name, names in SHORT.items():
        which.add_argument(f"--{name}", dest="only", action="store_const", const=names, help=argparse.SUPPRESS)
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)
    who.add_argument("--binary", type=Path, help=argparse.SUPPRESS)
    for name in ("--keep", "--list"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    for name, default in (("--rounds", None), ("--secs", SECS)):
        parser.add_argument(name, type=int, choices=range(1, 61), metavar="N", default=default, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(only):
    """The scenarios of these names, in their usual order."""
    if only is None:
        return list(SCENARIOS)
    names = set(only.split(","))
    if unknown := names - {scenario.name for scenario in SCENARIOS}:
        raise Failed(f"no scenario is called {', '.join(sorted(unknown))}; --list says which there are")
    return [scenario for scenario in SCENARIOS if scenario.name in names]


def prepare(scenarios):
    """Refuses what could only fail later, and takes the second core for this program and what it starts."""
    for tool in ("nginx", "wrk", "curl", "taskset"):
        if not shutil.which(tool):
            raise Failed(f"{tool} is missing; scripts/setup.sh --bench gets it")
    for tool, needed in (("h2load", any(s.ask.h2 for s in scenarios)), ("openssl", any(s.ask.tls for s in scenarios))):
        if needed and not shutil.which(tool):
            raise Failed(f"{tool} is missing; scripts/setup.sh --bench gets it")
    if LOAD_CORE is None:
        raise Failed("this needs two cores: one for the proxy, one for origin and load")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FILES_FOR_A_CROWD and any(s.how == "idle" for s in scenarios):
        raise Failed(f"`ulimit -Hn` is {most}, the scenario idle needs {FILES_FOR_A_CROWD}: raise it, or use --only")
    enough = FILES_FOR_A_CROWD if most == resource.RLIM_INFINITY else min(most, FILES_FOR_A_CROWD)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


def build():
    """The working tree's own Tidegate, built for release."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "tidegate", "--manifest-path", ROOT / "Cargo.toml"]
    if subprocess.run(command, check=False).returncode:
        raise Failed("Tidegate cannot be built; --peers measures the others, --binary another one")
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "tidegate"


def measured(scenario, row, origin, secs, folder):
    """One round of one server; where its answers came from is part of what is measured."""
    before = origin.asked()
    sample = load(row.server, secs, folder)
    asked = origin.asked() - before
    if scenario.features.cache and asked:
        raise Failed(f"{row.server.name} asked the origin {asked} times for {sample.answered} answers: not all were hits")
    if not scenario.features.cache and asked < sample.answered:
        raise Failed(f"{row.server.name} asked the origin {asked} times for {sample.answered} answers")
    return sample


def under_load(scenario, rows, origin, rig, rounds, secs):
    """All rounds of all servers."""
    logs = {row.server.name: Log(row.server.log) for row in rows if row.server.log}
    answered = dict.fromkeys(logs, 0)
    for row in rows:
        if scenario.how == "half":
            half_busy(row.server, rig.folder)
        else:
            measured(scenario, row, origin, 1, rig.folder)  # connections and caches are warm from here on
    time.sleep(1.5 if logs else 0)  # what is buffered is flushed each second
    for log in logs.values():
        log.take()
        log.lines = 0
    for _ in range(rounds):
        for row in rows:
            sample = measured(scenario, row, origin, secs, rig.folder)
            row.samples.append(sample)
            if log := logs.get(row.server.name):
                answered[row.server.name] += sample.answered
                log.take()
    for name, log in logs.items():
        log.expect(name, answered[name])


def run(scenario, binary, rounds, secs):
    """The rows of one scenario."""
    rig = Rig()
    try:
        write_files(rig)
        origin = proxies.origin(rig)
        rows = [
            Row(server)
            for start in starters(scenario, binary)
            for server in start(rig, origin.address, scenario.ask, scenario.features)
        ]
        for row in rows:
            verify(row.server, rig.expected(row.server.ask), rig.folder)
        if scenario.how == "idle":
            for row in rows:
                before, row.resident = hold(row.server, HELD, len(rig.expected(row.server.ask)))
                row.grown = (row.resident - before) / HELD
        else:
            under_load(scenario, rows, origin, rig, rounds, secs)
        for row in rows:
            wire = row.server.wire
            verify(row.server, rig.expected(row.server.ask), rig.folder)
            # Who compresses every time need not end up with the same byte; more than that, and two answers were measured.
            if abs(row.server.wire - wire) > wire / 100:
                raise Failed(f"{row.server.name} answered {wire} bytes before the measurement, {row.server.wire} after it")
            row.resident = row.resident or resident_bytes(row.server.family)
        return rows
    except (Failed, subprocess.SubprocessError) as error:
        raise Failed("\n  ".join([f"{scenario.name}: {error}", "what the servers said:", *rig.last_words()])) from error
    finally:
        rig.end()


def processor():
    """What the machine calls its processor."""
    return re.search(r"(?m)^model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]


def heading(binary, secs):
    """What was measured, on what, how."""
    return [
        "## What a request costs",
        "",
        f"- machine: {os.cpu_count()} cores, {processor()}",
        *(f"- {version}" for version in proxies.versions(binary)),
        f"- rounds of {secs} s, interleaved; 64 connections where nothing else is said; one core for the proxy",
    ]


def keep(lines):
    """Adds the report to those of this day and processor."""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    kept = ROOT / "benches" / "runs" / f"{today}-{slug}.md"
    kept.parent.mkdir(parents=True, exist_ok=True)
    already = kept.exists() and kept.stat().st_size
    with open(kept, "a", encoding="utf-8") as file:
        file.write(("\n" if already else "") + "\n".join(lines) + "\n")
    print(f"\nkept in {kept.relative_to(ROOT)}")


def main():
    given = options()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda got, _: sys.exit(128 + got))  # leaving ends what was started, dying does not
    scenarios = chosen(given.only)
    if given.list:
        print("\n".join(f"{scenario.name:18} {scenario.title}" for scenario in scenarios))
        return
    prepare(scenarios)
    binary = None if given.peers else given.binary.resolve() if given.binary else build()
    if binary and not os.access(binary, os.X_OK):
        raise Failed(f"{binary} is no program")
    os.sched_setaffinity(0, {LOAD_CORE})
    began, results = time.monotonic(), []
    lines = heading(binary, given.secs)
    print("\n".join(lines), flush=True)
    for scenario in scenarios:
        if given.peers and scenario.kinds == ("Tidegate",):
            continue
        rows = run(scenario, binary, given.rounds or scenario.rounds, given.secs)
        results.append((scenario, rows))
        lines += ["", *scenario_lines(scenario, rows)]
        print("", *scenario_lines(scenario, rows), sep="\n", flush=True)
    took = divmod(round(time.monotonic() - began), 60)
    end = ["", *summary_lines(results), "", f"All of it took {took[0]} min {took[1]} s."]
    print(*end, sep="\n")
    if given.keep:
        keep(lines + end)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
