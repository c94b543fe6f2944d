"""A user of the original: his config.json, his accounts.json, his scripts against the
admin port. Each documented route, field and status code, spoken with nothing but the
standard library, as such scripts do."""
import json
import urllib.error
import urllib.request

import pytest

from lib.daemon import Bearerd
from lib.sim import Sim

ITEM = {"account_id", "email", "ip_address", "vmta_name", "provider", "oauth_endpoint",
        "oauth_token_url"}

# As the original ships it, in shape: comments, sections, keys that did nothing there.
CONFIG = {
    "_comment": "configuration of the proxy",
    "global": {
        "concurrency": {"global_concurrency_limit": 100, "backpressure_queue_size": 1000,
                        "connection_backlog": 100},
        "timeouts": {"oauth2_timeout": 10, "smtp_command_timeout": 300, "smtp_data_timeout": 300},
        "oauth2": {"token_refresh_buffer_seconds": 300, "token_cache_ttl_seconds": 60},
        "http_pool": {"total_connections": 500, "connections_per_host": 100},
        "smtp": {"use_source_ip_binding": True, "validate_source_ip": True, "use_ipv6": False},
        "logging": {"level": "DEBUG"},
    },
    "providers": {
        "gmail": {"connection_pool": {"max_connections_per_account": 40,
                                      "max_messages_per_connection": 50},
                  "retry": {"max_attempts": 2, "jitter_enabled": True}},
        "outlook": {}, "default": {},
    },
}


class Script:
    """What a shell script with curl, or the original's helper, does."""

    def __init__(self, port):
        self.base = "http://127.0.0.1:%d" % port

    def call(self, method, path, body=None):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, self.read(answer)
        except urllib.error.HTTPError as error:
            return error.code, self.read(error)

    @staticmethod
    def read(answer):
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


@pytest.fixture
def sim():
    with Sim("gmail", accounts=8) as sim:
        yield sim


def original_record(sim, index):
    """All keys that the original demands in its file."""
    record = dict(sim.accounts()[index])
    record.setdefault("ip_address", "")
    record["vmta_name"] = record.get("vmta_name") or "vmta-%d" % index
    return record


@pytest.fixture
def daemon(sim):
    records = [original_record(sim, i) for i in range(2)]
    with Bearerd(certs=sim, accounts=records, raw_config=json.dumps(CONFIG, indent=2)) as daemon:
        yield daemon


@pytest.fixture
def script(daemon):
    return Script(daemon.admin_port)


def request_of(sim, index, **more):
    """What a script posts: the required fields; the simulator is no public provider,
    so it names its servers too."""
    record = sim.accounts()[index]
    keys = ("email", "provider", "client_id", "client_secret", "refresh_token", "oauth_endpoint",
            "oauth_token_url")
    return dict({key: record[key] for key in keys}, **more)


def assert_error(answer, status):
    assert answer[0] == status, answer
    assert answer[1]["success"] is False and isinstance(answer[1]["error"], str) and answer[1]["error"]


def test_health(script):
    status, body = script.call("GET", "/health")
    assert status == 200
    assert body["status"] == "healthy" and body["service"] == "xoauth2-proxy-admin"


def test_list(script):
    status, body = script.call("GET", "/admin/accounts")
    assert status == 200
    assert body["success"] is True and body["total_accounts"] == 2
    assert len(body["accounts"]) == 2
    for item in body["accounts"]:
        assert ITEM <= set(item)
    text = json.dumps(body)
    assert "refresh" not in text and "GOCSPX" not in text


def test_add_and_use_at_once(sim, daemon, script):
    status, body = script.call("POST", "/admin/accounts", request_of(sim, 2))
    assert status == 200, body
    assert body["success"] is True and body["total_accounts"] == 3 and body["message"]
    item = body["account"]
    assert ITEM <= set(item)
    email = sim.accounts()[2]["email"]
    assert item["account_id"] == "gmail_" + email.replace("@", "_").replace(".", "_")
    assert item["vmta_name"] == "vmta-gmail-" + email.split("@")[0]
    assert item["ip_address"] == ""
    assert daemon.send(email, "b@example.net").code == 250
    assert sim.user(email)["refreshes"] == 1, "the token of the verification serves"
    # The file is a bare array with all that the original's loader demands.
    stored = json.loads(daemon.accounts.read_text())
    assert isinstance(stored, list) and len(stored) == 3
    assert {"account_id", "email", "ip_address", "vmta_name", "provider", "client_id",
            "refresh_token", "oauth_endpoint", "oauth_token_url", "client_secret"} == set(stored[2])


