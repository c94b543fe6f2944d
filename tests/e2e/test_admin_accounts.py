"""The admin API's accounts beyond the original's: one in full, patches, pauses, streams,
verification, pages, pools, export."""
import json
import threading
import time

import pytest

from lib.admin import Admin
from lib.daemon import Bearerd, password_hash
from lib.sim import Sim
from lib.util import wait_until
from lib.wire import Closed

ACCOUNTS = 6


@pytest.fixture
def sim():
    with Sim("gmail", accounts=ACCOUNTS) as sim:
        yield sim


@pytest.fixture
def daemon(sim):
    with Bearerd(certs=sim, accounts=sim.accounts()[:3]) as daemon:
        yield daemon


@pytest.fixture
def admin(daemon):
    return Admin(daemon.admin_port)


@pytest.fixture
def owner(daemon):
    return Admin(unix=daemon.dir / "bearerd.sock")


def email(sim, index):
    return sim.accounts()[index]["email"]


def made_up(sim, address):
    """A record of another address, which nobody verifies."""
    record = dict(sim.accounts()[3], email=address, verify=False)
    del record["account_id"]
    return record


def path_of(sim, index, rest=""):
    return "/admin/accounts/%s%s" % (email(sim, index), rest)


# --- one account ---------------------------------------------------------------------


def test_one_in_full(sim, daemon, admin):
    assert daemon.send(email(sim, 0), "b@example.net").code == 250
    account = admin.get(path_of(sim, 0))["account"]
    assert account["email"] == email(sim, 0) and account["state"] == "active"
    assert account["has_refresh_token"] and account["has_client_secret"]
    assert account["token"]["valid"] and account["token"]["refresh_token_saved"]
    assert account["pool"]["messages"]["delivered"] == 1 and account["pool"]["idle"] == 1
    # By id, and in any case of the letters.
    assert admin.get("/admin/accounts/" + account["account_id"])["account"]["email"] == email(sim, 0)
    assert admin.get("/admin/accounts/" + email(sim, 0).upper()).status == 200
    assert admin.get("/admin/accounts/nobody@example.test").status == 404


@pytest.mark.parametrize("error, state, by, cause", [
    ("invalid_grant", "needs_consent", "token", "grant_dead"),
    ("7000222", "misconfigured", "token", "secret_expired"),
    ("50196", "throttled", "token", "asked_too_often"),
    ("503", "throttled", "token", "endpoint_trouble"),
])
def test_state_says_why_and_what_to_do(sim, error, state, by, cause):
    sim.knobs(token_error=error)
    with Bearerd(certs=sim, accounts=sim.accounts()[:1]) as daemon:
        admin = Admin(daemon.admin_port)
        wait_until(lambda: admin.get(path_of(sim, 0))["account"]["token"]["failures"], 10, "a failure")
        with daemon.client() as client:  # mail that waits makes it an account's state
            client.ehlo()
            client.auth(email(sim, 0), "x", None)
        detail = wait_until(lambda: (lambda d: d["state"] == state and d)(
            admin.get(path_of(sim, 0))["account"]["state_detail"]), 10, "state " + state)
        assert (detail["by"], detail["cause"]) == (by, cause), detail
        assert detail["hint"] and detail["text"] and detail["since"]
        assert admin.get("/admin/accounts", state=state)["matching"] == 1
        assert admin.get("/admin/accounts", state="active")["matching"] == 0


# --- changes ---------------------------------------------------------------------------


def test_patch_changes_what_it_names(sim, daemon, admin):
    before = daemon.stored_accounts()
    answer = admin.patch(path_of(sim, 1), {"max_concurrent_messages": 5, "_note": "slow"})
    assert answer.status == 200 and answer["account"]["max_concurrent_messages"] == 5
    after = daemon.stored_accounts()
    assert after[1] == dict(before[1], max_concurrent_messages=5, _note="slow")
    assert (after[0], after[2]) == (before[0], before[2])
    answer = admin.patch(path_of(sim, 1), {"max_concurrent_messages": None, "_note": None})
    assert answer.status == 200 and daemon.stored_accounts() == before


