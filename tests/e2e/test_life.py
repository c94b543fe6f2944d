"""Start, reload, drain, stop, and what a kill does not break."""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.daemon import account, password_hash, wait_for_relay
from lib.tokens import token_of
from lib.util import PATIENCE, SANITIZED, connectable, wait_until
from lib.wire import Closed, Wire

pytestmark = pytest.mark.tsan
A = "a@example.com"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kill_9_of_the_relay_under_load(start, provider, tokens):
    """Clients reconnect, and nothing that was acknowledged is missing."""
    daemon = start([account("user%d@example.com" % i, provider, tokens) for i in range(4)],
                   log_level="info")
    acknowledged, stopping = [], threading.Event()
    lock = threading.Lock()

    def client(number):
        user, sent = "user%d@example.com" % (number % 4), 0
        while not stopping.is_set():
            try:
                with daemon.client(user, timeout=10) as wire:
                    while not stopping.is_set():
                        sent += 1
                        name = "%d-%d" % (number, sent)
                        reply = wire.message("s-%s@example.com" % name, "b@example.net",
                                             b"Subject: %s\r\n\r\n" % name.encode())
                        if reply.code == 250:
                            with lock:
                                acknowledged.append("s-%s@example.com" % name)
            except (OSError, AssertionError):
                time.sleep(0.02)

    threads = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    killed = 0
    for _ in range(3):
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 50, 30, "mail to flow")
        relay = wait_for_relay(daemon)
        os.kill(relay, signal.SIGKILL)
        killed += 1
        wait_for_relay(daemon, other_than=relay)
    before = len(acknowledged)
    wait_until(lambda: len(acknowledged) > before + 50, 30, "mail to flow again")
    stopping.set()
    for thread in threads:
        thread.join(30)
    at_provider = {message.sender for message in list(provider.accepted)}
    missing = [sender for sender in acknowledged if sender not in at_provider]
    assert missing == [], "%d of %d acknowledged messages are missing" % (
        len(missing), len(acknowledged))
    assert killed == 3


