"""The life of tokens, as the client and the token endpoint see it."""
import concurrent.futures
import json
import time

import pytest

from lib.daemon import account
from lib.tokens import TokenServer, token_of
from lib.util import PATIENCE, wait_until

pytestmark = pytest.mark.tsan
A, B = "a@example.com", "b@example.com"
REVOKED = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


def test_the_token_is_the_one_that_was_fetched(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    user, token, *_ = provider.logins[-1]
    assert (user, token) == (A, token_of("refresh-a", len(tokens.of("refresh-a"))))
    form = tokens.of("refresh-a")[0][1]
    assert form["grant_type"] == "refresh_token"
    assert (form["client_id"], form["client_secret"]) == ("client", "client-secret")


def test_microsoft_is_sent_a_scope(start, provider, tokens):
    daemon = start([account(A, provider, tokens, provider="outlook")])
    assert daemon.send(A, "x@example.net").code == 250
    scope = tokens.requests[0][1]["scope"]
    assert "https://outlook.office.com/SMTP.Send" in scope and "offline_access" in scope


def test_one_refresh_for_fifty_cold_messages(start, make_provider, certs):
    tokens = TokenServer(certs, answer=lambda form, number: (time.sleep(0.3), tokens.good(form, number))[1])
    provider = make_provider()
    daemon = start([account(A, provider, tokens)], {"upstream.logins_per_minute": 0})
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(lambda _: daemon.send(A, "x@example.net").code, range(50)))
    assert codes == [250] * 50
    assert len(tokens.requests) == 1
    tokens.stop()


def test_expiry_between_two_messages(start, make_provider, certs):
    """The second message goes out with a new token, on a new connection, and
    the provider never sees an expired one."""
    tokens = TokenServer(certs, lifetime=3)
    issued = {}

    def answer(form, number):
        status, body, headers = tokens.good(form, number)
        issued[body["access_token"]] = time.monotonic()
        return status, body, headers

    tokens.answer = answer
    provider = make_provider(check=lambda _, token: time.monotonic() - issued[token] < 3)
    daemon = start([account(A, provider, tokens)])
    with daemon.client(A) as client:
        assert client.message(A, "x@example.net", b"one\r\n").code == 250
        time.sleep(3.2)
        reply = client.message(A, "x@example.net", b"two\r\n")
        assert reply.code == 250, reply
    assert [login[4] for login in provider.logins] == [True] * len(provider.logins)
    assert provider.accepted[0].connection != provider.accepted[1].connection
    tokens.stop()


def test_refresh_ahead_in_the_background(start, provider, certs):
    """A token is replaced before it expires, and no message waits for it."""
    tokens = TokenServer(certs, lifetime=6)
    daemon = start([account(A, provider, tokens)], {"providers.gmail.refresh_ahead": "4s"})
    assert daemon.send(A, "x@example.net").code == 250
    wait_until(lambda: len(tokens.requests) >= 2, 8, "a refresh without a message")
    began = time.monotonic()
    assert daemon.send(A, "x@example.net").code == 250
    assert time.monotonic() - began < 1 * PATIENCE
    tokens.stop()


def test_endpoint_down_while_the_token_is_valid(start, provider, certs):
    """Mail flows as long as the token does."""
    tokens = TokenServer(certs, lifetime=24)  # it is refreshed at half its life
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    tokens.answer = lambda form, number: (503, "<html>down</html>", {})
    wait_until(lambda: len(tokens.requests) >= 3, 20, "refreshes that fail")
    for _ in range(5):
        assert daemon.send(A, "x@example.net").code == 250
    tokens.stop()


@pytest.mark.parametrize("how", ["refused", "503", "garbage"])
def test_endpoint_down_without_a_token(start, provider, certs, how):
    """454 or 451, soon, and no hammering; then mail flows by itself."""
    tokens = TokenServer(certs)
    url = tokens.url
    if how == "refused":
        tokens.stop()
    elif how == "503":
        tokens.answer = lambda form, number: (503, {"error": "temporarily_unavailable"}, {})
    else:
        tokens.answer = lambda form, number: (200, "<html>hello</html>", {})
    daemon = start([account(A, provider, url)], {"upstream.queue_wait": "1s"})
    for _ in range(10):
        try:
            reply = daemon.send(A, "x@example.net")
        except AssertionError as error:  # refused at AUTH or MAIL already
            assert " 4" in str(error) or "<4" in str(error), error
        else:
            assert reply.code in (451, 454), reply
    if how != "refused":
        assert len(tokens.requests) <= 6, "%d requests for one account" % len(tokens.requests)
        tokens.answer = None
        wait_until(lambda: _delivers(daemon), 45, "mail to flow again", every=0.3)
        tokens.stop()
    assert "refresh-a" not in daemon.process.text