@pytest.mark.parametrize("patch, status, field", [
    ({"max_concurrent_messages": 0}, 400, "max_concurrent_messages"),
    ({"max_concurrent_messages": "many"}, 400, "max_concurrent_messages"),
    ({"refresh_token": ""}, 400, "refresh_token"),
    ({"refresh_token": None}, 400, "refresh_token"),
    ({"nonsense": 1}, 400, "nonsense"),
    ({"tls": "never"}, 400, "tls"),
    ({}, 400, None),
    ([], 400, None),
])
def test_patch_refuses(sim, daemon, admin, patch, status, field):
    before = daemon.accounts.read_text()
    answer = admin.patch(path_of(sim, 1), patch)
    assert answer.status == status
    if field:
        assert answer["field"] == field
    assert daemon.accounts.read_text() == before


def test_patch_of_names_that_are_taken(sim, daemon, admin):
    before = daemon.accounts.read_text()
    assert admin.patch(path_of(sim, 1), {"email": email(sim, 0).upper()}).status == 409
    assert admin.patch(path_of(sim, 1),
                       {"account_id": sim.accounts()[0]["account_id"]}).status == 409
    assert daemon.accounts.read_text() == before


def test_a_renamed_account_is_another(sim, daemon, admin):
    answer = admin.patch(path_of(sim, 1), {"email": "renamed@example.test",
                                           "sasl_user": email(sim, 1)})
    assert answer.status == 200 and answer["account"]["email"] == "renamed@example.test"
    assert admin.get(path_of(sim, 1)).status == 404
    assert admin.get("/admin/accounts")["total_accounts"] == 3


def test_a_password_counts_at_once(sim, daemon, admin):
    """Sessions that were logged in before end; the old password does not serve."""
    client = daemon.client(email(sim, 0), "anything")
    answer = admin.patch(path_of(sim, 0), {"password_hash": password_hash("secret")})
    assert answer.status == 200 and answer["account"]["has_password"]
    with pytest.raises(Closed):
        client.expect(421)
        client.cmd("NOOP", 250)
    with daemon.client() as client:
        client.ehlo()
        client.auth(email(sim, 0), "anything", 535)
        client.auth(email(sim, 0), "secret", 235)


def test_pause_and_resume(sim, daemon, admin):
    assert daemon.send(email(sim, 0), "b@example.net").code == 250
    answer = admin.post(path_of(sim, 0, "/pause"), {"reason": "holidays"})
    assert answer.status == 200 and answer["account"]["state"] == "disabled"
    assert "holidays" in answer["account"]["state_text"]
    assert admin.post(path_of(sim, 1, "/pause"), {"reason": 5}).status == 400
    assert admin.post(path_of(sim, 1, "/pause"), {"reason": "two\nlines"}).status == 400
    with daemon.client() as client:
        client.ehlo()
        client.auth(email(sim, 0), "x", None)
        assert client.cmd("MAIL FROM:<%s>" % email(sim, 0)).code >= 400
    assert daemon.send(email(sim, 1), "b@example.net").code == 250
    # It survives a restart.
    daemon.stop()
    daemon.start()
    assert admin.get(path_of(sim, 0))["account"]["disabled"]
    answer = admin.post(path_of(sim, 0, "/resume"))
    assert answer["account"]["state"] == "active"
    assert daemon.send(email(sim, 0), "b@example.net").code == 250
    assert not {"disabled", "disabled_reason"} & set(daemon.stored_accounts()[0])


def test_deleting_ends_sessions_and_only_them(sim, daemon, admin):
    gone, stays = daemon.client(email(sim, 0)), daemon.client(email(sim, 1))
    assert admin.delete(path_of(sim, 0)).status == 200
    gone.expect(421)
    stays.cmd("NOOP", 250)
    assert stays.message(email(sim, 1), "b@example.net", b"x\r\n").code == 250
    stays.close()