@pytest.mark.parametrize("change, word", [
    ({"email": None}, "email"),
    ({"email": "no-address"}, "email"),
    ({"provider": "unknown", "oauth_endpoint": None}, "provider"),
    ({"provider": None}, "provider"),
    ({"client_id": None}, "client_id"),
    ({"client_secret": None}, "client_secret"),
    ({"refresh_token": None}, "refresh_token"),
    ({"refresh_token": ""}, "refresh_token"),
    ({"oauth_token_url": "http://insecure.example/token"}, "oauth_token_url"),
    ({"ip_address": "not an address"}, "ip_address"),
    ({"email": 5}, "email"),
    ({"verify": "yes"}, "verify"),
    ({"overwrite": 1}, "overwrite"),
], ids=lambda value: json.dumps(value) if isinstance(value, dict) else None)
def test_add_refuses(sim, script, change, word):
    record = request_of(sim, 2, **{k: v for k, v in change.items() if v is not None})
    for key, value in change.items():
        if value is None:
            del record[key]
    answer = script.call("POST", "/admin/accounts", record)
    assert_error(answer, 400)
    assert word in answer[1]["error"] and answer[1]["field"] == word
    assert script.call("GET", "/admin/accounts")[1]["total_accounts"] == 2


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b'"text"', b'{"email": "a@b", "email": "c@d"}'])
def test_add_invalid_json(script, body):
    assert_error(script.call("POST", "/admin/accounts", body), 400)


def test_add_existing(sim, daemon, script):
    email = sim.accounts()[0]["email"]
    before = daemon.accounts.read_text()
    answer = script.call("POST", "/admin/accounts", request_of(sim, 0, email=email.upper()))
    assert_error(answer, 409)
    assert daemon.accounts.read_text() == before
    status, body = script.call("POST", "/admin/accounts", request_of(sim, 0, overwrite=True))
    assert status == 200 and body["total_accounts"] == 2


def test_existing_is_told_before_anybody_is_asked(sim, script):
    """The original asked first, and so replaced the live token of the account."""
    record = request_of(sim, 0, refresh_token="another one")
    sim.knobs(token_error="invalid_grant")
    assert_error(script.call("POST", "/admin/accounts", record), 409)


def test_overwrite_keeps_what_it_does_not_name(sim, daemon, script):
    records = daemon.stored_accounts()
    records[0].update(max_concurrent_messages=7, _note="VIP",
                      connection_settings={"max_connections_per_account": 1})
    daemon.write_accounts(records)
    daemon.reload()
    daemon.wait_event("reloaded")
    assert script.call("POST", "/admin/accounts", request_of(sim, 0, overwrite=True))[0] == 200
    stored = daemon.stored_accounts()[0]
    assert stored["max_concurrent_messages"] == 7 and stored["_note"] == "VIP"
    assert stored["connection_settings"] == {"max_connections_per_account": 1}


def test_add_verification_fails(sim, script):
    answer = script.call("POST", "/admin/accounts", request_of(sim, 2, refresh_token="dead"))
    assert_error(answer, 400)
    assert "invalid_grant" in answer[1]["error"]
    assert script.call("GET", "/admin/accounts")[1]["total_accounts"] == 2
    # Without verification it is the operator's word.
    assert script.call("POST", "/admin/accounts",
                       request_of(sim, 2, refresh_token="dead", verify=False))[0] == 200


def test_batch(sim, daemon, script):
    status, body = script.call("POST", "/admin/accounts/batch",
                               [request_of(sim, i) for i in range(2, 6)])
    assert status == 200, body
    assert body["success"] is True and body["added_count"] == 4 and body["total_accounts"] == 6
    for i in range(2, 6):
        assert daemon.send(sim.accounts()[i]["email"], "b@example.net").code == 250