def _delivers(daemon, user=A):
    try:
        return daemon.send(user, "x@example.net").code == 250
    except AssertionError:
        return False


def test_invalid_grant_parks_one_account(start, provider, certs):
    """That account is told why, before any body; others flow; no retry storm."""
    tokens = TokenServer(certs)
    tokens.answer = lambda form, number: (
        (400, REVOKED, {}) if form["refresh_token"] == "refresh-a" else tokens.good(form, number))
    daemon = start([account(A, provider, tokens), account(B, provider, tokens)],
                   {"upstream.queue_wait": "2s"})
    first = _refusal(daemon, A)
    assert 400 <= first.code < 500 or first.code in (530, 535, 550), first
    for _ in range(5):
        refusal = _refusal(daemon, A)
        assert refusal.code != 250
        assert daemon.send(B, "x@example.net").code == 250
    assert "consent" in refusal.text.lower() or "revoked" in refusal.text.lower(), refusal
    assert len(tokens.of("refresh-a")) <= 3
    assert not [m for m in provider.received if m.user == A]
    tokens.stop()


def _refusal(daemon, user):
    """The reply that refuses a message: to AUTH, MAIL, RCPT, DATA or its end."""
    with daemon.client() as client:
        client.ehlo()
        import base64

        secret = base64.b64encode(("\0%s\0" % user).encode()).decode()
        for line in ("AUTH PLAIN " + secret, "MAIL FROM:<%s>" % user, "RCPT TO:<x@example.net>", "DATA"):
            reply = client.cmd(line)
            if reply.code >= 400:
                return reply
        client.send(b"x\r\n.\r\n")
        return client.reply()


def test_invalid_client_is_told_as_configuration(start, provider, certs):
    tokens = TokenServer(certs, answer=lambda form, number: (401, {"error": "invalid_client"}, {}))
    daemon = start([account(A, provider, tokens)], {"upstream.queue_wait": "2s"})
    refusal = _refusal(daemon, A)
    assert refusal.code != 250
    _refusal(daemon, A)
    assert len(tokens.requests) <= 3
    tokens.stop()


def test_retry_after_is_honoured(start, provider, certs):
    answers = [(429, "Too Many Requests", {"Retry-After": "3"})]
    tokens = TokenServer(certs)
    tokens.answer = lambda form, number: answers.pop() if answers else tokens.good(form, number)
    daemon = start([account(A, provider, tokens)], {"upstream.queue_wait": "1s"})
    _refusal(daemon, A)
    wait_until(lambda: _delivers(daemon), 20, "mail to flow", every=0.2)
    assert tokens.requests[1][0] - tokens.requests[0][0] >= 2.9
    tokens.stop()


def test_a_rotated_refresh_token_is_durable_before_use(start, make_provider, certs):
    """When the new access token comes to the provider, the file has the new
    refresh token; comments and unknown keys are still there."""
    tokens = TokenServer(certs)
    stored = []

    def answer(form, number):
        status, body, headers = tokens.good(form, number)
        return status, dict(body, refresh_token="rotated-%d" % number), headers

    def check(user, token):
        stored.append(daemon.stored_accounts()[0]["refresh_token"])
        return True

    tokens.answer = answer
    provider = make_provider(check=check)
    daemon = start([account(A, provider, tokens, provider="outlook", _note="kept"),
                    account(B, provider, tokens, _other={"x": [1, 2]})])
    assert daemon.send(A, "x@example.net").code == 250
    assert stored[0].startswith("rotated-")
    records = daemon.stored_accounts()
    assert records[0]["_note"] == "kept" and records[1]["_other"] == {"x": [1, 2]}
    assert oct(daemon.accounts.stat().st_mode & 0o777) == "0o600"
    assert [p.name for p in daemon.dir.iterdir() if "tmp" in p.name.lower()] == []
    daemon.stop()
    daemon.start()
    tokens.requests.clear()
    assert daemon.send(A, "x@example.net").code == 250
    assert tokens.requests == [] or tokens.requests[0][1]["refresh_token"].startswith("rotated-")
    tokens.stop()


