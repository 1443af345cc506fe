"""The folder, the ports and the processes of a run.

Whatever was started here is ended by `end`, with every process it has started itself; nothing else ever is.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# The proxy that is measured is alone on the first; everything else, this program too, is on the second.
PROXY_CORE, LOAD_CORE = (sorted(os.sched_getaffinity(0)) + [None, None])[:2]
ROOM = 1 << 30  # bytes that have to be free in memory for the caches and logs of a run
GRACE = 5  # seconds a process has to end by itself
BORN = 19  # the start time among the fields of /proc/PID/stat that `stat_fields` gives


class Failed(Exception):
    """Why there is no result, in words for whoever started the run."""


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, which may hold blanks; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def with_descendants(roots):
    """`roots` and every process below them."""
    parents = {int(name): stat_fields(name) for name in os.listdir("/proc") if name.isdigit()}
    family, fresh = set(), set(roots)
    while fresh:
        family |= fresh
        fresh = {pid for pid, fields in parents.items() if fields and int(fields[1]) in fresh} - family
    return family


class Rig:
    """Starts and ends what one scenario needs, in a folder of its own."""

    def __init__(self):
        memory = Path("/dev/shm")
        roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM
        self.folder = Path(tempfile.mkdtemp(prefix="bench-peers-", dir=memory if roomy else None))
        self.folder.chmod(0o755)  # workers of nginx run as somebody else when we are root
        self.processes = []
        self.ports = set()

    def port(self):
        """A free port of 127.0.0.1, another one each time."""
        while True:
            with socket.create_server(("127.0.0.1", 0)) as held:
                port = held.getsockname()[1]
            if port not in self.ports:
                self.ports.add(port)
                return port

    def write(self, path, text):
        """A file of this run; returns its path."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def expected(self, ask):
        """The body that the origin has for this request."""
        return (self.folder / "files" / ask.path[1:]).read_bytes()

    def start(self, name, command, core=PROXY_CORE, out=None):
        """Starts a process on one core; its words go to files, standard output to the end of `out` if given."""
        with open(out or self.folder / f"{name}.out", "ab") as said, open(self.folder / f"{name}.err", "ab") as err:
            words = ["taskset", "-c", str(core), *map(str, command)]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=err)
        self.processes.append(process)
        return process.pid

    def last_words(self):
        """What the processes said on standard error last."""
        words = []
        for file in sorted(self.folder.glob("*.err")):
            lines = file.read_text(errors="replace").splitlines()[-5:]
            words += [f"{file.stem}: {line}" for line in lines]
        return words

    def end(self):
        """Ends every process and removes the folder."""
        roots = [process.pid for process in self.processes if process.poll() is None]
        born = {pid: stat_fields(pid)[BORN:][:1] for pid in with_descendants(roots)}
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE
        for process in self.processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # A child of somebody who had to be killed has not been told; when it was born tells it from a namesake.
        for pid, when in born.items():
            if when and stat_fields(pid)[BORN:][:1] == when:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