def test_a_new_secret_is_used_at_once(sim, daemon, admin):
    """An account that needs consent gets a new refresh token, and sends."""
    sim.revoke(email(sim, 0), "all")
    for _ in range(2):  # one answer alone is not believed while there is a token
        answer = admin.post(path_of(sim, 0, "/verify"))
        assert answer.status == 200 and answer["verdict"] == "consent"
    assert admin.get(path_of(sim, 0))["account"]["state"] == "needs_consent"
    fresh = sim.add_account("fresh@example.test")
    record = dict(sim.accounts()[0], overwrite=True, client_id=fresh["client_id"],
                  client_secret=fresh["client_secret"], refresh_token=fresh["refresh_token"])
    assert admin.post("/admin/accounts", record).status == 200
    assert admin.get(path_of(sim, 0))["account"]["state"] == "active"


def test_secrets_are_not_sent_where_just_anybody_says(sim, daemon, admin, owner):
    """Who may write, but has not the account's secrets, cannot have them sent to himself."""
    account = sim.accounts()[0]
    elsewhere = {"oauth_token_url": "https://localhost:1/token"}
    for patch in (elsewhere, {"oauth_endpoint": "localhost:1"},
                  dict(elsewhere, refresh_token=account["refresh_token"])):
        answer = admin.patch(path_of(sim, 0), patch)
        assert answer.status == 403 and answer["field"] in patch
    record = dict(account, overwrite=True, verify=False, **elsewhere)
    del record["client_secret"]
    answer = admin.post("/admin/accounts", record)
    assert answer.status == 400 and answer["field"] == "client_secret"
    assert daemon.stored_accounts()[0]["oauth_token_url"] == sim.url
    secrets = {key: account[key] for key in ("refresh_token", "client_secret")}
    assert admin.patch(path_of(sim, 0), dict(elsewhere, **secrets)).status == 200
    assert owner.patch(path_of(sim, 0), {"oauth_token_url": sim.url}).status == 200


def test_a_replacement_takes_back_nothing_that_was_changed_meanwhile(sim, daemon, admin):
    """What a request does not name is the account's, as it is when the request is done: the
    endpoint may have been asked for long."""
    sim.knobs(token_delay_ms=1500)
    asked = sim.user(email(sim, 0))["refreshes"]
    record = dict(sim.accounts()[0], overwrite=True)
    for key in ("vmta_name", "client_secret", "oauth_token_url", "account_id", "ip_address"):
        record.pop(key, None)
    done = []
    thread = threading.Thread(target=lambda: done.append(admin.post("/admin/accounts", record)))
    thread.start()
    wait_until(lambda: sim.user(email(sim, 0))["refreshes"] > asked, 10, "the verification")
    assert admin.patch(path_of(sim, 0), {"vmta_name": "other", "ip_address": "127.0.0.9"}).status == 200
    thread.join()
    assert done[0].status == 200, done[0]
    stored = daemon.stored_accounts()[0]
    assert (stored["vmta_name"], stored["ip_address"]) == ("other", "127.0.0.9")
    assert stored["client_secret"] == sim.accounts()[0]["client_secret"]
    assert done[0]["account"]["vmta_name"] == "other"


def test_another_provider_gets_nothing_of_the_old_one(sim, daemon, admin):
    record = dict(email=email(sim, 0), provider="outlook", client_id=sim.accounts()[0]["client_id"],
                  refresh_token="new-one", overwrite=True, verify=False)
    answer = admin.post("/admin/accounts", record)
    assert answer.status == 200, answer
    assert answer["account"]["oauth_endpoint"] == "smtp.office365.com:587"
    assert answer["account"]["oauth_token_url"].startswith("https://login.microsoftonline.com/")
    assert "client_secret" not in daemon.stored_accounts()[0]


def test_secrets_of_a_record_that_cannot_serve_stay_where_they_are(sim):
    """It is no account, but its place is taken, and what it had must not go elsewhere."""
    broken = dict(sim.accounts()[1], provider="outlook", max_concurrent_messages=0,
                  extra={"key": "s3cret"}, _note="kept")
    with Bearerd(certs=sim, accounts=[sim.accounts()[0], broken]) as daemon:
        record = dict(email=broken["email"], provider="outlook", client_id=broken["client_id"],
                      refresh_token="mine", max_concurrent_messages=1, verify=False, overwrite=True,
                      oauth_endpoint="localhost:1", oauth_token_url="https://localhost:1/token")
        answer = Admin(daemon.admin_port).post("/admin/accounts", record)
        assert answer.status == 200, answer
        stored = daemon.stored_accounts()[1]
        assert stored["oauth_token_url"] == record["oauth_token_url"] and stored["_note"] == "kept"
        assert "client_secret" not in stored and "extra" not in stored


