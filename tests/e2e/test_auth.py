"""Who may send: passwords, trusted clients, failures."""
import concurrent.futures
import time

import pytest

from lib.daemon import account, password_hash
from lib.util import PATIENCE, free_port, wait_until
from lib.wire import Wire

pytestmark = pytest.mark.tsan
A, B = "a@example.com", "b@example.com"


@pytest.fixture(scope="module")
def hashed():
    return password_hash("open sesame")


def attempt(daemon, user, password, tls=None):
    """The code that answers AUTH PLAIN."""
    import base64

    with Wire(daemon.port) as wire:
        if tls:
            wire.ehlo()
            wire.starttls(tls)
        wire.ehlo()
        return wire.cmd("AUTH PLAIN " + base64.b64encode(
            ("\0%s\0%s" % (user, password)).encode()).decode()).code


def test_password(start, provider, tokens, hashed):
    daemon = start([account(A, provider, tokens, password_hash=hashed)])
    assert attempt(daemon, A, "open sesame") == 235
    for wrong in ("", "open", "open sesame ", "OPEN SESAME", "x" * 1000):
        assert attempt(daemon, A, wrong) == 535, wrong
    assert attempt(daemon, A, "open sesame") == 235
    with daemon.client(A, "open sesame") as client:
        assert client.message(A, "x@example.net", b"x\r\n").code == 250
    daemon.check_alarms()
    assert "open sesame" not in daemon.process.text


def test_bearerctl_passwd_makes_different_hashes():
    one, two = password_hash("same"), password_hash("same")
    assert one != two and one.startswith("$argon2id$")


def test_a_busy_client_costs_one_hash(start, provider, tokens, hashed):
    """The second and later logins do not wait for Argon2id."""
    daemon = start([account(A, provider, tokens, password_hash=hashed)])
    began = time.monotonic()
    assert attempt(daemon, A, "open sesame") == 235
    first = time.monotonic() - began
    began = time.monotonic()
    for _ in range(50):
        assert attempt(daemon, A, "open sesame") == 235
    assert (time.monotonic() - began) / 50 < max(first, 0.05 * PATIENCE)


def test_a_changed_password_counts_after_reload(start, provider, tokens, hashed):
    daemon = start([account(A, provider, tokens, password_hash=hashed)])
    assert attempt(daemon, A, "open sesame") == 235
    daemon.write_accounts([account(A, provider, tokens, password_hash=password_hash("another"))])
    daemon.reload()
    # The relay hears of it a moment behind the log.
    wait_until(lambda: attempt(daemon, A, "another") == 235, 10, "the new password")
    assert attempt(daemon, A, "open sesame") == 535


def test_clients_that_are_not_trusted_need_a_password(start, provider, tokens, hashed, certs):
    """An account without a password is closed to them; nobody else notices."""
    port = free_port()
    daemon = start([account(A, provider, tokens), account(B, provider, tokens, password_hash=hashed)],
                   {"trusted_clients": ["192.0.2.1"]}, listeners=[("127.0.0.1:%d" % port, "starttls")],
                   port=port)
    tls = certs.client_context()
    assert attempt(daemon, A, "", tls) == 535
    assert attempt(daemon, A, "anything", tls) == 535
    assert attempt(daemon, B, "open sesame", tls) == 235


def test_passwords_need_tls_where_the_client_is_not_trusted(start, provider, tokens, hashed, certs):
    port = free_port()
    daemon = start([account(B, provider, tokens, password_hash=hashed)], {"trusted_clients": []},
                   listeners=[("127.0.0.1:%d" % port, "starttls")], port=port)
    with Wire(port) as wire:
        assert not [c for c in wire.ehlo() if c.startswith("AUTH")]
        wire.auth(B, "open sesame", code=(530, 538))
    assert attempt(daemon, B, "open sesame", certs.client_context()) == 235


def test_failures_are_delayed(start, provider, tokens, hashed):
    daemon = start([account(A, provider, tokens, password_hash=hashed)], {"auth.failure_delay": "3s"})
    began = time.monotonic()
    assert attempt(daemon, A, "wrong") == 535
    assert time.monotonic() - began > 2.9
    # ... and hold nobody else up.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [pool.submit(attempt, daemon, A, "wrong") for _ in range(3)]
        assert attempt(daemon, A, "open sesame") == 235
        assert not all(future.done() for future in wrong)
        assert [future.result() for future in wrong] == [535] * 3


def test_too_many_failures_on_one_connection(start, provider, tokens, hashed):
    daemon = start([account(A, provider, tokens, password_hash=hashed)],
                   {"auth.failures_per_connection": 3})
    with daemon.client() as client:
        client.ehlo()
        for _ in range(2):
            client.auth(A, "wrong", code=535)
        client.auth(A, "wrong", code=(535, 421))
        client.goes_away()


def test_too_many_failures_of_one_address(start, provider, tokens, hashed, certs):
    """Then even the right password is refused for a while, with 4xx."""
    port = free_port()
    daemon = start([account(A, provider, tokens, password_hash=hashed)],
                   {"trusted_clients": [], "auth.failures_per_address": 5,
                    "auth.failure_window": "1s", "auth.failures_per_connection": 100},
                   listeners=[("127.0.0.1:%d" % port, "starttls")], port=port)
    tls = certs.client_context()
    for _ in range(5):
        assert attempt(daemon, A, "wrong", tls) == 535
    try:
        assert attempt(daemon, A, "open sesame", tls) in (421, 454)
    except AssertionError as error:
        assert "421" in str(error), error
    time.sleep(1.2)
    assert attempt(daemon, A, "open sesame", tls) == 235


def test_a_disabled_account(start, provider, tokens):
    daemon = start([account(A, provider, tokens, disabled=True), account(B, provider, tokens)])
    try:
        reply = daemon.send(A, "x@example.net")
        assert reply.code != 250
    except AssertionError:
        pass
    assert provider.received == []
    assert daemon.send(B, "x@example.net").code == 250