def test_batch_of_no_verification(sim, script):
    """The original answered 500 here."""
    status, body = script.call("POST", "/admin/accounts/batch",
                               [request_of(sim, i, verify=False) for i in range(2, 4)])
    assert (status, body["added_count"]) == (200, 2)


def test_batch_partial(sim, daemon, script):
    """The failure is charged to the record that failed, whatever the others ask for."""
    records = [request_of(sim, 2, verify=False), request_of(sim, 3, refresh_token="dead"),
               request_of(sim, 4)]
    status, body = script.call("POST", "/admin/accounts/batch", records)
    assert status == 206, body
    assert body["success"] == "partial"
    assert (body["added_count"], body["failed_count"]) == (2, 1)
    assert [f["email"] for f in body["failed_accounts"]] == [sim.accounts()[3]["email"]]
    assert "invalid_grant" in body["failed_accounts"][0]["error"]
    assert body["failed_accounts"][0]["record"] == 2
    emails = {a["email"] for a in daemon.stored_accounts()}
    assert sim.accounts()[3]["email"] not in emails and sim.accounts()[4]["email"] in emails
    # ... and is not remembered into the next answer.
    status, body = script.call("POST", "/admin/accounts/batch", [request_of(sim, 5)])
    assert status == 200 and "failed_accounts" not in body


def test_batch_all_fail(sim, script):
    records = [request_of(sim, i, refresh_token="dead") for i in range(2, 5)]
    status, body = script.call("POST", "/admin/accounts/batch", records)
    assert status == 400 and body["success"] is False and body["added_count"] == 0
    assert len(body["failed_accounts"]) == 3


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b"[1]"])
def test_batch_bad_input(script, body):
    assert_error(script.call("POST", "/admin/accounts/batch", body), 400)


def test_batch_too_many(sim, script):
    records = [request_of(sim, 2, email="n%d@example.test" % i, verify=False) for i in range(101)]
    answer = script.call("POST", "/admin/accounts/batch", records)
    assert_error(answer, 400)
    assert "ndjson" in answer[1]["error"]


def test_batch_one_bad_record_changes_nothing(sim, daemon, script):
    before = daemon.accounts.read_text()
    bad = request_of(sim, 3, email="nobody")
    status, body = script.call("POST", "/admin/accounts/batch", [request_of(sim, 2), bad])
    assert status == 400 and body["added_count"] == 0
    assert [(f["record"], f["field"]) for f in body["failed_accounts"]] == [(2, "email")]
    assert daemon.accounts.read_text() == before


def test_batch_duplicates(sim, daemon, script):
    before = daemon.accounts.read_text()
    status, body = script.call("POST", "/admin/accounts/batch",
                               [request_of(sim, 0), request_of(sim, 2)])
    assert status == 409 and body["success"] is False
    assert body["duplicates"] == [sim.accounts()[0]["email"]]
    assert body["failed_accounts"][0]["record"] == 1
    # Twice in one batch, in another case of the letters.
    twice = request_of(sim, 2, email=sim.accounts()[2]["email"].upper())
    status, body = script.call("POST", "/admin/accounts/batch", [request_of(sim, 2), twice])
    assert status == 409 and "record 1" in body["failed_accounts"][0]["error"]
    # Names that make the same id.
    pair = [request_of(sim, 2, email="a.b@example.test", verify=False),
            request_of(sim, 3, email="a_b@example.test", verify=False)]
    status, body = script.call("POST", "/admin/accounts/batch", pair)
    assert status == 409 and "account_id" in body["failed_accounts"][0]["error"]
    assert daemon.accounts.read_text() == before


def test_overwrite_is_per_record(sim, script):
    records = [request_of(sim, 0, overwrite=True), request_of(sim, 2)]
    status, body = script.call("POST", "/admin/accounts/batch", records)
    assert status == 200 and body["total_accounts"] == 3
    records = [request_of(sim, 0, overwrite=True), request_of(sim, 1)]
    assert script.call("POST", "/admin/accounts/batch", records)[0] == 409