# --- verification ----------------------------------------------------------------------


def test_verify_one(sim, daemon, admin):
    answer = admin.post(path_of(sim, 0, "/verify"))
    assert answer.status == 200 and answer["verdict"] == "ok" and answer["success"]
    answer = admin.post(path_of(sim, 0, "/verify"), {"smtp": True})
    assert [step["step"] for step in answer["steps"]] == ["token", "smtp"]
    assert answer["verdict"] == "ok"
    sim.knobs(scope=email(sim, 0), reject_auth=1)
    answer = admin.post(path_of(sim, 0, "/verify"), {"smtp": True})
    assert answer["verdict"] == "smtp" and not answer["success"] and "5.7.8" in answer["error"]
    assert admin.post(path_of(sim, 0, "/verify"), {"smtp": "yes"}).status == 400
    assert admin.post("/admin/accounts/nobody@example.test/verify").status == 404


@pytest.mark.parametrize("error, verdict", [("invalid_grant", "consent"), ("7000222", "application"),
                                            ("503", "transient"), ("429", "throttled")])
def test_verify_tells_what_the_endpoint_said(sim, daemon, admin, error, verdict):
    before = daemon.accounts.read_text()
    sim.knobs(token_error=error)
    answer = admin.post(path_of(sim, 0, "/verify"))
    assert answer.status == 200 and answer["verdict"] == verdict
    assert daemon.accounts.read_text() == before


def test_verify_many(sim, daemon, admin):
    sim.revoke(email(sim, 1), "refresh")
    lines = admin.post("/admin/accounts/verify", {"all": True, "smtp": True}).lines
    results = {line["email"]: line for line in lines if "email" in line}
    assert len(results) == 3
    assert results[email(sim, 1)]["verdict"] == "consent"
    assert results[email(sim, 0)]["verdict"] == "ok"
    assert lines[-1]["summary"]["ok"] == 2 and lines[-1]["summary"]["failed"] == 1
    lines = admin.post("/admin/accounts/verify", {"state": "needs_consent"}).lines
    assert [line["email"] for line in lines if "email" in line] in ([], [email(sim, 1)])
    lines = admin.post("/admin/accounts/verify", {"emails": [email(sim, 2)]}).lines
    assert [line["email"] for line in lines if "email" in line] == [email(sim, 2)]
    assert admin.post("/admin/accounts/verify", {}).status == 400
    assert admin.post("/admin/accounts/verify", {"emails": ["nobody@x.test"]}).status == 404
    assert admin.post("/admin/accounts/verify", {"emails": [5]}).status == 400
    assert admin.post("/admin/accounts/verify", {"state": "unheard-of"}).status == 400


def test_verification_keeps_a_rotated_token():
    """Microsoft gives a new refresh token with each answer: what is stored is the newest,
    and the old one is not used again."""
    with Sim("m365", accounts=4, knobs={"token_rotation": "revoke"}) as sim:
        accounts = sim.accounts()
        with Bearerd(certs=sim) as daemon:
            admin = Admin(daemon.admin_port)
            answer = admin.post("/admin/accounts/batch", accounts)
            assert answer.status == 200, answer
            stored = {a["email"]: a["refresh_token"] for a in daemon.stored_accounts()}
            for account in accounts:
                assert stored[account["email"]] != account["refresh_token"]
            for account in accounts:
                assert admin.post("/admin/accounts/%s/verify" % account["email"])["verdict"] == "ok"
            daemon.stop()
            daemon.start()
            for account in accounts:
                assert daemon.send(account["email"], "b@example.net").code == 250


