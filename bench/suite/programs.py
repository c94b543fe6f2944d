"""The programs of a benchmark as child processes: bearer-load, its sink,
bearerd. (bearer-sim is lib.sim of the tests.)"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

from lib.options import nested
from lib.sim import Sim
from lib.util import Process, children_of, free_port, program, wait_until

from suite.machine import pin
from suite.result import Skip

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# What the limits of a real provider would hide: connections that live as long
# as the run, any number of logins. Each limit is on, and counts, but is never
# reached: so what it costs is in the figures.
UNLIMITED = {
    "providers.gmail.max_messages_per_connection": 1000000,
    "providers.gmail.connection_max_age": "1d",
    "upstream.logins_per_minute": 100000,
    "providers.gmail.messages_per_minute": 1000000,
    "providers.gmail.messages_per_hour": 100000000,
    "providers.gmail.messages_per_day": 1000000000,
    "providers.gmail.recipients_per_day": 1000000000,
    "providers.gmail.connections_start": 0,
    "upstream.helo": "bench.example",
    "workers": 1,
}


def need(*names):
    """The paths of programs of the build; the part is skipped without them."""
    try:
        return [program(name)[-1] for name in names]
    except AssertionError as why:
        raise Skip(str(why)) from None


class Provider(Sim):
    """A simulator that costs little: no digests, nothing remembered but the last
    messages. Half of its accounts are bearerd's; the others are for going straight to
    it, so that it counts the two apart."""

    def __init__(self, accounts, keep_messages=16, **options):
        super().__init__(accounts=2 * accounts, no_digest=True, keep_messages=keep_messages,
                         **options)
        self.half = accounts

    def relayed(self):
        return self.accounts()[:self.half]

    def straight(self):
        return self.accounts()[self.half:]


def provider(accounts, **options):
    return Provider(accounts, **options)


class Workplace:
    """A directory for the files of one part."""

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bearerd-bench-"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def token_file(self, sim):
        """Users with access tokens, for going straight to the simulator."""
        path = self.dir / "tokens"
        lines = ["%s %s\n" % (one["email"], sim.token(one["email"], 86400))
                 for one in sim.straight()]
        path.write_text("".join(lines))
        return path

    def login_file(self, sim):
        """The same users for bearerd, which trusts the loopback."""
        path = self.dir / "logins"
        path.write_text("".join("%s x\n" % one["email"] for one in sim.relayed()))
        return path


class Sink:
    def __init__(self, cpus=None):
        self.process = Process(program("bearer-load") + ["--sink", "127.0.0.1:0"], stream="stdout")
        line = self.process.wait_for(lambda: next(iter(self.process.lines), None), 10, "\"ready\"")
        self.address = line.split()[1]
        if cpus:
            pin(self.process.pid, cpus)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.signal(signal.SIGTERM)
        self.process.wait()


class Relay:
    """bearerd, logging to a file as in production: one line a message. `accounts`:
    records, "sqlite" for an empty database, or the location of a store."""

    def __init__(self, sim, directory, accounts=None, admin=False, **options):
        self.sim, self.options = sim, dict(UNLIMITED, **options)
        self.port = free_port()
        self.admin_port = free_port() if admin else 0
        self.log = directory / "bearerd.log"
        config, records = directory / "config.yaml", directory / "accounts.json"
        config.write_text(json.dumps(nested(self.options)))
        if accounts == "sqlite":
            for left in directory.glob("accounts.db*"):
                left.unlink()
            records = "sqlite:%s" % (directory / "accounts.db")
        elif isinstance(accounts, str):
            records = accounts
        else:
            records.write_text(json.dumps(sim.relayed() if accounts is None else accounts))
            records.chmod(0o600)
        args = program("bearerd") + ["--config", config, "--accounts", records, "--ca-file", sim.ca,
                                     "--host", "127.0.0.1", "--port", self.port,
                                     "--admin-port", self.admin_port, "--log-level", "info"]
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen([str(arg) for arg in args], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._ready, 30, "bearerd")
        except AssertionError as why:
            self.stop()
            raise AssertionError("%s\n%s" % (why, self.log.read_text()[-4000:])) from None
        self.address = "127.0.0.1:%d" % self.port

    def _ready(self):
        assert self.popen.poll() is None, "it ended"
        return "event=ready" in self.log.read_text()

    @property
    def pid(self):
        """The relay process, the broker's only child."""
        return children_of(self.popen.pid)[0]

    @property
    def broker(self):
        return self.popen.pid

    def counters(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/admin/status" % self.admin_port) as answer:
            return json.load(answer)["counters"]

    def pin(self, cpus):
        pin(self.broker, cpus)
        pin(self.pid, cpus)

    def forget_log(self):
        """Between runs, so that the file does not grow without end."""
        os.truncate(self.log, 0)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind:
                print("bearerd's last words:\n%s" % self.log.read_text(errors="replace")[-2000:],
                      file=sys.stderr)
            else:
                self.check_limits()
        finally:
            self.stop()

    def check_limits(self):
        """One connection too many at the provider, or one message in a minute, and the
        figures are worth nothing."""
        self.sim.check_limits(self.options.get("providers.gmail.max_connections", 10),
                              self.options["providers.gmail.messages_per_minute"],
                              {one["email"] for one in self.sim.relayed()})

    def stop(self):
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(10)


def load(to, cpus=None, strict=True, timeout=300, **options):
    """One run of bearer-load; its result. cpu_of: a list of process ids. Strict: all must
    be accepted."""
    args = program("bearer-load") + ["--to", to, "--json", "-"]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        for one in value if isinstance(value, list) else [value]:
            args += [option] if one is True else [option, str(one)]
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
    if done.returncode != 0:
        raise AssertionError("bearer-load: " + done.stderr.decode(errors="replace"))
    result = json.loads(done.stdout)
    result["report"] = done.stderr.decode(errors="replace")
    if strict and result["accepted"] != result["sent"]:
        raise AssertionError("not all was accepted: " + done.stderr.decode(errors="replace"))
    return result
