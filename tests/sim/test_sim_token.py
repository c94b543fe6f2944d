"""The token endpoint and introspection."""
import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import http.client

import pytest

from lib.sim import Refused, Sim
from simclient import USER, secure, xoauth2


def refused(sim, account=None, **form):
    with pytest.raises(Refused) as caught:
        sim.refresh(account or sim.account(USER), **form)
    return caught.value


def error_of(refusal):
    return json.loads(refusal.body)["error"]


def test_a_refresh_at_google(gmail):
    answer = gmail.refresh(gmail.account(USER))
    assert answer["expires_in"] == 3599 and answer["token_type"] == "Bearer"
    assert answer["scope"] == "https://mail.google.com/" and "refresh_token" not in answer
    assert answer["access_token"].startswith("ya29.") and len(answer["access_token"]) == 220
    assert gmail.user(USER)["refreshes"] == 1
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, answer["access_token"]), 235)


def test_a_refresh_at_microsoft(m365):
    account = m365.account(USER)
    assert "client_secret" not in account
    first = m365.refresh(account)
    assert 3600 <= first["expires_in"] <= 5400 and first["ext_expires_in"] == first["expires_in"]
    assert len(first["access_token"]) == 1500
    assert first["refresh_token"] != account["refresh_token"]
    m365.refresh(account)  # the old one is still good
    m365.refresh(account, refresh_token=first["refresh_token"])


def test_a_consumed_refresh_token_revokes_the_grant(m365):
    user = "rotating@example.test"
    account = m365.add_account(user, provider="outlook")
    m365.knobs(user, token_rotation="revoke")
    second = m365.refresh(account)["refresh_token"]
    third = m365.refresh(account, refresh_token=second)["refresh_token"]
    assert m365.account(user)["refresh_token"] == third
    assert error_of(refused(m365, account)) == "invalid_grant"
    assert error_of(refused(m365, account, refresh_token=third)) == "invalid_grant"


def test_rotation_can_be_chosen(gmail):
    user = "chosen@example.test"
    account = gmail.add_account(user)
    gmail.knobs(user, token_rotation="rotate", token_expires_in=30, token_size=3000)
    answer = gmail.refresh(account)
    assert answer["refresh_token"] and answer["expires_in"] == 30
    assert len(answer["access_token"]) == 3000
    gmail.knobs(user, token_rotation="keep")
    assert "refresh_token" not in gmail.refresh(account)


def test_what_google_checks(gmail):
    account = gmail.account(USER)
    assert error_of(refused(gmail, refresh_token="1//wrong")) == "invalid_grant"
    assert error_of(refused(gmail, client_secret="wrong")) == "invalid_client"
    assert error_of(refused(gmail, client_secret=None)) == "invalid_client"
    assert error_of(refused(gmail, client_id="wrong")) == "unauthorized_client"
    assert error_of(refused(gmail, grant_type="password")) == "unsupported_grant_type"
    assert error_of(refused(gmail, refresh_token=None)) == "invalid_request"
    gmail.refresh(account, scope=None)
    assert gmail.state()["totals"]["refresh_errors"] == 6


def test_what_microsoft_checks(m365):
    secret = m365.add_account("secret@example.test", client_secret="s/+& e")
    assert secret["client_secret"] == "s/+& e"
    m365.refresh(secret)
    cases = [(m365.account(USER), {"scope": None}, 400, "invalid_request", 900144),
             (m365.account(USER), {"client_secret": "x"}, 401, "invalid_client", 700025),
             (secret, {"client_secret": None}, 401, "invalid_client", 7000218),
             (secret, {"client_secret": "x"}, 401, "invalid_client", 7000215),
             (secret, {"client_id": "x"}, 400, "unauthorized_client", 700016),
             (secret, {"refresh_token": "x"}, 400, "invalid_grant", 70000)]
    for account, form, status, error, number in cases:
        refusal = refused(m365, account, **form)
        body = json.loads(refusal.body)
        assert (refusal.status, body["error"], body["error_codes"]) == (status, error, [number])
        assert body["error_description"].startswith("AADSTS%d: " % number)


def test_http_basic_works_too(gmail):
    account = gmail.account(USER)
    basic = base64.b64encode(("%s:%s" % (account["client_id"], account["client_secret"])).encode())
    data = urllib.parse.urlencode({"grant_type": "refresh_token",
                                   "refresh_token": account["refresh_token"]}).encode()
    request = urllib.request.Request(gmail.url, data,
                                     {"Authorization": "Basic " + basic.decode()})
    with urllib.request.urlopen(request, context=gmail.context) as reply:
        assert json.load(reply)["access_token"]


@pytest.mark.parametrize("name, status, kind, part", [
    ("invalid_grant", 400, "json", "Token has been expired or revoked."),
    ("invalid_client", 401, "json", "invalid_client"),
    ("7000222", 401, "json", "AADSTS7000222: The provided client secret keys are expired"),
    ("50196", 400, "json", '"invalid_grant"'),
    ("90033", 503, "json", "temporarily_unavailable"),
    ("900144", 400, "json", "'scope'"),
    ("429", 429, "plain", "Too Many Requests"),
    ("403_html", 403, "html", "User Rate Limit Exceeded"),
    ("500", 500, "plain", "Internal Server Error")])
