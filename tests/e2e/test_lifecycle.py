"""What outlives a restart, a rename and an old copy: access tokens, and the refresh token that
the endpoint gave out last; and no message that waits for a token."""
import re
import threading

import pytest

from lib.daemon import account
from lib.sim import Sim
from lib.tokens import TokenServer, token_of
from lib.util import PATIENCE, wait_until

A, B = "a@example.com", "b@example.com"
MICROSOFT = {"provider": "outlook"}


def metric(daemon, name):
    return int(re.search(r"^bearerd_%s (\d+)$" % name, daemon.admin.get("/metrics").text, re.M)[1])


@pytest.fixture
def database(start):
    """database(records, options): a bearerd on a database, with these accounts, started."""
    def make(records, conf=None, **options):
        daemon = start((), conf, start=False, **options)
        daemon.database = daemon.dir / "accounts.db"
        daemon.args[daemon.args.index("--accounts") + 1] = "sqlite:%s" % daemon.database
        daemon.start()
        for record in records:
            assert daemon.admin.post("/admin/accounts", dict(record, verify=False)).status == 200
        return daemon
    return make


@pytest.fixture
def rotating(certs):
    """A token endpoint of the strict kind: each refresh token serves once, and one that comes
    again revokes the grant. `current`: the one that is good, or None."""
    server = TokenServer(certs)
    server.current, server.lock = "refresh-a", threading.Lock()

    def answer(form, number):
        with server.lock:
            if form["refresh_token"] != server.current:
                server.current = None
                return 400, {"error": "invalid_grant", "error_description": "AADSTS70000: reuse"}, {}
            server.current = "rotated-%d" % number
            return 200, dict(server.good(form, number)[1], refresh_token=server.current), {}

    server.answer = answer
    yield server
    server.stop()


# --- access tokens over a restart -----------------------------------------------------


def all_octets(daemon):
    return b"".join(path.read_bytes() for path in daemon.dir.iterdir() if path.is_file())


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_asks_for_nothing(database, provider, tokens, end):
    daemon = database([account(A, provider, tokens), account(B, provider, tokens)])
    for user in (A, B):
        assert daemon.send(user, "x@example.net").code == 250
    assert len(tokens.requests) == 2
    if end == "kill":  # a while after they came
        wait_until(lambda: kept(daemon) == 2, 20, "tokens in the database")
        daemon.kill()
    else:
        daemon.stop()
    first = {login[1] for login in provider.logins}
    octets = all_octets(daemon)
    assert b"acc-a" in octets and not any(token.encode() in octets for token in first)
    daemon.start()
    for user in (A, B):
        assert daemon.send(user, "x@example.net").code == 250
        row = daemon.admin.get("/admin/accounts/acc-%s" % user[0])["account"]["token"]
        assert row["valid"] and row["expires_at"] and row["next_refresh"]
    assert len(tokens.requests) == 2, "a token request before it was due"
    assert {login[1] for login in provider.logins} == first


def kept(daemon):
    import sqlite3
    with sqlite3.connect("file:%s?mode=ro" % daemon.database, uri=True) as db:
        return db.execute("SELECT count(*) FROM access_token").fetchone()[0]


def test_a_rotation_and_its_access_token_are_one_write(database, provider, rotating):
    """kill -9 as soon as the token is used: the next start has both, and asks for nothing."""
    daemon = database([account(A, provider, rotating, **MICROSOFT)])
    assert daemon.send(A, "x@example.net").code == 250
    daemon.kill()
    daemon.start()
    assert daemon.send(A, "x@example.net").code == 250
    assert len(rotating.requests) == 1 and rotating.current == "rotated-1"