def test_an_account_that_was_mended_meanwhile_is_not_removed(sim, daemon, admin):
    """DELETE invalid takes as long as the slowest endpoint; who signs in anew before its end
    keeps the account."""
    sim.revoke(email(sim, 0), "refresh")
    sim.knobs(scope=email(sim, 2), token_delay_ms=3000)
    done = []
    thread = threading.Thread(target=lambda: done.append(
        admin.delete("/admin/accounts/invalid")))
    thread.start()
    wait_until(lambda: admin.get(path_of(sim, 0))["account"]["token"]["failures"], 10, "a verdict")
    fresh = sim.add_account("fresh@example.test")
    record = dict(sim.accounts()[0], overwrite=True, client_id=fresh["client_id"],
                  client_secret=fresh["client_secret"], refresh_token=fresh["refresh_token"])
    assert admin.post("/admin/accounts", record).status == 200
    assert not done
    thread.join()
    assert done[0].status == 404, done[0]
    assert admin.get("/admin/accounts")["total_accounts"] == 3


def test_nobody_is_asked_for_a_client_that_has_gone():
    with Sim("gmail", accounts=40) as sim:
        with Bearerd(certs=sim, accounts=sim.accounts(), conf={"oauth.concurrency": 1}) as daemon:
            admin = Admin(daemon.admin_port)
            wait_until(lambda: sim.state()["totals"]["refreshes"] == 40, 20, "first tokens")
            sim.knobs(token_delay_ms=50)
            connection = admin.connect()
            connection.request("POST", "/admin/accounts/verify", '{"all": true}',
                               {"Content-Type": "application/json"})
            connection.getresponse().readline()
            connection.close()
            daemon.wait_event("admin_request", path="/admin/accounts/verify")
            # One at a time: behind so many more, the other client's had all had their turn.
            for _ in range(45):
                assert admin.post("/admin/accounts/%s/verify" % email(sim, 0))["verdict"] == "ok"
            assert sim.user(email(sim, 38))["refreshes"] == 1


def test_what_verifications_remember_has_a_bound(sim, daemon, admin):
    """Each takes memory until its last answer came, also when its client has gone."""
    sim.knobs(token_delay_ms=2000)
    body = json.dumps({"emails": [email(sim, n % 3) for n in range(900)]})
    connections = [admin.connect() for _ in range(2)]
    for connection in connections:
        connection.request("POST", "/admin/accounts/verify", body, {"Content-Type": "application/json"})
    statuses = sorted(connection.getresponse().status for connection in connections)
    assert statuses == [200, 503]
    answer = admin.delete("/admin/accounts/invalid")
    assert answer.status in (404, 503)
    for connection in connections:
        connection.close()


# --- streams ---------------------------------------------------------------------------


def test_stream_of_records(sim, daemon, admin):
    records = [dict(sim.accounts()[0], overwrite=True), sim.accounts()[1], sim.accounts()[3],
               dict(sim.accounts()[4], refresh_token="dead"), dict(sim.accounts()[5], email="?"),
               sim.accounts()[3]]
    body = "\n".join(map(json.dumps, records)) + "\n\n{\n[1]\n"
    answer = admin.request("POST", "/admin/accounts/batch", body,
                           headers={"Content-Type": "application/x-ndjson"})
    assert answer.status == 200
    lines = answer.lines
    by_record = {line["record"]: line for line in lines if "record" in line}
    assert [by_record[n]["ok"] for n in range(1, 9)] == [True, False, True] + [False] * 5
    assert by_record[1]["action"] == "updated" and by_record[3]["action"] == "added"
    assert by_record[3]["verified"]
    assert "account already" in by_record[2]["error"]
    assert "invalid_grant" in by_record[4]["error"]
    assert by_record[5]["field"] == "email"
    assert "record 3" in by_record[6]["error"]
    assert "line 8" in by_record[7]["error"]
    # What is wrong with it is told without quoting it: it may be a secret.
    body = '{"email": "a@example.test", "client_secret" "s3cret"}\n'
    answer = admin.request("POST", "/admin/accounts/batch", body,
                           headers={"Content-Type": "application/x-ndjson"})
    assert "':' expected" in answer.lines[0]["error"] and "s3cret" not in answer.text
    summary = lines[-1]["summary"]
    assert (summary["added_count"], summary["updated_count"], summary["failed_count"]) == (1, 1, 6)
    assert summary["success"] == "partial" and summary["total_accounts"] == 4
    assert daemon.send(email(sim, 3), "b@example.net").code == 250


