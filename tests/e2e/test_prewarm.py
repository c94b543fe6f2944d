"""Connections are ready before the mail, never one too many, and none for nothing."""
import pytest

from lib.daemon import Bearerd
from lib.sim import Sim
from lib.util import wait_until

pytestmark = pytest.mark.timeout(150)
USERS = 30  # each is looked at once a minute, at a moment of its own: one every two seconds


@pytest.fixture
def sim():
    with Sim(profile="m365", accounts=USERS, knobs={"real_limits": 1}) as sim:
        yield sim


def begin(sim, **prewarm):
    conf = {"max_messages_per_connection": 1}
    conf.update({"prewarm." + name: value for name, value in prewarm.items()})
    return Bearerd(accounts=sim.accounts(), ca=sim.ca, log_level="info",
                   conf={"providers.outlook." + name: value for name, value in conf.items()})


def send_one_each(sim, daemon):
    """Each message's connection ends behind it."""
    for record in sim.accounts():
        assert daemon.send(record["email"], ["x@example.net"]).code == 250


def counter(daemon, name):
    return daemon.admin.get("/admin/status")["counters"][name]


def test_a_connection_waits_for_the_next_message(sim):
    with begin(sim, min_messages=1) as daemon:
        send_one_each(sim, daemon)
        wait_until(lambda: counter(daemon, "upstream_prewarmed_total") >= 3, 90,
                   "connections ahead of mail")
        user = wait_until(lambda: next((user for user, counts in sim.state()["users"].items()
                                        if counts["connections"]), None), 10, "a login")
        assert daemon.send(user, ["x@example.net"]).code == 250
        assert sim.check_limits(connections=3, per_minute=30)["max_connections"] == 1
        assert sim.state()["errors"] == []


def test_switched_off(sim):
    with begin(sim, min_messages=1, enabled=False) as daemon, \
            begin(sim, min_messages=1) as other:
        send_one_each(sim, daemon)
        send_one_each(sim, other)
        wait_until(lambda: counter(other, "upstream_prewarmed_total") >= 3, 90,
                   "connections ahead of mail")
        assert counter(daemon, "upstream_prewarmed_total") == 0