def test_the_broker_restarts_the_relay_on_the_same_sockets(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    relay = wait_for_relay(daemon)
    os.kill(relay, signal.SIGKILL)
    # The listening socket never goes away: a connection waits, it is not refused.
    assert connectable(daemon.port)
    assert daemon.send(A, "b@example.net").code == 250
    assert daemon.relay_pid() not in (None, relay)


def test_the_relay_ends_with_the_broker(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    relay = wait_for_relay(daemon)
    os.kill(daemon.pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists("/proc/%d" % relay)
               or open("/proc/%d/stat" % relay).read().rsplit(")")[1].split()[0] == "Z",
               10, "the relay's end")
    daemon.kill()
    daemon.process = None


def test_reload_keeps_connections_and_takes_changes(start, provider, tokens):
    daemon = start([account(A, provider, tokens), account("old@example.com", provider, tokens)])
    with daemon.client(A) as client:
        assert client.message(A, "b@example.net", b"one\r\n").code == 250
        daemon.write_accounts([account(A, provider, tokens), account("new@example.com", provider, tokens)])
        daemon.conf["limits.max_recipients"] = 1
        daemon.write_config()
        daemon.reload()
        wait_until(lambda: _logs_in(daemon, "new@example.com"), 10, "the new account")
        assert client.message(A, "b@example.net", b"two\r\n").code == 250
    assert not _logs_in(daemon, "old@example.com")
    with daemon.client(A) as client:
        client.cmd("MAIL FROM:<a@example.com>", 250)
        client.cmd("RCPT TO:<b@example.net>", 250)
        client.cmd("RCPT TO:<c@example.net>", 452)
    # An unchanged account kept its connection to the provider, and its token.
    a_sessions = {m.connection for m in provider.accepted}
    assert len(a_sessions) == 1
    assert len(tokens.of("refresh-a")) == 1


def refused(client):
    reply = client.cmd("MAIL FROM:<a@example.com>")
    if reply.code == 250:  # the relay has not heard of it yet
        client.cmd("RSET", 250)
    return reply.code == 450


@pytest.mark.parametrize("change", ["removed", "password", "disabled"])
def test_sessions_end_with_their_account(start, make_provider, tokens, change):
    """Idle ones at once, one with a message under way behind its verdict."""
    slow = make_provider(delays={"final": 1.5})
    mine = account(A, slow, tokens, password_hash=password_hash("old"))
    other = account("other@example.com", slow, tokens)
    daemon = start([mine, other], {"workers": 3})
    idle = [daemon.client(A, "old") for _ in range(6)]
    half, whole = daemon.client(A, "old"), daemon.client(A, "old")
    bystander = daemon.client("other@example.com")
    half.mail(A, "b@example.net")
    half.cmd("DATA", 354)
    half.send(b"Subject: half\r\n")
    whole.mail(A, "b@example.net")
    whole.cmd("DATA", 354)
    whole.send(b"Subject: whole\r\n\r\n.\r\n")
    wait_until(lambda: slow.received, 10, "the message at the provider")
    if change == "removed":
        daemon.write_accounts([other])
    elif change == "password":
        daemon.write_accounts([dict(mine, password_hash=password_hash("new")), other])
    else:
        daemon.write_accounts([dict(mine, disabled=True), other])
    daemon.reload()
    daemon.wait_event("reloaded")
    if change == "disabled":  # a matter of mail, not of logins: said at MAIL
        idle[0].cmd("NOOP", 250)
        wait_until(lambda: refused(idle[0]), 10, "the relay's refusal")
    else:
        for client in idle + [half]:
            client.expect(421, "log in again")
            client.closed()
    whole.expect(250)
    if change != "disabled":
        whole.expect(421, "log in again")
        whole.closed()
    bystander.cmd("NOOP", 250)
    assert len(slow.accepted) == 1
    if change == "password":
        with daemon.client() as client:
            client.ehlo()
            client.auth(A, "old", 535)
        with daemon.client(A, "new") as client:
            client.cmd("NOOP", 250)


def _logs_in(daemon, user):
    try:
        with daemon.client() as client:
            client.ehlo()
            client.auth(user)
            return True
    except AssertionError:
        return False


@pytest.mark.parametrize("what", ["accounts", "config"])
def test_reload_of_a_broken_file_changes_nothing(start, provider, tokens, what):
    daemon = start([account(A, provider, tokens)])
    if what == "accounts":
        daemon.write_accounts('[{"email"')
    else:
        daemon.write_config("limits: {no_such_key: 1}\n")
    before = len(daemon.process.lines)
    daemon.reload()
    daemon.process.wait_for(
        lambda: any(daemon.dir.name in line and ("accounts.json" in line or "config.yaml" in line)
                    and ("level=error" in line or "level=warn" in line)
                    for line in daemon.process.lines[before:]), 10, "a line that names the file")
    assert daemon.send(A, "b@example.net").code == 250
    with daemon.client(A) as client:
        client.mail(A, ["b@example.net", "c@example.net"])


def test_reload_while_mail_flows(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], log_level="info")
    codes = []
    with daemon.client(A) as client:
        for number in range(60):
            if number % 10 == 5:
                daemon.reload()
            codes.append(client.message(A, "b@example.net", b"x\r\n").code)
    assert codes == [250] * 60


def test_drain(start, make_provider, tokens):
    """SIGTERM: idle clients get 421, a running transaction ends well, no new ones."""
    slow = make_provider(delays={"final": 1.5})
    daemon = start([account(A, slow, tokens)])
    idle, busy = daemon.client(A), daemon.client(A)
    busy.mail(A, "b@example.net")
    busy.cmd("DATA", 354)
    busy.send(b"Subject: late\r\n\r\n.\r\n")
    wait_until(lambda: slow.received, 10, "the message at the provider")
    daemon.signal(signal.SIGTERM)
    idle.expect(421)
    idle.closed()
    wait_until(lambda: not connectable(daemon.port), 5, "the end of listening")
    busy.expect(250)
    busy.goes_away()
    assert daemon.process.wait(10) == 0
    assert len(slow.accepted) == 1


def test_drain_within_a_transaction(start, provider, tokens):
    """A client in the middle of its message may finish it."""
    daemon = start([account(A, provider, tokens)])
    with daemon.client(A) as client:
        client.mail(A, "b@example.net")
        client.cmd("DATA", 354)
        client.send(b"Subject: x\r\n\r\n")
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: not connectable(daemon.port), 5, "the end of listening")
        client.send(b"body\r\n.\r\n")
        client.expect(250)
        client.goes_away()
    assert daemon.process.wait(10) == 0
    assert len(provider.accepted) == 1