def test_rotation_in_an_object_file_keeps_its_form(start, provider, certs):
    tokens = TokenServer(certs)
    tokens.answer = lambda form, number: (200, dict(tokens.good(form, number)[1], refresh_token="next"), {})
    daemon = start(start=False)
    daemon.write_accounts(json.dumps({"_about": "mine", "accounts": [account(A, provider, tokens)]}))
    daemon.start()
    assert daemon.send(A, "x@example.net").code == 250
    data = json.loads(daemon.accounts.read_text())
    assert data["_about"] == "mine" and data["accounts"][0]["refresh_token"] == "next"
    tokens.stop()


@pytest.mark.parametrize("failure", ["challenge", "direct"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_rejected_token_is_refreshed_once(start, make_provider, tokens, mechanism, failure):
    """535: one forced refresh, one retry, 250 for the client."""
    first = token_of("refresh-a", 1)
    provider = make_provider(check=lambda _, token: token != first, mechanisms=mechanism, failure=failure)
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    assert [(login[2], login[4]) for login in provider.logins] == [(mechanism, False), (mechanism, True)]
    assert len(tokens.requests) == 2


def test_tokens_rejected_for_good_park_the_account(start, make_provider, provider, tokens):
    strict = make_provider(check=lambda user, token: False)
    daemon = start([account(A, strict, tokens), account(B, provider, tokens)],
                   {"upstream.queue_wait": "5s"})
    for _ in range(4):
        assert _refusal(daemon, A).code != 250
        assert daemon.send(B, "x@example.net").code == 250
    assert len(strict.logins) <= 3 and len(tokens.of("refresh-a")) <= 3


@pytest.mark.parametrize("length, inline", [(100, True), (2500, False), (8000, False)])
def test_long_tokens_are_sent_in_two_steps(start, make_provider, certs, length, inline):
    tokens = TokenServer(certs, answer=lambda form, number: (
        200, {"access_token": "x" * length, "expires_in": 3600}, {}))
    provider = make_provider()
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    assert provider.logins[0][1] == "x" * length
    assert provider.logins[0][3] == inline
    assert all(len(line) <= 512 for _, line in provider.commands if line.upper().startswith(b"AUTH"))
    tokens.stop()


def test_the_sasl_user_is_not_the_sender(start, provider, tokens):
    daemon = start([account(A, provider, tokens, sasl_user="shared@example.com")])
    assert daemon.send(A, "x@example.net", sender="alias@example.com").code == 250
    assert daemon.send(A, "x@example.net", sender="").code == 250
    assert {login[0] for login in provider.logins} == {"shared@example.com"}
    assert [m.sender for m in provider.accepted] == ["alias@example.com", ""]


def test_the_token_endpoints_certificate_is_verified(start, provider, tokens, certs):
    daemon = start([account(A, provider, tokens)], {"upstream.queue_wait": "1s"}, ca=certs.other_ca)
    assert _refusal(daemon, A).code != 250
    assert tokens.requests == []


def disconnect(sim):
    """A message that is sent while the FIN is on its way has an unknown fate."""
    sim.disconnect()
    wait_until(lambda: sim.state()["sessions"] == 0, 10, "the end of all sessions")


@pytest.mark.parametrize("profile", ["gmail", "m365"])
def test_with_the_simulator(start, profile):
    """The providers' own ways: rotation, challenge or direct failure, replies."""
    from lib.sim import Sim

    with Sim(profile=profile, accounts=2, keep_content=10000) as sim:
        users = sim.accounts()
        daemon = start(users, ca=sim.ca)
        name = users[0]["email"]
        assert daemon.send(name, "x@example.net", b"one\r\n").code == 250
        sim.revoke(name, "access")
        disconnect(sim)
        assert daemon.send(name, "x@example.net", b"two\r\n").code == 250
        assert [m.content for m in sim.messages(user=name)] == [b"one\r\n", b"two\r\n"]
        sim.revoke(name)
        disconnect(sim)
        assert _refusal(daemon, name).code != 250
        assert daemon.send(users[1]["email"], "x@example.net", b"three\r\n").code == 250
        assert sim.state()["errors"] == []
