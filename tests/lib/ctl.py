"""bearerctl as people and scripts run it, and a bearerd for it to talk to."""
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import tempfile
import termios
import time

from lib.daemon import ALARM, Bearerd
from lib.sim import Sim
from lib.util import PATIENCE, program, wait_until

OK, FAILED, USAGE, UNREACHABLE, FORBIDDEN, PARTLY = range(6)
OURS = ("BEARERD_URL", "BEARERD_TOKEN", "XOAUTH2_PROXY_URL", "NO_COLOR", "COLUMNS", "HOME", "TERM",
        "BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


class Done:
    """How a run of bearerctl ended."""

    def __init__(self, code, out, err):
        self.code, self.raw, self.err = code, out, err.decode("utf-8", "backslashreplace")
        self.out = out.decode("utf-8", "backslashreplace")
        assert not ALARM.search(self.err), self.err

    def __repr__(self):
        return "<exit code %d\n%s\n--- stderr\n%s>" % (self.code, self.out, self.err)

    @property
    def lines(self):
        return self.out.splitlines()

    def json(self):
        return json.loads(self.out)

    def ndjson(self):
        return [json.loads(line) for line in self.lines]

    def table(self):
        """Rows of a table as dictionaries by title. Columns are where the titles
        begin (or end, for numbers): cells hold no two blanks in a row."""
        split = [[cell for cell in line.split("  ") if cell.strip()] for line in self.lines]
        titles = [title.strip() for title in split[0]]
        return [dict(zip(titles, [cell.strip() for cell in row])) for row in split[1:]
                if len(row) == len(titles)]


def environment(more):
    """Nothing of whoever runs the tests."""
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    env.update({"HOME": "/nonexistent", "TERM": "xterm", "LC_ALL": "C"}, **(more or {}))
    return env


class Ctl:
    """ctl("accounts", "list") runs bearerctl against a URL (a Bearerd's admin
    port, or anything else that answers)."""

    def __init__(self, url=None, **env):
        self.env = dict(env)
        if url:
            self.env["BEARERD_URL"] = url
        self.cwd = tempfile.gettempdir()

    def __call__(self, *args, stdin=b"", env=None, cwd=None):
        done = subprocess.run(program("bearerctl") + [str(arg) for arg in args], input=stdin,
                              capture_output=True, timeout=60 * PATIENCE, cwd=cwd or self.cwd,
                              env=environment(dict(self.env, **(env or {}))))
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **options):
        done = self(*args, **options)
        assert done.code == OK, done
        return done

    def terminal(self, *args, **options):
        return Terminal(args, env=self.env, **options)


class Terminal:
    """bearerctl on a pseudo-terminal: standard input, standard error and, unless
    `stdout` is given, standard output."""

    def __init__(self, args, env=None, rows=24, columns=80, stdout=None):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(program("bearerctl") + [str(arg) for arg in args],
                                        stdin=self.slave, stdout=stdout or self.slave,
                                        stderr=self.slave, env=environment(env),
                                        cwd=tempfile.gettempdir(), start_new_session=True)
        self.shown = b""

    def read(self, wait):
        ready, _, _ = select.select([self.master], [], [], wait)
        if ready:
            self.shown += os.read(self.master, 65536)
        return bool(ready)

    def expect(self, text, after=0, timeout=20):
        """Waits until `text` is shown, behind the octet `after`; returns where it ends."""
        end = time.monotonic() + timeout * PATIENCE
        while text not in self.shown[after:]:
            assert time.monotonic() < end, (text, self.shown)
            self.read(0.1)
        return self.shown.index(text, after) + len(text)

    def flags(self):
        return termios.tcgetattr(self.slave)[3]

    def echoes(self):
        return bool(self.flags() & termios.ECHO)

    def type(self, text):
        os.write(self.master, text)

    def type_unseen(self, text):
        wait_until(lambda: not self.echoes(), what="a terminal that does not show what is typed")
        self.type(text)

    def end(self, timeout=20):
        """The exit code. What was shown stays in `shown`, the terminal is closed."""
        end = time.monotonic() + timeout * PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, self.shown
            self.read(0.05)
        while self.read(0):
            pass
        self.left_echoing = self.echoes()
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode


class World:
    """A simulated provider, bearerd with some of its accounts, and bearerctl."""

    def __init__(self, certs, accounts=4, known=3, conf=None, **options):
        self.sim = Sim(accounts=accounts, certs=certs)
        try:
            self.records = self.sim.accounts()
            self.daemon = Bearerd(certs, self.records[:known], conf, **options)
        except BaseException:
            self.sim.stop()
            raise
        self.url = "http://127.0.0.1:%d" % self.daemon.admin_port
        self.socket = self.daemon.dir / "bearerd.sock"
        self.ctl = Ctl(self.url)
        self.owner = Ctl("unix:%s" % self.socket)

    def emails(self):
        return [one["email"] for one in self.ctl.ok("accounts", "list", "--json").json()["accounts"]]

    def states(self):
        listed = self.ctl.ok("accounts", "list", "--json").json()["accounts"]
        return {one["email"]: one["state"] for one in listed}

    def stop(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.kill()
            self.sim.stop()
