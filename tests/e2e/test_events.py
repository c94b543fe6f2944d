"""Changes of accounts' states: a line of the log each, and an event for the webhook."""
import re

import pytest

from lib.daemon import account, run_bearerd
from lib.options import config_file
from lib.tokens import TokenServer
from lib.util import wait_until
from lib.webhook import SECRET, Receiver, is_genuine

A, B = "a@example.com", "b@example.com"
REVOKED = {"error": "invalid_grant",
           "error_description": "AADSTS50173: The provided grant has expired due to it being revoked."}


@pytest.fixture
def receiver():
    receivers = []

    def make(*args, **options):
        receivers.append(Receiver(*args, **options))
        return receivers[-1]

    yield make
    for one in receivers:
        one.stop()
    assert [error for one in receivers for error in one.errors] == []


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "webhook.secret"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture
def world(start, provider, certs, secret_file):
    """world(receiver, options): bearerd with two accounts; tokens.dead has the refresh tokens
    that the endpoint refuses."""
    servers = []

    def make(url, conf=None, accounts=None):
        tokens = TokenServer(certs)
        tokens.dead = set()
        tokens.answer = lambda form, number: (
            (400, REVOKED, {}) if form["refresh_token"] in tokens.dead else tokens.good(form, number))
        servers.append(tokens)
        records = accounts or [account(A, provider, tokens, provider="outlook"),
                               account(B, provider, tokens, provider="outlook")]
        for record in records:
            record["oauth_token_url"] = tokens.url
        options = {"events.webhook_url": getattr(url, "url", url),
                   "events.webhook_secret_file": str(secret_file), **(conf or {})}
        daemon = start(records, options)
        daemon.tokens = tokens
        return daemon

    yield make
    for server in servers:
        server.stop()


def metric(daemon, name):
    return int(re.search(r"^bearerd_%s (\d+)$" % name, daemon.admin.get("/metrics").text, re.M)[1])


def flip(daemon, times):
    """Each time two changes: the operator's, who says why."""
    for i in range(times):
        assert daemon.admin.post("/admin/accounts/acc-a/pause", {"reason": "test %d" % i}).status == 200
        assert daemon.admin.post("/admin/accounts/acc-a/resume").status == 200


def test_the_check_of_the_documents_can_fail():
    body, signature = b'{"x":1}', "t=1795667536,v1=c7ae42dfbeb3ba6ac07ae8ae4c5ad74b28bb0f9b2ce6bbb0c43aae8b4bc0a1fb"
    import hashlib
    import hmac
    right = hmac.new(SECRET.encode(), b"1795667536." + body, hashlib.sha256).hexdigest()
    assert is_genuine(SECRET, "t=1795667536,v1=" + right, body, tolerance=1e10)
    assert not is_genuine(SECRET, "t=1795667536,v1=" + right, body, tolerance=300 - 1e10)
    assert not is_genuine(SECRET, "t=1795667537,v1=" + right, body, tolerance=1e10)
    assert not is_genuine(SECRET, "t=1795667536,v1=" + right, body + b" ", tolerance=1e10)
    assert not is_genuine(SECRET, signature, body, tolerance=1e10)


