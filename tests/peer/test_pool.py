"""The pool: connections are reused, bounded, and given up in time."""
import concurrent.futures
import time

import pytest

from lib.daemon import account
from lib.provider import DATA_ONLY, Fault
from lib.util import PATIENCE, wait_until

pytestmark = pytest.mark.tsan
A = "a@example.com"


def deliver(daemon, count=1, user=A):
    for _ in range(count):
        reply = daemon.send(user, "x@example.net")
        assert reply.code == 250, reply


def parallel(daemon, count, user=A, timeout=60):
    def one(_):
        with daemon.client(user, timeout=timeout) as client:
            return client.message(user, "x@example.net", b"x\r\n").code

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_one_connection_for_many_messages(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    deliver(daemon, 30)
    assert len(provider.sessions) == 1 and len(provider.logins) == 1
    uses = [event["conn_use"] for event in daemon.wait_transactions(30)]
    assert uses == list(range(1, 31))


def test_the_cap_is_hard(start, make_provider, tokens):
    """Microsoft: never a fourth connection, whatever the configuration says."""
    most = [0]

    def note(_):
        most[0] = max(most[0], len(provider.open))

    provider = make_provider(replies={"final": note}, delays={"final": 0.05})
    daemon = start([account(A, provider, tokens, provider="outlook")],
                   {"providers.outlook.max_connections": 40, "upstream.logins_per_minute": 0,
                    "providers.outlook.messages_per_minute": 0})
    assert parallel(daemon, 40) == [250] * 40
    assert 1 < most[0] <= 3 and len(provider.sessions) <= 3


def test_messages_per_connection(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"providers.gmail.max_messages_per_connection": 4})
    deliver(daemon, 10)
    counts = [len([m for m in provider.accepted if m.connection == s.number]) for s in provider.sessions]
    assert counts == [4, 4, 2]


def test_idle_connections_are_closed(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"providers.gmail.connection_idle": "500ms"})
    deliver(daemon)
    wait_until(lambda: not provider.open, 5, "the end of the idle connection")
    assert (1, b"QUIT\r\n") in provider.commands
    deliver(daemon)
    assert len(provider.sessions) == 2


def test_old_connections_are_closed(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"providers.gmail.connection_max_age": "700ms"})
    end = time.monotonic() + 2
    while time.monotonic() < end:
        deliver(daemon)
        time.sleep(0.05)
    assert len(provider.sessions) >= 2


def test_the_newest_idle_connection_is_lent(start, make_provider, tokens):
    provider = make_provider(delays={"final": 0.2})
    daemon = start([account(A, provider, tokens)])
    assert parallel(daemon, 2) == [250, 250]
    if len(provider.sessions) < 2:
        pytest.skip("the machine was too slow for two at once")
    provider.delays.clear()
    deliver(daemon, 5)
    assert len({m.connection for m in provider.accepted[-5:]}) == 1


@pytest.mark.parametrize("goodbye", [None, b"421 4.7.0 Connection expired, try reconnecting\r\n",
                                     b"451 4.4.2 Timeout - closing connection. x - gsmtp\r\n",
                                     b"250 2.0.0 who asked?\r\n"],
                         ids=["fin", "421", "451", "unsolicited"])
def test_the_providers_goodbye_evicts_at_once(start, provider, tokens, goodbye):
    """The next message goes over a fresh connection, at the first attempt."""
    daemon = start([account(A, provider, tokens)])
    deliver(daemon)
    session, = provider.open
    if goodbye:
        session.send(goodbye)
    else:
        session.abort()
    wait_until(lambda: not provider.open, 5, "the eviction")
    deliver(daemon)
    assert len(provider.sessions) == 2
    assert daemon.wait_transactions(2)[-1]["attempts"] == 1


def test_a_dead_idle_connection_is_probed_by_the_envelope(start, make_provider, tokens):
    """Idle longer than probe_after: the content waits for MAIL's reply, so that
    the death of the connection costs a silent retry and no unknown."""
    provider = make_provider()
    daemon = start([account(A, provider, tokens)], {"upstream.probe_after": "300ms"})
    deliver(daemon)
    time.sleep(0.5)
    provider.faults.append(Fault("mail", "rst", 1))
    deliver(daemon)
    assert daemon.wait_transactions(2)[-1]["attempts"] == 2
    assert len(provider.received) == 2


def test_waiters_are_served_in_order(start, make_provider, tokens):
    provider = make_provider(delays={"final": 0.05})
    daemon = start([account(A, provider, tokens)], {"providers.gmail.max_connections": 1})
    clients = [daemon.client(A) for _ in range(10)]
    for number, client in enumerate(clients):
        client.mail("s%d@example.com" % number, "x@example.net")
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
        time.sleep(0.02)
    for client in clients:
        client.expect(250)
        client.close()
    assert [m.sender for m in provider.accepted] == ["s%d@example.com" % n for n in range(10)]