def test_drain_ends_in_time(start, make_provider, tokens):
    """drain_timeout is the longest that a stop takes."""
    stuck = make_provider(delays={"final": 60})
    daemon = start([account(A, stuck, tokens)], {"drain_timeout": "1s"})
    with daemon.client(A) as client:
        client.mail(A, "b@example.net")
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
        wait_until(lambda: stuck.received, 10, "the message at the provider")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        try:
            assert client.reply().code in (421, 451)
        except Closed:
            pass
        daemon.process.wait(15)
        assert time.monotonic() - began < 6 * PATIENCE
    assert daemon.wait_transactions(1)[0]["outcome"] == "unknown"
    daemon.check_alarms()
    daemon.process = None


def test_second_signal_ends_at_once(start, make_provider, tokens):
    stuck = make_provider(delays={"final": 60})
    daemon = start([account(A, stuck, tokens)], {"drain_timeout": "1m"})
    with daemon.client(A) as client:
        client.mail(A, "b@example.net")
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
        wait_until(lambda: stuck.received, 10, "the message at the provider")
        relay = daemon.relay_pid()
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: not connectable(daemon.port), 5, "the end of listening")
        assert daemon.process.popen.poll() is None
        daemon.signal(signal.SIGTERM)
        daemon.process.wait(5)
        wait_until(lambda: not os.path.exists("/proc/%d" % relay)
                   or "Z" in open("/proc/%d/stat" % relay).read().rsplit(")")[1].split()[:1],
                   5, "the relay's end")
    daemon.check_alarms()
    daemon.process = None


def test_sigint_stops_too(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    daemon.signal(signal.SIGINT)
    assert daemon.process.wait(10) == 0


def test_it_runs_in_the_foreground_and_leaves_no_process(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    group = os.getpgid(daemon.pid)
    daemon.stop()
    ps = subprocess.run(["ps", "-o", "pid=,stat=,args=", "-g", str(group)], stdout=subprocess.PIPE)
    alive = [line for line in ps.stdout.decode().splitlines() if " Z" not in line and "bearerd" in line]
    assert alive == []


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep descriptors of their own")
def test_the_relay_holds_no_file_of_the_operator(start, provider, tokens):
    """P6: no descriptor of accounts.json or of the configuration."""
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "b@example.net").code == 250
    relay = daemon.relay_pid()
    targets = []
    for entry in os.listdir("/proc/%d/fd" % relay):
        try:
            targets.append(os.readlink("/proc/%d/fd/%s" % (relay, entry)))
        except OSError:
            pass
    assert not [t for t in targets if str(daemon.dir) in t], targets
    with open("/proc/%d/environ" % relay, "rb") as environ:
        assert b"refresh-" not in environ.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="reads another process's memory")
@pytest.mark.skipif(SANITIZED, reason="too large")
def test_the_relay_holds_no_refresh_token(start, provider, tokens):
    """P6, looked at in the process's memory."""
    secret = "RefreshTokenThatTheRelayMustNotHave"
    client_secret = "ClientSecretThatTheRelayMustNotHave"
    daemon = start([account(A, provider, tokens, refresh_token=secret, client_secret=client_secret)])
    assert daemon.send(A, "b@example.net").code == 250
    relay = daemon.relay_pid()
    for needle in (secret.encode(), client_secret.encode()):
        assert not _memory_has(relay, needle), needle
    assert _memory_has(relay, token_of(secret, 1).encode()), "the search itself must work"


def _memory_has(pid, needle):
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "[v" in line:
                continue
            first, last = (int(part, 16) for part in span.split("-"))
            try:
                mem.seek(first)
                if needle in mem.read(last - first):
                    return True
            except (OSError, OverflowError, ValueError):
                continue
    return False


def test_reload_and_stop_at_once(start, provider, tokens):
    """A reload that is overtaken by the end has no effect, and leaves nothing."""
    for _ in range(5):
        daemon = start([account(A, provider, tokens)])
        daemon.reload()
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(15) == 0
        assert len(daemon.events("relay_spawned")) == 1
        daemon.check_alarms()


def test_many_idle_clients_survive_a_reload(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], log_level="info")
    clients = [Wire(daemon.port) for _ in range(200)]
    for client in clients:
        client.ehlo()
    daemon.reload()
    daemon.wait_event("reloaded", 10)
    for client in clients:
        client.cmd("NOOP", 250)
        client.close()


def test_unix_socket_of_a_killed_predecessor(start, provider, tokens, tmp_path):
    """A socket file that nobody listens on any more does not stop the start."""
    path = tmp_path / "smtp.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    start([account(A, provider, tokens)], listeners=[("unix:%s" % path, "none")])
    with Wire(path) as client:
        client.login(A)
        assert client.message(A, "b@example.net", b"x\r\n").code == 250