def test_an_event_says_what_happened(world, receiver, certs):
    hook = receiver(certs)
    daemon = world(hook)
    daemon.tokens.dead.add("dead")
    assert daemon.admin.patch("/admin/accounts/acc-a", {"refresh_token": "dead"}).status == 200
    [event] = hook.wait(1, to="needs_consent")
    assert re.fullmatch("[0-9a-f]{32}", event.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("at"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("until"))
    assert "sign in again" in event.pop("hint")
    assert "AADSTS50173" in event.pop("provider_text")
    assert event == {"type": "account.state", "account": "acc-a", "email": A, "provider": "outlook",
                     "from": "active", "to": "needs_consent", "cause": "grant_revoked"}
    assert daemon.admin.patch("/admin/accounts/acc-a", {"refresh_token": "good"}).status == 200
    [recovery] = hook.wait(1, to="active", from_="needs_consent")
    assert (recovery["cause"], recovery["hint"], recovery["until"]) == (None, None, None)
    assert hook.requests[0][2] == "/hook" and hook.most_open == 1
    wait_until(lambda: metric(daemon, "events_sent_total") == len(hook.events), 10, "the counter")
    assert metric(daemon, "events_queued") == 0


def test_a_thousand_messages_make_one_line_and_one_event(world, receiver):
    """One event per change, not per message; and accounts that are fine make none at all."""
    hook = receiver()
    daemon = world(hook)
    daemon.tokens.dead.add("dead")
    assert daemon.admin.patch("/admin/accounts/acc-a", {"refresh_token": "dead"}).status == 200
    hook.wait(1, to="needs_consent")
    with daemon.client() as client:
        client.login(B, "")
        for _ in range(3):
            assert client.message(B, "x@example.net", b"x\r\n").code == 250
    refusals = 0
    while refusals < 1000:
        with daemon.client() as client:
            client.ehlo()
            reply = client.cmd("AUTH PLAIN AGFAZXhhbXBsZS5jb20A")
            for _ in range(5 if reply.code == 235 else 0):
                reply = client.cmd("MAIL FROM:<%s>" % A)
                assert reply.code >= 400
                refusals += 1
            refusals += reply.code >= 400
    assert daemon.admin.post("/admin/accounts/acc-b/pause", {"reason": "the end"}).status == 200
    hook.wait(1, account="acc-b", to="disabled")
    assert len(hook.events) == 2, hook.events
    daemon.wait_event("account_state", account="acc-b")
    assert len(daemon.events("account_state", account="acc-a")) == 1
    assert len(daemon.events("account_state")) == 2


def test_a_start_is_no_news(world, receiver, provider, tokens):
    hook = receiver()
    daemon = world(hook, accounts=[account(A, provider, tokens),
                                   account(B, provider, tokens, disabled=True)])
    assert daemon.send(A, "x@example.net").code == 250
    assert daemon.admin.post("/admin/accounts/acc-b/resume").status == 200
    [event] = hook.wait(1)
    assert (event["account"], event["from"], event["to"]) == ("acc-b", "disabled", "active")
    assert len(daemon.events("account_state")) == 1


@pytest.mark.parametrize("how", ["500", "503", "429", "408", "hangs"])
def test_a_receiver_that_fails_gets_it_again(world, receiver, how):
    def answer(event, number):
        if number > 2:
            return 200
        return None if how == "hangs" else (int(how), {"Retry-After": "1"})

    hook = receiver(answer=answer)
    daemon = world(hook, {"events.timeout": "1s"})
    flip(daemon, 1)
    hook.wait(2)
    wait_until(lambda: metric(daemon, "events_sent_total") == 2, 20, "delivery")
    ids = [event["id"] for event, *_ in hook.requests]
    assert ids == [ids[0]] * 3 + [ids[3]], "the same event until it was taken, then the next"
    assert [e["to"] for e in hook.events] == ["disabled", "active"]
    assert metric(daemon, "events_failed_total") == metric(daemon, "events_dropped_total") == 0
    assert len(daemon.events("webhook_down")) == 1 and daemon.wait_event("webhook_up")


def test_a_receiver_that_comes_later(world, receiver):
    """Down at the start; what happened meanwhile comes in its order."""
    hook = receiver(start=False)
    daemon = world(hook)
    flip(daemon, 3)
    daemon.wait_event("webhook_down")
    hook.start()
    hook.wait(6, timeout=20)
    assert [e["to"] for e in hook.events] == ["disabled", "active"] * 3
    assert [e["provider_text"] for e in hook.events[::2]] == [
        "the operator has disabled this account: test %d" % i for i in range(3)]


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 410])
def test_a_refusal_is_for_good_and_no_redirect_is_followed(world, receiver, status):
    other = receiver()
    hook = receiver(answer=lambda event, number:
                    (status, {"Location": other.url}) if number == 1 else 200)
    daemon = world(hook)
    flip(daemon, 1)
    hook.wait(2)
    wait_until(lambda: metric(daemon, "events_sent_total") == 1, 10, "the next one")
    assert metric(daemon, "events_failed_total") == 1
    assert len(hook.requests) == 2 and other.requests == []
    assert str(status) in daemon.wait_event("webhook_refused")["text"]


def test_the_oldest_make_way_and_are_counted(world, receiver):
    hook = receiver(start=False)
    daemon = world(hook, {"events.queue": "5"})
    flip(daemon, 10)
    wait_until(lambda: metric(daemon, "events_dropped_total") == 15, 10, "the counter")
    assert metric(daemon, "events_queued") == 5
    assert len(daemon.events("events_dropped")) == 1
    hook.start()
    hook.wait(5, timeout=20)
    wait_until(lambda: metric(daemon, "events_queued") == 0, 20, "an empty queue")
    assert "test 9" in hook.events[-2]["provider_text"] and hook.events[-1]["to"] == "active"


def test_what_a_receiver_says_does_not_matter(world, receiver):
    hook = receiver(answer=lambda event, number: 200)
    hook.body = b"<html>" + b"x" * 1000000
    daemon = world(hook)
    flip(daemon, 2)
    wait_until(lambda: metric(daemon, "events_sent_total") == 4, 20, "delivery")
    assert len(hook.requests) == 4


