"""bearerd as a child process: configuration in, log events out."""
import json
import os
import re
import signal
import subprocess
import tempfile
import pathlib

from lib.admin import Admin
from lib.options import config_file
from lib.util import PATIENCE, Process, children_of, free_port, program, wait_until
from lib.wire import Wire

FIELD = re.compile(r'([A-Za-z_][\w.]*)=("(?:\\.|[^"\\])*"|\S*)')
ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)")
ALARM = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|"
                   r"UndefinedBehaviorSanitizer|Assertion .* failed|SUMMARY: \w+Sanitizer")


def _unescape(match):
    code = match.group(1)
    return chr(int(code[1:], 16)) if len(code) == 3 else code


def parse_line(line):
    """A log line as a dictionary, or None when it is no event. Numbers become
    int, true and false become bool."""
    if line.startswith("{"):
        try:
            return json.loads(line)
        except ValueError:
            return None
    fields = {}
    for key, value in FIELD.findall(line):
        if value.startswith('"'):
            fields[key] = ESCAPE.sub(_unescape, value[1:-1])
        elif re.fullmatch(r"-?\d+", value):
            fields[key] = int(value)
        else:
            fields[key] = {"true": True, "false": False}.get(value, value)
    return fields if "event" in fields else None


def account(email, server, tokens, /, **more):
    """A record of accounts.json. `server`: something with a port, or a port;
    `tokens`: something with a url, or a URL."""
    name = email.split("@")[0]
    record = {
        "account_id": "acc-" + name,
        "email": email,
        "ip_address": "",
        "vmta_name": "vmta-" + name,
        "provider": "gmail",
        "client_id": "client",
        "client_secret": "client-secret",
        "refresh_token": "refresh-" + name,
        "oauth_endpoint": "localhost:%d" % getattr(server, "port", server),
        "oauth_token_url": getattr(tokens, "url", tokens),
    }
    record.update(more)
    return record


