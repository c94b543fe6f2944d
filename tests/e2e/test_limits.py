"""No limit of a provider is crossed: under load, and over every kind of end."""
import concurrent.futures
import json
import os
import signal
import stat
import urllib.request

import pytest

from lib.daemon import Bearerd, wait_for_relay
from lib.sim import Sim
from lib.util import wait_until
from lib.wire import Closed

pytestmark = pytest.mark.timeout(120)
USER, OTHER = "user1@example.test", "user2@example.test"
CONTENT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture
def m365():
    with Sim(profile="m365", accounts=3, knobs={"real_limits": 1, "latency_ms": 5}) as sim:
        yield sim


@pytest.fixture
def start(m365):
    daemons = []

    def begin(conf=None, change=None):
        records = m365.accounts()
        for record in records:
            record.update(change or {})
        daemon = Bearerd(accounts=records, ca=m365.ca, log_level="info",
                         conf=dict({"workers": 2, "upstream.queue_wait": "10s"}, **(conf or {})))
        daemons.append(daemon)
        return daemon

    yield begin
    for daemon in daemons:
        daemon.stop()


def send_many(daemon, count, user=USER, clients=6):
    """The final replies; a client that is told so at MAIL tries no content."""
    def client(part):
        replies = []
        with daemon.client(user) as wire:
            for _ in range(part):
                reply = wire.cmd("MAIL FROM:<%s>" % user)
                if reply.code == 250:
                    wire.cmd("RCPT TO:<x@example.net>", 250)
                    wire.cmd("DATA", 354)
                    wire.send(CONTENT + b".\r\n")
                    reply = wire.reply()
                replies.append(reply)
        return replies

    parts = [count // clients + (n < count % clients) for n in range(clients)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return [reply for replies in pool.map(client, parts) for reply in replies]


def codes(replies):
    return sorted(reply.code for reply in replies)


def check_limits(sim, user=USER):
    """Nothing was refused by the provider, and nothing was one too many."""
    sim.check_limits(connections=3, per_minute=30)
    assert sim.state()["errors"] == []
    return sim.user(user)["accepted"]


def test_under_load(m365, start):
    daemon = start()
    replies = send_many(daemon, 120) + send_many(daemon, 20, user=OTHER)
    assert codes(replies) == [250] * 50 + [451] * 90
    assert check_limits(m365) == 30 and check_limits(m365, OTHER) == 20
    refused = [reply.text for reply in replies if reply.code == 451]
    assert all("messages_per_minute of 30" in text and "room in" in text for text in refused)
    assert {reply.enhanced for reply in replies if reply.code == 451} == {"4.7.1"}
    # Told before any content, as soon as it is known.
    with daemon.client(USER) as wire:
        reply = wire.cmd("MAIL FROM:<%s>" % USER, 451)
        assert "messages_per_minute" in reply.text
    with daemon.client(OTHER) as wire:
        wire.cmd("MAIL FROM:<%s>" % OTHER, 250)


def restart_clean(daemon):
    daemon.stop()
    daemon.start()


def kill_relay(daemon):
    relay = wait_for_relay(daemon)
    os.kill(relay, signal.SIGKILL)
    wait_for_relay(daemon, other_than=relay)
    daemon.wait_event("relay_ready")


def kill_all(daemon):
    os.kill(wait_for_relay(daemon), signal.SIGSTOP)  # it tells nothing more
    os.kill(daemon.broker_pid(), signal.SIGKILL)
    daemon.kill()
    daemon.start()


@pytest.mark.parametrize("end, missing", [(restart_clean, 0), (kill_relay, 3), (kill_all, 3)],
                         ids=["stopped", "relay killed", "all killed"])
def test_a_restart_forgets_nothing(m365, start, end, missing):
    daemon = start()
    assert codes(send_many(daemon, 20)) == [250] * 20
    end(daemon)
    after = wait_until(lambda: send_after(daemon, 40), what="mail to flow again")
    delivered = codes(after).count(250)
    assert 10 - missing <= delivered <= 10, codes(after)
    assert check_limits(m365) == 20 + delivered
    # Of the account that had sent nothing, next to nothing is held back.
    assert codes(send_many(daemon, 30, user=OTHER)).count(250) >= 30 - missing


def send_after(daemon, count):
    try:
        return send_many(daemon, count)
    except (Closed, OSError):
        return None


def test_restarts_while_mail_flows(m365, start):
    """Wherever the knife falls."""
    daemon = start()
    delivered = 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(4):
            before = check_limits(m365)
            flow = pool.submit(send_after, daemon, 40)
            wait_until(lambda: m365.user(USER)["accepted"] > before or flow.done(), 20, "a message")
            kill_relay_now(daemon)
            flow.result()
    daemon.wait_event("relay_ready", count=4)
    wait_until(lambda: send_after(daemon, 40), what="mail to flow again")
    delivered = check_limits(m365)
    assert 15 <= delivered <= 30


def kill_relay_now(daemon):
    relay = wait_for_relay(daemon)
    os.kill(relay, signal.SIGKILL)
    wait_for_relay(daemon, other_than=relay)


def test_a_tenant_shares_a_limit(m365, start):
    """Accounts of one domain, on two workers."""
    daemon = start({"providers.outlook.group.messages_per_hour": 25})
    replies = send_many(daemon, 20) + send_many(daemon, 20, user=OTHER)
    assert codes(replies).count(250) == 25
    assert m365.state()["totals"]["accepted"] == 25
    refused = next(reply.text for reply in replies if reply.code == 451)
    assert "messages_per_hour of 25 of its group example.test is reached" in refused
    daemon.stop()
    daemon.start()
    assert daemon.send(OTHER, ["a@example.net"]).code == 451


def test_a_day_survives(m365, start):
    daemon = start(change={"rate_limiting": {"messages_per_day": 5, "recipients_per_day": 8}})
    replies = [daemon.send(USER, ["a@example.net", "b@example.net"]) for _ in range(3)]
    assert [reply.code for reply in replies] == [250] * 3
    restart_clean(daemon)
    state = daemon.dir / "limits.state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    reply = daemon.send(USER, ["a@example.net", "b@example.net", "c@example.net"])
    assert reply.code == 451 and "recipients_per_day of 8" in reply.text
    assert [daemon.send(USER, ["a@example.net"]).code for _ in range(2)] == [250] * 2
    with daemon.client(USER) as wire:
        assert "is reached" in wire.cmd("MAIL FROM:<%s>" % USER, 451).text
    assert len(m365.messages()) == 5


def test_a_broken_state_is_reported(m365, start):
    daemon = start()
    assert daemon.send(USER, ["a@example.net"]).code == 250
    daemon.stop()
    (daemon.dir / "limits.state").write_text("nonsense\n")
    daemon.start()
    daemon.wait_event("limits_state_broken")
    assert daemon.send(USER, ["a@example.net"]).code == 250


def test_a_message_waits_for_its_turn(m365, start):
    """The window is short here: a limit that frees while it waits."""
    daemon = start({"upstream.queue_wait": "100s"},
                   change={"rate_limiting": {"messages_per_minute": 2}})
    assert [daemon.send(USER, ["a@example.net"]).code for _ in range(2)] == [250] * 2
    with daemon.client(USER) as wire:
        wire.cmd("MAIL FROM:<%s>" % USER, 250)
        wire.cmd("RCPT TO:<x@example.net>", 250)
        wire.cmd("DATA", 354)
        wire.send(CONTENT + b".\r\n")
        wait_until(lambda: waiting(daemon) == 1, what="it to wait")
        # The operator raises the limit.
        records = daemon.stored_accounts()
        for record in records:
            record["rate_limiting"] = {"messages_per_minute": 10}
        daemon.write_accounts(records)
        daemon.reload()
        assert wire.reply().code == 250


def waiting(daemon):
    with urllib.request.urlopen("http://127.0.0.1:%d/admin/pools" % daemon.admin_port) as answer:
        return sum(pool["waiting"] for pool in json.load(answer)["pools"])
