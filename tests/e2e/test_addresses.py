"""Source addresses that come and go, in a network namespace: mail leaves from
the account's own address or not at all."""
import signal
import threading
import time

import pytest

from lib.daemon import run_bearerd
from lib.netns import Namespace
from lib.sim import Sim
from lib.util import wait_until

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
RCPT = "b@example.net"


@pytest.fixture
def net():
    with Namespace() as namespace:
        yield namespace


def user(number):
    return "user%d@example.test" % number


def record(sim, number, address, **more):
    return sim.account(user(number), ip_address=address, account_id="acc-%d" % number, **more)


def wait_state(daemon, number, state, count=1):
    return daemon.wait_event("account_state", account="acc-%d" % number, to=state, count=count)


def refusal(daemon, number):
    """What MAIL hears, once it is refused."""
    def answer():
        with daemon.client(user(number)) as wire:
            reply = wire.cmd("MAIL FROM:<%s>" % user(number))
            return reply if reply.code != 250 else None
    return wait_until(answer, 10, "a refusal for " + user(number))


def send(daemon, number):
    """The first refusal, or the final reply."""
    with daemon.client(user(number)) as wire:
        reply = wire.cmd("MAIL FROM:<%s>" % user(number))
        if reply.code != 250:
            return reply
        wire.cmd("RCPT TO:<%s>" % RCPT, 250)
        return wire.data(MESSAGE)


def delivered(daemon, number):
    """Sends until a message is taken: the relay hears a moment after the log."""
    return wait_until(lambda: send(daemon, number).code == 250, 20, "mail of " + user(number))


def peers(sim, number):
    return set(sim.user(user(number))["peers"])


class Flow:
    """A client that sends one message after the other and keeps the answers."""

    def __init__(self, daemon, number):
        self.daemon, self.number = daemon, number
        self.codes = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with self.daemon.client(user(self.number), timeout=60) as wire:
            while not self.stopping.is_set():
                reply = wire.cmd("MAIL FROM:<%s>" % user(self.number))
                if reply.code == 250:
                    wire.cmd("RCPT TO:<%s>" % RCPT, 250)
                    reply = wire.data(MESSAGE)
                self.codes.append(reply.code)
                if reply.code != 250:
                    time.sleep(0.01)

    def grow(self, by=20):
        """More is delivered."""
        before = self.codes.count(250)
        wait_until(lambda: self.codes.count(250) >= before + by, 30,
                   "mail of %s to flow" % user(self.number))

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.timeout(120)
def test_addresses_come_and_go_while_mail_flows(net, start):
    """Its account waits for its address and needs nobody's help; the others never
    notice; and the provider sees each account come from its own address only."""
    own = {1: "10.77.0.1", 2: "10.77.0.2", 3: "10.77.0.3"}
    for address in own.values():
        net.add(address)
    with Sim(accounts=4, keep_messages=10) as sim:
        daemon = start([record(sim, n, own.get(n, "")) for n in (1, 2, 3, 4)], ca=sim.ca)
        flows = {n: Flow(daemon, n) for n in (1, 2, 3, 4)}
        for flow in flows.values():
            flow.grow()
        for turn in (1, 2, 3):
            net.remove(own[2])
            wait_state(daemon, 2, "misconfigured", turn)
            reply = refusal(daemon, 2)
            assert (reply.code, reply.enhanced) == (454, "4.7.0")
            assert "ip_address 10.77.0.2 is not an address of this host" in reply.text
            assert "add it to an interface" in reply.text
            for other in (1, 3, 4):
                flows[other].grow()
            net.add(own[2])
            wait_state(daemon, 2, "active", turn)
            flows[2].grow()
        for flow in flows.values():
            flow.stop()
        for number in (1, 2, 3):
            assert peers(sim, number) == {own[number]}
        assert peers(sim, 4) == {"127.0.0.1"}
        assert {m.peer for m in sim.messages()} <= set(own.values()) | {"127.0.0.1"}
        assert sim.state()["errors"] == []
    for number in (1, 3, 4):
        assert set(flows[number].codes) == {250}, flows[number].codes
    assert daemon.events("address_unusable", address=own[2], accounts=1)


def test_idle_connections_from_an_address_end_with_it(net, start):
    net.add("10.77.0.1")
    with Sim(accounts=1) as sim:
        daemon = start([record(sim, 1, "10.77.0.1")], ca=sim.ca)
        delivered(daemon, 1)
        logins = sim.user(user(1))["logins"]
        net.remove("10.77.0.1")
        wait_state(daemon, 1, "misconfigured")
        refusal(daemon, 1)
        net.add("10.77.0.1")
        wait_state(daemon, 1, "active")
        delivered(daemon, 1)
        assert sim.user(user(1))["logins"] == logins + 1