def test_another_grant_makes_a_kept_token_useless(database, provider, tokens):
    daemon = database([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    wait_until(lambda: kept(daemon) == 1, 20, "the token in the database")
    blocked = threading.Event()
    tokens.answer = lambda form, number: (blocked.wait(20), tokens.good(form, number))[1]
    assert daemon.admin.patch("/admin/accounts/acc-a", {"refresh_token": "refresh-new"}).status == 200
    daemon.kill()  # before the new grant has a token, while the old one's is kept
    blocked.set()
    provider.logins.clear()
    daemon.start()
    assert kept(daemon) == 1
    assert daemon.send(A, "x@example.net").code == 250
    assert {login[1][:22] for login in provider.logins} == {token_of("refresh-new", 0)[:22]}


def test_a_refused_token_does_not_come_back(database, make_provider, tokens):
    refused = set()
    provider = make_provider(check=lambda user, token: token not in refused)
    daemon = database([account(A, provider, tokens)], {"upstream.queue_wait": "1s",
                                                       "providers.gmail.max_messages_per_connection": 1})
    assert daemon.send(A, "x@example.net").code == 250
    wait_until(lambda: kept(daemon) == 1, 20, "the token in the database")
    old = provider.logins[-1][1]
    refused.add(old)
    go = threading.Event()
    tokens.answer = lambda form, number: (go.wait(30), tokens.good(form, number))[1]
    with daemon.client(A) as client:  # 535, and no other token in its place
        assert client.message(A, "x@example.net", b"x\r\n").code in (451, 454)
    daemon.wait_event("token_rejected")
    wait_until(lambda: kept(daemon) == 0, 20, "the refused token to go")
    daemon.kill()
    go.set()
    provider.logins.clear()
    daemon.start()
    assert daemon.send(A, "x@example.net").code == 250
    assert old not in {login[1] for login in provider.logins}


def test_accounts_json_keeps_none(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    daemon.stop()
    assert provider.logins[-1][1].encode() not in all_octets(daemon)
    daemon.start()
    assert daemon.send(A, "x@example.net").code == 250
    assert len(tokens.requests) == 2


# --- an old refresh token that comes back ---------------------------------------------


@pytest.mark.parametrize("store", ["database", "file"])
@pytest.mark.parametrize("verify", [True, False])
def test_an_old_copy_does_not_replace_a_rotated_token(database, start, provider, rotating, store, verify):
    old = account(A, provider, rotating, **MICROSOFT)
    daemon = database([old]) if store == "database" else start([old])
    assert daemon.send(A, "x@example.net").code == 250
    daemon.wait_event("refresh_token_saved")
    asked = len(rotating.requests)
    answer = daemon.admin.post("/admin/accounts", dict(old, overwrite=True, verify=verify))
    assert answer.status == 400 and answer["field"] == "refresh_token", answer
    assert "replaced" in answer["error"]
    answer = daemon.admin.post("/admin/accounts/batch", [dict(old, overwrite=True, verify=verify)])
    assert answer.status == 400 and "replaced" in answer.text
    answer = daemon.admin.patch("/admin/accounts/acc-a", {"refresh_token": "refresh-a"})
    assert answer.status == 400 and answer["field"] == "refresh_token", answer
    assert len(rotating.requests) == asked, "the endpoint saw the old one"
    if store == "database":  # nor after a restart
        daemon.stop()
        daemon.start()
        answer = daemon.admin.post("/admin/accounts", dict(old, overwrite=True, verify=verify))
        assert answer.status == 400 and answer["field"] == "refresh_token", answer
    assert daemon.send(A, "x@example.net").code == 250
    assert rotating.current is not None, "the grant was revoked"
    # One that is new is welcome.
    rotating.current = "refresh-new"
    answer = daemon.admin.post("/admin/accounts", dict(old, overwrite=True, refresh_token="refresh-new"))
    assert answer.status == 200, answer
    assert daemon.send(A, "x@example.net").code == 250


def test_one_that_the_verification_replaced_is_old_too(database, provider, rotating):
    daemon = database([])
    record = account(A, provider, rotating, **MICROSOFT)
    assert daemon.admin.post("/admin/accounts", record).status == 200
    assert rotating.current == "rotated-1"
    for restart in (False, True):
        if restart:
            daemon.stop()
            daemon.start()
        answer = daemon.admin.post("/admin/accounts", dict(record, overwrite=True, verify=False))
        assert answer.status == 400 and answer["field"] == "refresh_token", answer
    assert daemon.send(A, "x@example.net").code == 250
    assert len(rotating.requests) == 1


def test_an_old_file_is_set_right(start, provider, rotating):
    """By hand, while bearerd runs: the newest token is written again."""
    old = account(A, provider, rotating, **MICROSOFT)
    daemon = start([old])
    assert daemon.send(A, "x@example.net").code == 250
    daemon.wait_event("refresh_token_saved")
    daemon.write_accounts([dict(old, vmta_name="from-a-backup")])
    daemon.reload()
    daemon.wait_event("refresh_token_superseded")
    wait_until(lambda: daemon.stored_accounts()[0]["refresh_token"].startswith("rotated-"), 20,
               "the newest token in the file")
    assert daemon.stored_accounts()[0]["vmta_name"] == "from-a-backup"
    assert daemon.send(A, "x@example.net").code == 250
    assert rotating.current is not None


# --- another name, and what an overwrite sends ----------------------------------------


def test_renamed_during_its_refresh(database, provider, certs):
    """The answer that was on its way is the account's still."""
    tokens = TokenServer(certs)
    asked, go = threading.Event(), threading.Event()

    def answer(form, number):
        asked.set()
        assert go.wait(30)
        return 200, dict(tokens.good(form, number)[1], refresh_token="rotated-%d" % number), {}

    tokens.answer = answer
    daemon = database([account(A, provider, tokens, **MICROSOFT)])
    assert asked.wait(20 * PATIENCE)
    answered = daemon.admin.patch("/admin/accounts/acc-a", {"email": "new@example.com"})
    assert answered.status == 200
    go.set()
    daemon.wait_event("refresh_token_saved", account="acc-a")
    assert daemon.send("new@example.com", "x@example.net").code == 250
    assert daemon.events("account_renamed") and not daemon.events("account_removed")
    sent = [form["refresh_token"] for _, form in tokens.requests]
    assert sent[0] == "refresh-a" and len(sent) <= 2 and sent[1:] in ([], ["rotated-1"]), sent
    with daemon.client() as client:  # the old name is nobody's
        client.ehlo()
        assert client.cmd("AUTH PLAIN AGFAZXhhbXBsZS5jb20A").code == 535
    tokens.stop()


def test_the_extra_fields_of_an_account_are_verified_with(database, provider, tokens):
    record = account(A, provider, tokens, extra={"resource": "https://x.example/ y&z", "b": "\u00e9"})
    daemon = database([])
    assert daemon.admin.post("/admin/accounts", record).status == 200
    del record["extra"]
    assert daemon.admin.post("/admin/accounts", dict(record, overwrite=True)).status == 200
    first, second = [form for _, form in tokens.requests]
    assert first["resource"] == second["resource"] == "https://x.example/ y&z"
    assert first["b"] == second["b"] == "\u00e9"


# --- no message waits -----------------------------------------------------------------


def test_no_message_waits_over_an_expiry(start):
    """Mail all the time, over several lives of the token: it is replaced ahead of each end."""
    with Sim("m365", accounts=1, knobs={"token_expires_in": 8, "token_lives_s": 8}) as sim:
        record = sim.accounts()[0]
        daemon = start([record], {"providers.outlook.refresh_ahead": "4s",
                                  "providers.outlook.messages_per_minute": 0,
                                  # each message needs a login, and so a token
                                  "providers.outlook.max_messages_per_connection": 1,
                                  "upstream.logins_per_minute": 0,
                                  "admin.requests_per_second": 100000}, ca=sim.ca)
        user = record["email"]
        assert daemon.send(user, "x@example.net").code == 250  # it is warm now
        waited = metric(daemon, "relay_token_wait_total")
        with daemon.client(user) as client:
            while metric(daemon, "token_ok_total") < 5:
                assert client.message(user, "x@example.net", b"x\r\n").code == 250
        assert metric(daemon, "relay_token_wait_total") == waited, "a message waited for a token"
        assert sim.state()["errors"] == []
