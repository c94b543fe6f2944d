"""Ports, waiting, processes: what every helper needs."""
import os
import pathlib
import random
import shlex
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("BEARERD_BUILD", "build")
WRAP = shlex.split(os.environ.get("BEARERD_WRAP", ""))
ASAN = "asan" in BUILD.name
TSAN = "tsan" in BUILD.name
SANITIZED = ASAN or TSAN
# Sanitizers slow bearerd down, and so do busy machines: a factor for waits, not
# for what bearerd itself is told.
PATIENCE = 4 if TSAN else 3 if ASAN else 1

_ports_given = set()
# Test processes that run side by side take their ports from different ranges.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
_FIRST_PORT = 12000 + 2400 * _WORKER


def free_port():
    """A TCP port on loopback that nothing has now, below the range that
    outgoing connections take theirs from, and that we did not give out before."""
    while True:
        port = random.randrange(_FIRST_PORT, _FIRST_PORT + 2400)
        if port in _ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given.add(port)
        return port


def wait_until(condition, timeout=10, what="condition", every=0.01, fail=True):
    """Waits until condition() is true; returns what it returned. Without `fail`
    the last, false value when the time is over."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            if not fail:
                return value
            raise AssertionError("waited %g s in vain for: %s" % (timeout * PATIENCE, what))
        time.sleep(every)


def connectable(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def program(name):
    """A program of this build, as an argument list."""
    for path in (BUILD / name, BUILD / "src" / name, BUILD / "src" / "ctl" / name,
                 BUILD / "src" / "sim" / name, BUILD / "bench" / name):
        if path.exists():
            return WRAP + [str(path)]
    raise AssertionError("%s is not built in %s" % (name, BUILD))


def is_built(name):
    try:
        return bool(program(name))
    except AssertionError:
        return False


class Process:
    """A child process whose output is collected line by line."""

    def __init__(self, args, stream="stderr", env=None, cwd=None, preexec=None):
        self.args = [str(arg) for arg in args]
        self.lines = []
        self.on_line = None
        self._changed = threading.Condition()
        self._ended = False
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
        if stream == "both":
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        environment = dict(os.environ, **(env or {}))
        self.popen = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, env=environment, cwd=cwd,
                                      start_new_session=True, preexec_fn=preexec, **pipes)
        self._pipe = self.popen.stderr if stream == "stderr" else self.popen.stdout
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for raw in self._pipe:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            with self._changed:
                self.lines.append(line)
                if self.on_line:
                    self.on_line(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self.popen.pid

    @property
    def text(self):
        with self._changed:
            return "\n".join(self.lines)

    def wait_for(self, found, timeout, what):
        """Waits until found() is true; looks again after every new line."""
        end = time.monotonic() + timeout * PATIENCE
        with self._changed:
            while True:
                value = found()
                if value:
                    return value
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "%g s passed" % (timeout * PATIENCE)
                    if self._ended:
                        why = "its output ended, status %s" % self.popen.wait(5)
                    tail = "\n".join(self.lines[-60:])
                    raise AssertionError("%s: no %s: %s\n%s" % (self.args[0], what, why, tail))
                self._changed.wait(min(left, 0.5))

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=20):
        code = self.popen.wait(timeout * PATIENCE)
        self._thread.join(5)
        return code

    def kill_all(self):
        """Ends the process and all that it started. Never raises."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self._thread.join(5)


def children_of(pid):
    """Process ids whose parent is `pid`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return sorted(found)


def memory_of(pid):
    """Resident octets of a process."""
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