def test_errors_by_name(gmail, name, status, kind, part):
    gmail.knobs(USER, token_error=name, count=1)
    refusal = refused(gmail)
    assert refusal.status == status and part in refusal.body
    assert kind in refusal.headers["Content-Type"]
    assert refusal.headers["Retry-After"] == ("60" if name == "429" else None)
    gmail.refresh(gmail.account(USER))


def test_answers_that_are_no_answers(gmail):
    account = gmail.account(USER)
    for name, fault in (("bad_json", ValueError), ("html", ValueError), ("empty", ValueError),
                        ("close_body", http.client.IncompleteRead)):
        gmail.knobs(token_error=name, count=1)
        with pytest.raises(fault):
            gmail.refresh(account)
    gmail.knobs(token_error="no_access_token", count=1)
    assert "access_token" not in gmail.refresh(account)
    gmail.knobs(token_error="429", token_retry_after=7, count=1)
    assert refused(gmail).headers["Retry-After"] == "7"


def test_chunked_and_late_answers(gmail):
    account = gmail.account(USER)
    gmail.knobs(token_chunked=1)
    data = urllib.parse.urlencode({"grant_type": "refresh_token", "client_id": account["client_id"],
                                   "client_secret": account["client_secret"],
                                   "refresh_token": account["refresh_token"]}).encode()
    with urllib.request.urlopen(gmail.url, data, context=gmail.context) as reply:
        assert reply.headers["Transfer-Encoding"] == "chunked"
        assert json.load(reply)["access_token"]
    gmail.knobs(token_delay_ms=1000)
    took = []

    def late():
        start = time.monotonic()
        gmail.refresh(account)
        took.append(time.monotonic() - start)

    threads = [threading.Thread(target=late) for _ in range(5)]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    gmail.state()
    assert time.monotonic() - start < 0.8  # nobody else waits
    for thread in threads:
        thread.join()
    assert len(took) == 5 and min(took) >= 1 and max(took) < 4  # and not one by one


def test_one_connection_serves_many_refreshes(m365):
    account = m365.account(USER)
    data = urllib.parse.urlencode({"grant_type": "refresh_token", "client_id": account["client_id"],
                                   "scope": "x", "refresh_token": account["refresh_token"]})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    client = http.client.HTTPSConnection("localhost", m365.http, context=m365.context)
    for _ in range(20):
        client.request("POST", "/common/oauth2/v2.0/token", data, headers)
        assert json.loads(client.getresponse().read())["access_token"]
    client.close()


@pytest.mark.parametrize("way", ["auth", "get", "post"])
def test_introspection(gmail, way):
    def ask(token):
        url, data, headers = gmail.introspection, None, {}
        if way == "auth":
            headers["Authorization"] = "Bearer " + token
        elif way == "get":
            url += "?token=" + urllib.parse.quote(token)
        else:
            data = urllib.parse.urlencode({"token": token}).encode()
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, context=gmail.context) as reply:
            return json.load(reply)

    good = ask(gmail.token(USER))
    assert good["active"] is True and good["username"] == good["email"] == USER
    assert ask("unknown") == {"active": False}
    assert ask(gmail.token(USER, expires_in=0)) == {"active": False}


def test_unknown_paths_and_methods(gmail):
    for path, status in (("/nothing", 404), ("/token", 405)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen("https://localhost:%d%s" % (gmail.http, path),
                                   context=gmail.context)
        assert caught.value.code == status


def test_it_ends_while_answers_are_pending():
    sim = Sim()
    sim.knobs(token_delay_ms=60000)
    account = sim.account(USER)

    def ask():
        try:
            sim.refresh(account)  # answered early, or not at all
        except OSError:
            pass

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    sim.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_tokens_that_die_early(gmail):
    account = gmail.account(USER)
    gmail.knobs(token_dead=1, count=1)
    for code in (334, 235):
        token = gmail.refresh(account)["access_token"]
        with secure(gmail) as wire:
            wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, token), code)
    gmail.knobs(token_lives_s=1)
    answer = gmail.refresh(account)
    assert answer["expires_in"] == 3599
    time.sleep(1.1)
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, answer["access_token"]), 334)


def test_tokens_survive_a_restart():
    with Sim("m365", accounts=2, resume=True, knobs={"token_rotation": "revoke"}) as sim:
        account = sim.account(USER)
        answer = sim.refresh(account)
        extra = sim.add_account("extra@example.test", provider="gmail")
        ports = sim.ports
        sim.restart()
        assert sim.ports == ports and len(sim.accounts()) == 3
        assert sim.account(USER)["refresh_token"] == answer["refresh_token"]
        assert sim.account("extra@example.test") == extra
        with secure(sim) as wire:
            wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, answer["access_token"]), 235)
        assert error_of(refused(sim, account)) == "invalid_grant"