def test_a_waiter_gives_up_with_451(start, make_provider, tokens):
    provider = make_provider(delays={"final": 3})
    daemon = start([account(A, provider, tokens)],
                   {"providers.gmail.max_connections": 1, "upstream.queue_wait": "500ms"})
    codes = parallel(daemon, 3)
    assert sorted(codes) == [250, 451, 451]
    assert len(provider.received) == 1


def test_the_queue_is_bounded(start, make_provider, tokens):
    provider = make_provider(delays={"final": 1})
    daemon = start([account(A, provider, tokens)],
                   {"providers.gmail.max_connections": 1, "upstream.queue_length": 2,
                    "upstream.queue_wait": "20s"})
    deliver(daemon)  # the connection is there
    codes = parallel(daemon, 8)
    assert codes.count(250) == 3 and codes.count(451) == 5, codes


def test_a_client_that_leaves_the_queue(start, make_provider, tokens):
    """Its message is not sent, and the others get their turn."""
    provider = make_provider(delays={"final": 1})
    daemon = start([account(A, provider, tokens)], {"providers.gmail.max_connections": 1})
    clients = [daemon.client(A) for _ in range(3)]
    for number, client in enumerate(clients):
        client.mail("s%d@example.com" % number, "x@example.net")
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
        time.sleep(0.1)
    clients[1].reset()
    clients[0].expect(250)
    clients[2].expect(250)
    assert [m.sender for m in provider.accepted] == ["s0@example.com", "s2@example.com"]
    wait_until(lambda: daemon.transactions(outcome="client_gone"), 5, "the log line")


def test_a_slow_account_holds_up_nobody(start, make_provider, provider, tokens):
    stuck = make_provider(delays={"final": 5})
    daemon = start([account(A, stuck, tokens), account("b@example.com", provider, tokens)])
    busy = [daemon.client(A) for _ in range(20)]
    for client in busy:
        client.mail(A, "x@example.net")
        client.cmd("DATA", 354)
        client.send(b"x\r\n.\r\n")
    began = time.monotonic()
    deliver(daemon, 10, "b@example.com")
    assert time.monotonic() - began < 3 * PATIENCE
    for client in busy:
        client.close()


def test_bdat_demotion(start, make_provider, tokens):
    """A provider that fails at BDAT is given DATA, and the message arrives."""
    def refuse(session):
        return "500 5.5.1 unrecognized command" if session.verb == "BDAT" else "250 2.0.0 OK"

    provider = make_provider(replies={"final": refuse})
    daemon = start([account(A, provider, tokens)])
    codes = [daemon.send(A, "x@example.net").code for _ in range(3)]
    assert codes[-1] == 250 and all(code == 250 or 400 <= code < 500 for code in codes), codes
    assert provider.accepted[-1].verb == "DATA"


@pytest.mark.parametrize("capabilities", [DATA_ONLY, ["8BITMIME"]], ids=["no-chunking", "stepwise"])
def test_modes_reuse_connections_too(start, make_provider, tokens, capabilities):
    provider = make_provider(capabilities=capabilities)
    daemon = start([account(A, provider, tokens)])
    deliver(daemon, 5)
    assert len(provider.sessions) == 1 and {m.verb for m in provider.accepted} == {"DATA"}


def test_stepwise_never_pipelines(start, make_provider, tokens):
    """Without PIPELINING nothing is sent before the reply is there."""
    def check(session):
        if session.buffer:
            provider.errors.append("input ahead: %r" % session.buffer[:60])

    provider = make_provider(capabilities=["8BITMIME"], delays={"mail": 0.05, "rcpt": 0.05, "data": 0.05},
                             replies={"mail": check, "rcpt": check, "data": check})
    daemon = start([account(A, provider, tokens)])
    with daemon.client(A) as client:
        assert client.message(A, ["x@example.net", "y@example.net"], b"x\r\n").code == 250


def test_one_flight_on_a_warm_connection(start, make_provider, tokens):
    """MAIL, RCPT, BDAT and the content come in one piece."""
    seen = []

    def note(session):
        seen.append(session.buffer)

    provider = make_provider(replies={"mail": note})
    daemon = start([account(A, provider, tokens)])
    deliver(daemon, 3)
    for buffer in seen[1:]:
        assert b"RCPT TO:<x@example.net>\r\n" in buffer and b"BDAT " in buffer and b"body" in buffer