def test_delete_one(sim, daemon, script):
    email = sim.accounts()[0]["email"]
    assert daemon.send(email, "b@example.net").code == 250
    assert_error(script.call("DELETE", "/admin/accounts/nobody@example.test"), 404)
    assert_error(script.call("DELETE", "/admin/accounts/nonsense"), 400)
    status, body = script.call("DELETE", "/admin/accounts/" + email.upper())
    assert status == 200 and body["success"] is True and body["total_accounts"] == 1
    # The original let it log in for ever.
    with daemon.client() as client:
        client.ehlo()
        client.auth(email, "x", 535)
    assert [a["email"] for a in daemon.stored_accounts()] == [sim.accounts()[1]["email"]]


def test_delete_all(daemon, script):
    assert_error(script.call("DELETE", "/admin/accounts"), 400)
    assert_error(script.call("DELETE", "/admin/accounts?confirm=false"), 400)
    status, body = script.call("DELETE", "/admin/accounts?confirm=true")
    assert status == 200 and body["total_accounts"] == 0
    assert daemon.stored_accounts() == []
    assert_error(script.call("DELETE", "/admin/accounts?confirm=true"), 404)


def test_delete_invalid(sim, daemon, script):
    """The route that the original's web framework hid behind /{email}."""
    assert_error(script.call("DELETE", "/admin/accounts/invalid"), 404)
    dead = sim.accounts()[1]["email"]
    sim.revoke(dead, "refresh")
    status, body = script.call("DELETE", "/admin/accounts/invalid?dry_run=true")
    assert status == 200 and [w["email"] for w in body["would_delete"]] == [dead]
    assert body["total_accounts"] == 2
    status, body = script.call("DELETE", "/admin/accounts/invalid")
    assert status == 200
    assert (body["deleted_count"], body["deleted_accounts"]) == (1, [dead])
    assert body["total_accounts"] == 1 and len(daemon.stored_accounts()) == 1


@pytest.mark.parametrize("error", ["503", "429", "invalid_client", "50196"])
def test_delete_invalid_during_an_outage(sim, daemon, script, error):
    """An outage erased every account of the original."""
    sim.knobs(token_error=error)
    assert_error(script.call("DELETE", "/admin/accounts/invalid"), 404)
    assert len(daemon.stored_accounts()) == 2


def test_delete_invalid_without_an_endpoint(sim, daemon, script):
    sim.stop(keep=True)
    assert_error(script.call("DELETE", "/admin/accounts/invalid"), 404)
    assert len(daemon.stored_accounts()) == 2
    sim.start()


def test_unknown_routes(script):
    for method, path, status in (("GET", "/nothing", 404), ("PUT", "/admin/accounts", 405),
                                 ("GET", "/admin/accounts/invalid", 404)):
        got, body = script.call(method, path)
        assert got == status, (method, path, got, body)
    assert isinstance(script.call("GET", "/nothing")[1], str)


def test_a_broken_file_is_never_overwritten(sim, daemon, script):
    """The original took it for an empty one, and the next POST replaced every account."""
    broken = daemon.accounts.read_text()[:-30]
    daemon.accounts.write_text(broken)
    answer = script.call("POST", "/admin/accounts", request_of(sim, 2))
    assert_error(answer, 500)
    assert daemon.accounts.read_text() == broken
    # What was known goes on.
    assert daemon.send(sim.accounts()[0]["email"], "b@example.net").code == 250


def test_no_answer_and_no_log_line_holds_a_secret(sim, daemon, script):
    secrets = [sim.accounts()[i][key] for i in range(5) for key in ("refresh_token", "client_secret")]
    answers = [script.call("POST", "/admin/accounts/batch", [request_of(sim, i) for i in range(2, 5)]),
               script.call("POST", "/admin/accounts", dict(request_of(sim, 2), refresh_token=5)),
               script.call("POST", "/admin/accounts", dict(request_of(sim, 5), client_secret="wrong-one-here")),
               script.call("GET", "/admin/accounts"),
               script.call("DELETE", "/admin/accounts/" + sim.accounts()[2]["email"])]
    text = json.dumps(answers) + daemon.process.text
    assert "wrong-one-here" not in text
    for secret in secrets:
        assert secret not in text