def test_what_may_not_be_used_at_start(net, start):
    """Each says why; what can change by itself does; nothing has to be reloaded."""
    net.add("192.0.2.1")
    net.add("10.77.0.4")
    with Sim(accounts=5) as sim:
        daemon = start([record(sim, 1, "10.77.0.1"), record(sim, 2, "192.0.2.1"),
                        record(sim, 3, "fd00::3"), record(sim, 4, "10.77.0.4"),
                        record(sim, 5, "127.0.0.5")], ca=sim.ca)
        for number, text in ((1, "is not an address of this host"), (2, "TEST-NET-1"),
                             (3, "upstream.use_ipv6")):
            wait_state(daemon, number, "misconfigured")
            assert text in refusal(daemon, number).text
        delivered(daemon, 4)
        delivered(daemon, 5)
        assert (peers(sim, 4), peers(sim, 5)) == ({"10.77.0.4"}, {"127.0.0.5"})
        net.add("10.77.0.1")
        delivered(daemon, 1)
        assert peers(sim, 1) == {"10.77.0.1"}
        assert not peers(sim, 2) and not peers(sim, 3)


def test_check_tells_who_could_not_send(net, start):
    """Before the first start: a note, as addresses come and go."""
    net.add("10.77.0.1")
    with Sim(accounts=2) as sim:
        daemon = start([record(sim, 1, "10.77.0.1"), record(sim, 2, "10.77.0.2")], ca=sim.ca)
        code, said, _ = run_bearerd("--check", *daemon.args)
    assert code == 0
    assert "note: account acc-2 could not send now: ip_address 10.77.0.2 is not an address" in said
    assert "acc-1" not in said


def test_options_and_accounts_are_reloaded(net, start):
    net.add("10.77.0.1")
    net.add("10.77.0.2")
    with Sim(accounts=1) as sim:
        daemon = start([record(sim, 1, "10.77.0.1")], ca=sim.ca)
        delivered(daemon, 1)
        daemon.conf["upstream.source_ip_private"] = False
        daemon.write_config()
        daemon.reload()
        assert "upstream.source_ip_private" in refusal(daemon, 1).text
        daemon.conf["upstream.source_ip_private"] = True
        daemon.write_config()
        daemon.reload()
        delivered(daemon, 1)
        daemon.write_accounts([record(sim, 1, "10.77.0.9")])
        daemon.reload()
        assert "10.77.0.9 is not an address of this host" in refusal(daemon, 1).text
        daemon.write_accounts([record(sim, 1, "10.77.0.2")])
        daemon.reload()
        delivered(daemon, 1)
        assert peers(sim, 1) == {"10.77.0.1", "10.77.0.2"}
        # Without binding it is the system's choice, for open connections, too.
        sim.reset_state()
        daemon.conf["upstream.source_ip_binding"] = False
        daemon.write_config()
        daemon.reload()
        daemon.wait_event("reloaded", count=5)
        wait_until(lambda: send(daemon, 1).code == 250 and "127.0.0.1" in peers(sim, 1),
                   20, "mail from the system's choice")


def test_unchecked_address_is_still_the_only_one(net, start):
    """The kernel's refusal to bind is not the system's choice of another address."""
    with Sim(accounts=1) as sim:
        daemon = start([record(sim, 1, "10.77.0.1")], {"upstream.source_ip_validate": False},
                       ca=sim.ca)
        reply = wait_until(lambda: (lambda r: "10.77.0.1" in r.text and r)(
            send(daemon, 1)), 20, "a refusal that names the address")
        assert reply.code == 451
        assert "cannot connect from 10.77.0.1" in reply.text
        assert sim.state()["connections_accepted"] == 0
        net.add("10.77.0.1")
        delivered(daemon, 1)
        assert peers(sim, 1) == {"10.77.0.1"}


def test_missed_notifications(net, start):
    """More changes than the kernel keeps for us: all addresses are read again."""
    net.add("10.77.0.1")
    with Sim(accounts=2) as sim:
        daemon = start([record(sim, 1, "10.77.0.1"), record(sim, 2, "10.77.0.2")], ca=sim.ca)
        wait_state(daemon, 2, "misconfigured")
        daemon.signal(signal.SIGSTOP)
        many = ["10.78.%d.%d/32" % (i // 250, i % 250 + 1) for i in range(2000)]
        net.batch(["addr add %s dev %s" % (one, net.dev) for one in many])
        net.remove("10.77.0.1")
        net.add("10.77.0.2")
        daemon.signal(signal.SIGCONT)
        daemon.wait_event("address_watch")
        wait_state(daemon, 1, "misconfigured")
        wait_state(daemon, 2, "active")
        delivered(daemon, 2)


def test_ipv6(net, start):
    """From the moment that duplicate address detection lets it."""
    with Sim(accounts=1, bind="*") as sim:
        daemon = start([record(sim, 1, "fd00:77::1", oauth_endpoint="[::1]:%d" % sim.port)], {"upstream.use_ipv6": True}, ca=sim.ca)
        wait_state(daemon, 1, "misconfigured")
        net.add("fd00:77::1", 64)
        wait_state(daemon, 1, "active")
        delivered(daemon, 1)
        assert peers(sim, 1) == {"fd00:77::1"}
        net.remove("fd00:77::1", 64)
        assert "fd00:77::1 is not an address of this host" in refusal(daemon, 1).text