def test_the_health_check_tells_of_a_receiver_that_fails(world, receiver):
    hook = receiver(answer=lambda event, number: 500)
    daemon = world(hook)
    flip(daemon, 1)

    def reasons():
        return [text for text in daemon.admin.get("/health")["reasons"] if "events.webhook_url" in text]
    wait_until(reasons, 20, "a reason")
    hook.answer = None
    wait_until(lambda: not reasons(), 20, "that it is well again")


def test_the_secret_as_a_credential(start, provider, tokens, receiver, tmp_path):
    (tmp_path / "bearerd.webhook").write_text(SECRET + "\n")
    hook = receiver()
    daemon = start([account(A, provider, tokens)], {"events.webhook_url": hook.url},
                   env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    flip(daemon, 1)
    hook.wait(2)


def test_given_up_in_the_end(world, receiver):
    hook = receiver(answer=lambda event, number: 500)
    daemon = world(hook, {"events.retry_for": "1s"})
    flip(daemon, 1)
    wait_until(lambda: metric(daemon, "events_failed_total") == 2, 20, "that they are given up")
    assert metric(daemon, "events_queued") == metric(daemon, "events_sent_total") == 0


def test_another_receiver_by_a_reload(world, receiver):
    first, second = receiver(answer=lambda event, number: 500), receiver()
    daemon = world(first)
    flip(daemon, 1)
    first.wait(1)
    daemon.conf["events.webhook_url"] = second.url
    daemon.write_config()
    daemon.reload()
    second.wait(2, timeout=20)


def test_a_certificate_that_nobody_vouches_for(world, receiver, certs, start):
    hook = receiver(certs)
    daemon = world("https://127.0.0.2:%d/" % hook.port)
    flip(daemon, 1)
    daemon.wait_event("webhook_down")
    assert hook.requests == []


def test_the_secret_and_the_url_are_shown_to_nobody(world, receiver):
    hook = receiver()
    daemon = world(hook.url + "?key=in-the-url")
    flip(daemon, 1)
    hook.wait(2)
    options = {o["name"]: o["value"] for o in daemon.admin.get("/admin/config")["options"]}
    assert options["events.webhook_url"] == "(set)"
    assert hook.requests[0][2] == "/hook?key=in-the-url"
    shown = daemon.admin.get("/admin/config").text + daemon.process.text
    assert SECRET not in shown and "in-the-url" not in shown
    with open("/proc/%d/cmdline" % daemon.pid, "rb") as file:
        assert SECRET.encode() not in file.read()


@pytest.mark.parametrize("url, secret, word", [
    ("http://example.com/", SECRET, "https://"), ("http://127.0.0.1@example.com/", SECRET, "https://"),
    ("http://localhost:80@example.com/", SECRET, "https://"), ("ftp://localhost/", SECRET, "https://"),
    ("https://user:password@example.com/", SECRET, "https://"),
    ("https://example.com/", None, "webhook_secret_file"),
    ("https://example.com/", "short", "at least 16")])
def test_what_cannot_serve_is_said_at_the_start(tmp_path, url, secret, word):
    conf = {"events.webhook_url": url}
    if secret:
        (tmp_path / "secret").write_text(secret)
        conf["events.webhook_secret_file"] = str(tmp_path / "secret")
    (tmp_path / "config.yaml").write_text(config_file(conf, None, None))
    (tmp_path / "accounts.json").write_text("[]")
    code, out, err = run_bearerd("--check", "--config", tmp_path / "config.yaml", "--accounts",
                                 tmp_path / "accounts.json")
    assert code != 0 and word in out + err, out + err
    assert "password" not in out + err


def test_many_that_change_together(world, receiver, provider, tokens):
    """The first ones by name, the others as a number; the log loses none of them."""
    count = 1500
    records = [account("u%d@example.com" % i, provider, tokens) for i in range(count)]
    hook = receiver()
    daemon = world(hook, {"oauth.concurrency": "20"}, accounts=records)
    for record in records:
        record["disabled"] = True
    daemon.write_accounts(records)
    daemon.reload()
    [rest] = hook.wait(1, type="accounts.state", timeout=30)
    assert len(hook.wait(100, type="account.state")) == 100
    assert rest["accounts"] == count - 100 and (rest["from"], rest["to"]) == ("active", "disabled")
    assert rest["cause"] == "disabled" and rest["provider"] == "gmail"
    summary = daemon.wait_event("account_states")
    assert summary["accounts"] == count - 1000
    assert len(daemon.events("account_state")) == 1000
    assert not daemon.events("log_lines_dropped")