def password_hash(password):
    """As an administrator makes it."""
    done = subprocess.run(program("bearerctl") + ["passwd"], input=password.encode() + b"\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    match = re.search(r"\$argon2id\$\S+?(?=[\"\s]|$)", text)
    assert match, text
    return match.group()


class Bearerd:
    """`conf`: options by dotted names. `listeners`: a list of (address, tls);
    without it one plain listener on `port`."""

    def __init__(self, certs=None, accounts=(), conf=None, listeners=None, args=(), start=True,
                 raw_config=None, env=None, log_level="debug", port=None, ca=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bearerd-test-"))
        self.config = self.dir / "config.yaml"
        self.accounts = self.dir / "accounts.json"
        self.port = port or free_port()
        self.admin_port = free_port()
        self.certs = certs
        self.listeners = listeners
        self.conf = dict(conf or {})
        self.env = env
        self.events_seen = []
        self.write_config(raw_config)
        self.write_accounts(accounts)
        self.args = ["--config", self.config, "--accounts", self.accounts,
                     "--admin-host", "127.0.0.1", "--admin-port", self.admin_port]
        if listeners is None:
            self.args += ["--host", "127.0.0.1", "--port", self.port]
        if log_level:
            self.args += ["--log-level", log_level]
        if ca or certs:
            self.args += ["--ca-file", ca or certs.ca]
        self.args += list(args)
        self.process = None
        if start:
            self.start()

    @property
    def admin(self):
        """The admin API as any program on this machine sees it."""
        return Admin(self.admin_port)

    @property
    def owner(self):
        """The admin API on its unix socket."""
        return Admin(unix=self.dir / "bearerd.sock")

    # --- files ------------------------------------------------------------

    def write_config(self, raw=None):
        self.config.write_text(raw if raw is not None else
                               config_file(self.conf, self.listeners, self.certs))

    def write_accounts(self, accounts):
        if not isinstance(accounts, str):
            accounts = json.dumps(list(accounts), indent=2)
        self.accounts.write_text(accounts)
        self.accounts.chmod(0o600)

    def stored_accounts(self):
        data = json.loads(self.accounts.read_text())
        return data["accounts"] if isinstance(data, dict) else data

    # --- life -------------------------------------------------------------

    def start(self, ready=True, timeout=20):
        self.process = Process(program("bearerd") + self.args, stream="stderr", env=self.env)
        self.process.on_line = self._line
        with self.process._changed:  # lines that came before on_line was set
            self.events_seen = [e for e in map(parse_line, self.process.lines) if e]
        if ready:
            try:
                self.wait_event("ready", timeout)
            except AssertionError:
                self.kill()
                raise
        return self

    def _line(self, line):
        event = parse_line(line)
        if event:
            self.events_seen.append(event)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log_tail())
            self.kill()
        else:
            self.stop()

    @property
    def pid(self):
        return self.process.pid

    def relay_pid(self):
        """The relay process: the only child of the broker."""
        children = children_of(self.broker_pid())
        return children[0] if children else None

    def broker_pid(self):
        return self.pid  # setarch executes bearerd in its own place

    def signal(self, number):
        self.process.signal(number)

    def reload(self):
        self.signal(signal.SIGHUP)

    def stop(self, code=0, timeout=20):
        """Ends it as an operator would; it must end well and in silence."""
        if self.process is None:
            return
        if self.process.popen.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            got = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            self.kill()
            raise AssertionError("bearerd did not end within %g s of SIGTERM\n%s" % (
                timeout * PATIENCE, tail)) from None
        self.check_alarms()
        assert got == code, "bearerd ended with %s\n%s" % (got, self.log_tail())
        self.kill()

    def kill(self):
        if self.process:
            self.process.kill_all()

    def check_alarms(self):
        if any(ALARM.search(line) for line in self.process.lines):
            report = [line for line in self.process.lines if " event=" not in line]
            raise AssertionError("sanitizer or assertion:\n" + "\n".join(report[:120]))
        crashes = [e for e in self.events("relay_exited") if e["signal"] not in (0, 9, 15)]
        assert not crashes, "sanitizer or assertion: the relay crashed: %s" % crashes

    # --- log --------------------------------------------------------------

    def log_tail(self, lines=80):
        return "\n".join(self.process.lines[-lines:])

    def events(self, event=None, **fields):
        return [e for e in list(self.events_seen)
                if (event is None or e["event"] == event)
                and all(e.get(key) == value for key, value in fields.items())]

    def wait_event(self, event, timeout=10, count=1, **fields):
        """The count'th event of that name with these fields."""
        def found():
            matching = self.events(event, **fields)
            return matching[count - 1] if len(matching) >= count else None
        return self.process.wait_for(found, timeout, "event %s %s" % (event, fields or ""))

    def transactions(self, **fields):
        return self.events("transaction", **fields)

    def wait_transactions(self, count, **fields):
        """The log is written in batches, a moment after the client's answer."""
        wait_until(lambda: len(self.transactions(**fields)) >= count, 10, "%d transactions" % count)
        return self.transactions(**fields)

    # --- clients ----------------------------------------------------------

    def client(self, user=None, password="", **options):
        """A connected client; logged in when a user is named."""
        wire = Wire(self.port, **options)
        if user:
            wire.login(user, password)
        return wire

    def send(self, user, rcpts, content=b"Subject: x\r\n\r\nbody\r\n", sender=None, **options):
        """One message on a connection of its own; the final reply."""
        with self.client(user) as wire:
            return wire.message(user if sender is None else sender, rcpts, content, **options)


def run_bearerd(*args, timeout=30, env=None):
    """Runs it to its end: (exit status, standard output, standard error)."""
    done = subprocess.run(program("bearerd") + [str(arg) for arg in args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout * PATIENCE,
                          env=dict(os.environ, **(env or {})))
    stderr = done.stderr.decode("utf-8", "backslashreplace")
    assert not ALARM.search(stderr), stderr
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), stderr


def wait_for_relay(bearerd, other_than=None, timeout=10):
    """The relay's process id, once there is one (other than that)."""
    return wait_until(lambda: bearerd.relay_pid() not in (None, other_than) and bearerd.relay_pid(),
                      timeout, "a relay process")