def test_stream_of_many(sim, daemon, admin):
    """More than is checked in one turn, than is asked at once, and than one line of progress;
    mail goes on meanwhile."""
    records = [made_up(sim, "u%d@example.test" % i) for i in range(1500)]
    sent = []
    stop = threading.Event()

    def mail():
        while not stop.is_set():
            sent.append(daemon.send(email(sim, 0), "b@example.net").code)

    thread = threading.Thread(target=mail)
    thread.start()
    try:
        lines = admin.lines("/admin/accounts/batch", records).lines
    finally:
        stop.set()
        thread.join()
    assert lines[-1]["summary"]["added_count"] == 1500
    assert any("progress" in line for line in lines)
    assert admin.get("/admin/accounts")["total_accounts"] == 1503
    assert len(daemon.stored_accounts()) == 1503
    assert sent and set(sent) == {250}


@pytest.mark.parametrize("body", ["", "\n\n", "\n".join(["{}"] * 10001)])
def test_stream_bad_input(admin, body):
    answer = admin.request("POST", "/admin/accounts/batch", body,
                           headers={"Content-Type": "application/x-ndjson"})
    assert answer.status == 400 and "10000" in answer["error"]


def test_a_throttled_endpoint_slows_a_batch_down_and_loses_nothing(sim, daemon, admin):
    sim.knobs(token_error="429", token_retry_after=1, count=2)
    answer = admin.post("/admin/accounts/batch", sim.accounts()[3:])
    assert answer.status == 200 and answer["added_count"] == 3, answer


def test_a_client_that_goes_during_a_batch_changes_nothing_of_it(sim, daemon, admin):
    sim.knobs(token_delay_ms=300)
    connection = admin.connect()
    connection.request("POST", "/admin/accounts/batch", json.dumps(sim.accounts()[3:]),
                       {"Content-Type": "application/json"})
    wait_until(lambda: sim.state()["totals"]["refreshes"] >= 0, 5, "")
    connection.close()
    wait_until(lambda: admin.get("/admin/accounts")["total_accounts"] == 6, 10, "the accounts")


def test_the_end_during_a_batch(sim, daemon, admin):
    """Neither hangs nor crashes; whatever the client is told, the file is whole."""
    sim.knobs(token_delay_ms=2000)
    connection = admin.connect()
    connection.request("POST", "/admin/accounts/batch", json.dumps(sim.accounts()[3:]),
                       {"Content-Type": "application/json"})
    verify = admin.connect()
    verify.request("POST", "/admin/accounts/verify", '{"all": true, "smtp": true}',
                   {"Content-Type": "application/json"})
    wait_until(lambda: admin.get("/admin/status").status == 200, 5, "an answer")
    daemon.stop()
    connection.close()
    verify.close()
    assert len(daemon.stored_accounts()) in (3, 6)  # all of the batch, or nothing of it


def test_a_reload_during_a_batch(sim, daemon, admin):
    """The records were checked against a configuration that is replaced meanwhile."""
    sim.knobs(token_delay_ms=300)
    done = []
    thread = threading.Thread(target=lambda: done.append(
        admin.post("/admin/accounts/batch", sim.accounts()[3:])))
    thread.start()
    for n in range(3):
        daemon.reload()
        daemon.wait_event("reloaded", count=n + 1)
    thread.join()
    assert done[0].status == 200
    assert admin.get("/admin/accounts")["total_accounts"] == 6
    daemon.reload()
    daemon.wait_event("reloaded", count=4)
    assert admin.get("/admin/accounts")["total_accounts"] == 6


# --- lists -----------------------------------------------------------------------------


def test_pages_and_filters(sim, daemon, admin):
    records = [made_up(sim, "u%d@%s" % (i, "odd.test" if i % 2 else "even.test"))
               for i in range(50)]
    admin.lines("/admin/accounts/batch", records)
    seen, after = [], None
    while True:
        page = admin.get("/admin/accounts", limit=20, **({"after": after} if after else {}))
        seen += [item["email"] for item in page["accounts"]]
        after = page["next"]
        if not after:
            break
    assert len(seen) == 53 and len(set(seen)) == 53
    assert admin.get("/admin/accounts", domain="EVEN.test")["matching"] == 25
    assert admin.get("/admin/accounts", q="U1", domain="odd.test")["matching"] == 6
    assert admin.get("/admin/accounts", provider="outlook")["matching"] == 0
    assert admin.get("/admin/tokens", email=email(sim, 0))["tokens"][0]["valid"]
    for query in ({"limit": 0}, {"limit": "x"}, {"after": "x"}, {"state": "?"}, {"nonsense": 1}):
        assert admin.get("/admin/accounts", **query).status == 400


def test_a_page_goes_on_behind_an_account_that_was_removed(sim, daemon, admin):
    page = admin.get("/admin/accounts", limit=1)
    admin.delete("/admin/accounts/" + page["accounts"][0]["email"])
    rest = admin.get("/admin/accounts", limit=10, after=page["next"])
    assert [a["email"] for a in rest["accounts"]] == [email(sim, 1), email(sim, 2)]


def test_pools_and_limits(sim, daemon, admin):
    assert admin.get("/admin/pools")["pools"] == []
    for i in range(3):
        assert daemon.send(email(sim, i), "b@example.net").code == 250
    pools = admin.get("/admin/pools")["pools"]
    assert sorted(pool["email"] for pool in pools) == sorted(email(sim, i) for i in range(3))
    assert all(pool["messages"]["delivered"] == 1 for pool in pools)
    page = admin.get("/admin/pools", limit=2)
    rest = admin.get("/admin/pools", limit=2, after=page["next"])
    assert len(page["pools"]) == 2 and len(rest["pools"]) == 1 and rest["next"] is None
    limit = admin.get("/admin/limits", email=email(sim, 0))["limits"][0]
    assert (limit["connections"]["used"], limit["connections"]["limit"]) == (1, 10)
    assert limit["logins_per_minute"]["used"] == 1
    assert admin.get("/admin/pools", email="nobody@example.test").status == 404


# --- export ------------------------------------------------------------------------------


def test_export(sim, daemon, admin, owner):
    open_records = admin.get("/admin/accounts/export").lines
    assert [r["email"] for r in open_records] == [email(sim, i) for i in range(3)]
    secrets = [a[key] for a in sim.accounts() for key in ("refresh_token", "client_secret")]
    text = json.dumps(open_records)
    assert not any(secret in text for secret in secrets)
    answer = admin.get("/admin/accounts/export", secrets="true")
    assert answer.status == 403
    records = owner.get("/admin/accounts/export", secrets="true").lines
    assert records == daemon.stored_accounts()
    daemon.wait_event("secrets_exported")


# --- what was changed stays ----------------------------------------------------------------


def test_changes_survive_a_kill(sim, daemon, admin):
    admin.post("/admin/accounts", sim.accounts()[3])
    admin.patch(path_of(sim, 0), {"max_concurrent_messages": 9})
    admin.delete(path_of(sim, 1))
    daemon.kill()
    daemon.start()
    accounts = {a["email"] for a in admin.get("/admin/accounts")["accounts"]}
    assert accounts == {email(sim, 0), email(sim, 2), email(sim, 3)}
    assert admin.get(path_of(sim, 0))["account"]["max_concurrent_messages"] == 9


def test_an_edit_by_hand_beside_the_api(sim, daemon, admin):
    """Neither loses the other's change."""
    records = daemon.stored_accounts()
    records.append(sim.accounts()[3])
    daemon.write_accounts(records)
    wait_until(lambda: admin.get("/admin/accounts")["total_accounts"] == 4, 10, "the edit")
    assert admin.post("/admin/accounts", sim.accounts()[4]).status == 200
    assert admin.get("/admin/accounts")["total_accounts"] == 5
    assert len(daemon.stored_accounts()) == 5
