"""Signing in through the admin API: each grant and each way in which it can end, against the
simulator. bearerctl's side is in test_ctl_login.py."""
import json
import os
import signal
import socket
import urllib.parse

import pytest

from lib.daemon import Bearerd
from lib.signin import places
from lib.sim import Refused, Sim
from lib.util import wait_until

REDIRECT = "http://localhost:1"
A, B = "user1@example.test", "user2@example.test"
SECRETS = ("refresh_token", "client_secret", "access_token")


@pytest.fixture(scope="module")
def m365():
    with Sim("m365", accounts=3) as sim:
        yield sim


@pytest.fixture(scope="module")
def gmail():
    with Sim("gmail", accounts=3) as sim:
        yield sim


@pytest.fixture(autouse=True)
def clean(request):
    yield
    for name in ("m365", "gmail"):
        if name in request.fixturenames:
            request.getfixturevalue(name).reset_knobs()


def client_of(sim, name):
    client = sim.client(name)
    return {key: client[key] for key in ("client_id", "client_secret") if client.get(key)}


@pytest.fixture
def make(request):
    """make(sim, provider, accounts): a bearerd with the simulator as its provider."""
    running = []

    def start(sim, provider, accounts=(), **more):
        daemon = Bearerd(ca=sim.ca, accounts=accounts, conf=places(sim, provider, **more))
        running.append(daemon)
        return daemon
    yield start
    for daemon in running:
        failed = getattr(request.node, "failed", False)
        daemon.kill() if failed else daemon.stop()


def begin(daemon, email, status=201, **body):
    answer = daemon.admin.request("POST", "/admin/logins",
                                  dict({"email": email, "redirect_uri": REDIRECT}, **body))
    assert answer.status == status, answer
    return answer.json


def show(daemon, login):
    return daemon.admin.request("GET", "/admin/logins/" + login["id"]).json


def hand_over(daemon, login, text, status=202):
    answer = daemon.admin.request("POST", "/admin/logins/" + login["id"], {"redirect_url": text})
    assert answer.status == status, answer
    return answer.json


def outcome(daemon, login, state="done", about=""):
    over = wait_until(lambda: (lambda now: now["state"] != "pending" and now)(show(daemon, login)),
                      30, "the login to be over " + about, every=0.05)
    assert over["state"] == state, (over, about)
    return over


def sign_in(sim, login, user):
    """What the browser does: the address to which it is sent at last."""
    kind, where, _ = sim.visit(login["authorize_url"] + "&auto=" + urllib.parse.quote(user))
    assert kind == "redirect", where
    return where


def query_of(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def relays(daemon, sim, email):
    before = len(sim.messages(user=email))
    assert daemon.send(email, "x@example.net").code == 250
    assert len(sim.messages(user=email)) == before + 1


def accounts(daemon):
    return daemon.admin.request("GET", "/admin/accounts").json["accounts"]


# --- in a browser ----------------------------------------------------------------


@pytest.mark.parametrize("provider, client", [("outlook", "public"), ("outlook", "confidential"),
                                              ("gmail", "desktop")])
def test_a_new_user_signs_in_and_sends(request, make, provider, client):
    sim = request.getfixturevalue({"outlook": "m365", "gmail": "gmail"}[provider])
    daemon = make(sim, provider)
    login = begin(daemon, A, **client_of(sim, client))
    query = query_of(login["authorize_url"])
    assert query["code_challenge_method"] == "S256" and len(query["code_challenge"]) == 43
    assert query["login_hint"] == A and query["state"] == login["oauth_state"]
    if provider == "gmail":
        assert query["access_type"] == "offline" and query["prompt"] == "consent"
    hand_over(daemon, login, sign_in(sim, login, A))
    done = outcome(daemon, login)
    assert done["action"] == "added" and done["account_state"] == "active"
    assert done["signed_in_as"] == A and "warning" not in done
    relays(daemon, sim, A)
    assert daemon.stored_accounts()[0]["refresh_token"] not in daemon.process.text
    assert not sim.state()["errors"]


def test_an_account_keeps_what_it_has(make, m365):
    """The same record with another refresh token, and it comes back at once."""
    mine = m365.account(A, disabled=False, vmta_name="mine", max_concurrent_messages=3,
                        allowed={"x": 1}, refresh_token="is-dead-long-since")
    mine.pop("oauth_token_url", None)
    mine.pop("oauth_endpoint", None)
    daemon = make(m365, "outlook", [mine])
    wait_until(lambda: accounts(daemon)[0]["state"] == "needs_consent", 20, "a dead grant")
    login = begin(daemon, A)
    hand_over(daemon, login, sign_in(m365, login, A))
    done = outcome(daemon, login)
    assert done["action"] == "updated" and done["account_state"] == "active"
    stored = daemon.stored_accounts()[0]
    assert stored.pop("refresh_token") != mine.pop("refresh_token")
    assert stored == mine
    relays(daemon, m365, A)


def test_another_client_for_an_account(make, gmail):
    """The application changes, what has nothing to do with it stays."""
    mine = gmail.account(A, vmta_name="mine", max_concurrent_messages=3)
    daemon = make(gmail, "gmail", [mine])
    client = gmail.set_client(name="other", provider="gmail", client_secret="another-secret")
    login = begin(daemon, A, client_id=client["client_id"], client_secret="another-secret")
    hand_over(daemon, login, sign_in(gmail, login, A))
    assert outcome(daemon, login)["action"] == "updated"
    stored = daemon.stored_accounts()[0]
    assert stored["client_id"] == client["client_id"] and stored["client_secret"] == "another-secret"
    assert stored["vmta_name"] == "mine" and stored["max_concurrent_messages"] == 3
    assert stored["account_id"] == mine["account_id"]
    relays(daemon, gmail, A)


def test_an_application_of_the_configuration(make, m365):
    app = m365.client("confidential")
    daemon = make(m365, "outlook", **{"apps.ours.provider": "outlook",
                                      "apps.ours.client_id": app["client_id"],
                                      "apps.ours.client_secret": app["client_secret"]})
    for name in (None, "OURS"):
        login = begin(daemon, A, app=name)
        hand_over(daemon, login, sign_in(m365, login, A))
        outcome(daemon, login)
    stored = daemon.stored_accounts()[0]
    assert stored["app"] == "ours" and "client_secret" not in stored
    relays(daemon, m365, A)


def test_an_account_moves_to_an_application(make, m365):
    """From a client, a tenant and places of its own, and back to a client of its own."""
    app = m365.client("confidential")
    daemon = make(m365, "outlook", [m365.account(A, vmta_name="mine")],
                  **{"apps.ours.provider": "outlook", "apps.ours.client_id": app["client_id"],
                     "apps.ours.client_secret": app["client_secret"]})
    login = begin(daemon, A.upper(), app="ours")
    hand_over(daemon, login, sign_in(m365, login, A))
    assert outcome(daemon, login)["action"] == "updated"
    stored = daemon.stored_accounts()[0]
    assert stored["app"] == "ours" and stored["vmta_name"] == "mine"
    assert not {"client_id", "client_secret", "oauth_token_url"} & set(stored)
    relays(daemon, m365, A)
    public = client_of(m365, "public")
    login = begin(daemon, A, **public)
    hand_over(daemon, login, sign_in(m365, login, A))
    outcome(daemon, login)
    stored = daemon.stored_accounts()[0]
    assert stored["client_id"] == public["client_id"] and "app" not in stored
    relays(daemon, m365, A)


@pytest.mark.parametrize("flow", ["browser", "device"])
@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_a_clock_that_is_wrong(make, m365, flow, seconds):
    """The provider takes our assertion for one of another time, and its answer tells what time it
    is; nothing was used up by that."""
    m365.knobs(clock_skew_s=seconds, device_interval=1)
    daemon = make(m365, "outlook", **{
        "apps.ours.provider": "outlook", "apps.ours.client_id": m365.client("confidential")["client_id"],
        "apps.ours.key": str(m365.dir / "app.pem"), "apps.ours.certificate": str(m365.dir / "app.crt")})
    login = begin(daemon, A, flow=flow)
    if flow == "browser":
        hand_over(daemon, login, sign_in(m365, login, A))
    else:
        m365.answer_device("allow", A, login["user_code"])
    assert outcome(daemon, login)["signed_in_as"] == A
    relays(daemon, m365, A)


def test_a_tenant(make, m365):
    daemon = make(m365, "outlook")
    login = begin(daemon, A, tenant=m365.tenant, **client_of(m365, "public"))
    assert "/%s/oauth2/v2.0/authorize?" % m365.tenant in login["authorize_url"]
    hand_over(daemon, login, sign_in(m365, login, A))
    outcome(daemon, login)
    assert daemon.stored_accounts()[0]["tenant"] == m365.tenant
    relays(daemon, m365, A)


@pytest.mark.parametrize("form", ["query", "code", "blanks"])
def test_what_a_person_pastes(make, gmail, form):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    where = sign_in(gmail, login, A)
    hand_over(daemon, login, {"query": where.partition("?")[2], "code": query_of(where)["code"],
                              "blanks": "  %s\r\n" % where}[form])
    outcome(daemon, login)


def test_a_wrong_state_changes_nothing(make, gmail):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    where = sign_in(gmail, login, A)
    for wrong in (where.replace(login["oauth_state"], "x" * 43),
                  where.replace(login["oauth_state"], login["oauth_state"][:-1]),
                  REDIRECT + "/?error=access_denied", REDIRECT + "/?state=x&error=access_denied",
                  REDIRECT, "", "two words", "code=a&code=b"):
        assert hand_over(daemon, login, wrong, 400)["field"] == "redirect_url"
    assert show(daemon, login)["step"] == "waiting"
    hand_over(daemon, login, where)
    outcome(daemon, login)
    hand_over(daemon, login, where, 409)


@pytest.mark.parametrize("error, cause", [
    ("access_denied", "declined"), ("invalid_scope", "scope_wrong")])
def test_a_refused_consent(make, m365, error, cause):
    daemon = make(m365, "outlook")
    login = begin(daemon, A, **client_of(m365, "public"))
    m365.knobs(authorize_error=error)
    hand_over(daemon, login, sign_in(m365, login, A))
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == cause and error in failed["error"] and failed["hint"]
    assert not accounts(daemon)


# What the provider says to people only; others have a word of their own in the table of causes.
AUTHORIZE = {"access_denied": "declined", "server_error": "provider_unavailable",
             "temporarily_unavailable": "provider_unavailable"}


@pytest.mark.parametrize("provider", ["gmail", "outlook"])
def test_each_error_of_the_sign_in_page(request, make, provider):
    """Either the user sees it and the login waits, or it ends the login with cause and cure."""
    sim = request.getfixturevalue({"outlook": "m365", "gmail": "gmail"}[provider])
    client = client_of(sim, "public" if provider == "outlook" else "desktop")
    daemon = make(sim, provider)
    seen = 0
    for name in sim.request("GET", "/knobs")["authorize_errors"]:
        login = begin(daemon, A, **client)
        try:
            sim.knobs(authorize_error=name)
        except Refused:
            continue  # it is the other provider's
        kind, where, _ = sim.visit(login["authorize_url"] + "&auto=" + A)
        if kind == "page":
            assert show(daemon, login)["state"] == "pending"
            continue
        seen += 1
        hand_over(daemon, login, where)
        failed = outcome(daemon, login, "failed")
        assert failed["hint"] and failed["error"].startswith(query_of(where)["error"]), name
        if name in AUTHORIZE:
            assert failed["cause"] == AUTHORIZE[name], failed
        else:
            assert failed["cause"] not in AUTHORIZE.values(), failed
    assert seen >= (5 if provider == "gmail" else 10) and not accounts(daemon)


@pytest.mark.parametrize("provider", ["gmail", "outlook"])
def test_each_error_of_the_token_endpoint(request, make, provider):
    """None stores anything, each tells cause and cure, and no secret is in it."""
    sim = request.getfixturevalue({"outlook": "m365", "gmail": "gmail"}[provider])
    client = client_of(sim, "confidential" if provider == "outlook" else "desktop")
    daemon = make(sim, provider)
    causes = set()
    for name in sim.request("GET", "/knobs")["token_errors"]:
        login = begin(daemon, A, **client)
        sim.knobs(token_error=None)
        where = sign_in(sim, login, A)
        sim.knobs(token_error=name)
        hand_over(daemon, login, where)
        failed = outcome(daemon, login, "failed")
        assert failed["cause"] and failed["hint"] and failed["error"], (name, failed)
        text = json.dumps(failed)
        assert client["client_secret"] not in text and query_of(where)["code"] not in text
        causes.add(failed["cause"])
    assert {"code_refused", "provider_unavailable"} <= causes and len(causes) >= 5
    assert not accounts(daemon) and not daemon.stored_accounts()


def test_a_code_that_is_too_old(make, m365):
    daemon = make(m365, "outlook")
    m365.knobs(code_expires_in=0)
    login = begin(daemon, A, **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, A))
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == "code_refused" and "70008" in failed["error"]
    assert not accounts(daemon)


def test_a_code_of_another_login(make, gmail):
    """It does not fit to the verifier, so it is of no use to who has read it."""
    daemon = make(gmail, "gmail")
    one = begin(daemon, A, **client_of(gmail, "desktop"))
    two = begin(daemon, B, **client_of(gmail, "desktop"))
    hand_over(daemon, two, query_of(sign_in(gmail, one, A))["code"])
    assert outcome(daemon, two, "failed")["cause"] == "code_refused"
    assert not accounts(daemon)


def test_a_wrong_secret(make, gmail):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **dict(client_of(gmail, "desktop"), client_secret="is-a-wrong-one"))
    hand_over(daemon, login, sign_in(gmail, login, A))
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == "client_refused" and "invalid_client" in failed["error"]
    assert "is-a-wrong-one" not in json.dumps(failed) + daemon.process.text


def test_an_endpoint_that_is_down(make, gmail):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    gmail.knobs(token_error="server_error")
    hand_over(daemon, login, sign_in(gmail, login, A))
    assert outcome(daemon, login, "failed")["cause"] == "provider_unavailable"


def test_no_refresh_token(make, gmail):
    daemon = make(gmail, "gmail", **{"providers.gmail.authorize_extra": "prompt=consent"})
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    hand_over(daemon, login, sign_in(gmail, login, A))
    assert outcome(daemon, login, "failed")["cause"] == "no_refresh_token"
    assert not accounts(daemon)


# --- who it is ---------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["identity-token", "mail-server"])
def test_somebody_else_signs_in(make, m365, told):
    scope = {} if told else {"providers.outlook.authorize_scope":
                             "https://outlook.office.com/SMTP.Send offline_access"}
    daemon = make(m365, "outlook", **scope)
    login = begin(daemon, A, **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, B))
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == "wrong_user" and A in failed["error"]
    assert (B in failed["error"]) == told
    assert not accounts(daemon) and not daemon.stored_accounts()
    # and the mailbox's owner may try again
    login = begin(daemon, A, **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, A))
    assert "warning" not in outcome(daemon, login)
    relays(daemon, m365, A)


def test_an_address_that_is_cut_in_a_message(make, m365):
    """Within a character, of all places."""
    daemon = make(m365, "outlook")
    login = begin(daemon, "a" + 62 * "\u00e9" + "@example.test", **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, B))
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == "wrong_user" and failed["error"].startswith(B + " has signed in")


@pytest.mark.parametrize("email", ["a b@example.test", "a\x1b[2J@example.test", "a\r\nX: y@example.test",
                                   "@", "a@", "@example.test", "a@example.test\u0000"])
def test_an_address_that_is_none(make, gmail, email):
    daemon = make(gmail, "gmail")
    answer = daemon.admin.request("POST", "/admin/logins", dict(
        client_of(gmail, "desktop"), email=email, provider="gmail", redirect_uri=REDIRECT))
    assert answer.status == 400 and answer.json["error"], answer
    assert "\x1b" not in daemon.process.text and not daemon.events("login_begun")


def test_nobody_can_tell_who_it_is(make, gmail):
    """No identity token, and the mail server is down: it is stored with a warning."""
    daemon = make(gmail, "gmail", **{"providers.gmail.authorize_scope": "https://mail.google.com/"})
    gmail.knobs(reply_connect="421 4.3.0 down")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    hand_over(daemon, login, sign_in(gmail, login, A))
    done = outcome(daemon, login)
    assert "421 4.3.0" in done["warning"] and done["action"] == "added"


# --- where it goes ------------------------------------------------------------------


@pytest.mark.parametrize("key, value", [
    ("oauth_token_url", "https://tokens.example/token"),
    ("oauth_endpoint", "mail.example:465")])
def test_a_record_that_would_send_them_elsewhere(make, gmail, key, value):
    """Whoever may write records, but reads no secrets, does not get those that a person gives."""
    daemon = make(gmail, "gmail", [gmail.account(A, **{key: value})])
    for body in ({}, client_of(gmail, "desktop")):
        refused = begin(daemon, A, 409, **body)
        assert refused["field"] == key and "providers.NAME" in refused["error"]
    # Only the owner changes that without naming the secrets anew.
    path = "/admin/accounts/" + A
    assert daemon.admin.request("PATCH", path, {key: None}).status == 403
    assert daemon.owner.request("PATCH", path, {key: None}).status == 200
    login = begin(daemon, A)
    hand_over(daemon, login, sign_in(gmail, login, A))
    outcome(daemon, login)
    relays(daemon, gmail, A)


def test_a_record_that_could_not_serve(make, m365):
    """What it says of places is forgotten when it is mended by a login."""
    broken = m365.account(A, oauth_token_url="https://tokens.example/token",
                          oauth_endpoint="mail.example:465")
    del broken["refresh_token"]
    daemon = make(m365, "outlook", [broken])
    assert not accounts(daemon)
    login = begin(daemon, A, tenant=m365.tenant, **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, A))
    outcome(daemon, login)
    assert "example/" not in json.dumps(daemon.stored_accounts()[0])
    relays(daemon, m365, A)


CHANGES = {"client": {"client_id": "another", "client_secret": "x", "refresh_token": "x"},
           "secret": {"client_secret": "another-secret"}, "place": {"oauth_endpoint": "localhost:1"},
           "removed": None}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("when", ["waiting", "exchanging", "checking"])
def test_an_account_that_changes_meanwhile(make, gmail, when, what):
    """The code goes to nobody else, and the token into no other record."""
    mine = gmail.account(A)
    daemon = make(gmail, "gmail", [mine],
                  **{"providers.gmail.authorize_scope": "https://mail.google.com/"})
    wait_until(lambda: accounts(daemon)[0]["state"] == "active", 20, "the account")
    login = begin(daemon, A)
    where = sign_in(gmail, login, A)
    gmail.knobs(**{"exchanging": {"token_delay_ms": 1500}, "checking": {"auth_delay_ms": 1500},
                   "waiting": {}}[when])
    if when != "waiting":
        hand_over(daemon, login, where)
        wait_until(lambda: show(daemon, login)["step"] == when, 10, when)
    method = "PATCH" if CHANGES[what] else "DELETE"
    answer = daemon.owner.request(method, "/admin/accounts/" + A, CHANGES[what])
    assert answer.status == 200, answer
    if when == "waiting":
        hand_over(daemon, login, where)
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == "not_stored" and "meanwhile" in failed["error"]
    stored = daemon.stored_accounts()
    assert len(stored) == (what != "removed")
    assert not stored or stored[0]["refresh_token"] in ("x", mine["refresh_token"])


# --- by a code on another device -------------------------------------------------------


def test_a_device(make, m365):
    daemon = make(m365, "outlook")
    login = begin(daemon, A, flow="device", **client_of(m365, "public"))
    assert login["user_code"] and login["verification_uri"].startswith("https://")
    assert show(daemon, login)["step"] == "waiting" and login["interval"] == 5
    m365.answer_device("allow", A)
    assert outcome(daemon, login)["signed_in_as"] == A
    relays(daemon, m365, A)


def test_a_device_that_is_asked_to_be_slower(make, m365):
    m365.knobs(device_interval=1, device_polls="pending slow_down pending", device_auto=A)
    daemon = make(m365, "outlook")
    login = begin(daemon, A, flow="device", **client_of(m365, "public"))
    assert login["interval"] == 1
    assert wait_until(lambda: show(daemon, login).get("interval") == 6, 20, "a longer interval")
    outcome(daemon, login)
    relays(daemon, m365, A)


@pytest.mark.parametrize("action, cause", [("decline", "declined"), ("expire", "expired")])
def test_a_device_that_fails(make, m365, action, cause):
    m365.knobs(device_interval=1)
    daemon = make(m365, "outlook")
    login = begin(daemon, A, flow="device", **client_of(m365, "public"))
    m365.answer_device(action, A)
    failed = outcome(daemon, login, "failed")
    assert failed["cause"] == cause and failed["hint"] and not accounts(daemon)


# Those that a device's polls outlive; each other one ends the login.
PASSING = set("""authorization_pending slow_down internal_failure server_error
    temporarily_unavailable 500 502_html 503 503_html 429 429_json 403_html rate_limit_exceeded
    bad_json empty html no_access_token close close_body 90033 50033 90006 90012 90024 90055 70012
    50087 90090 50196""".split())
SAID = {"authorization_declined": "declined", "expired_token": "expired"}


def test_each_answer_to_a_device(make):
    """As many devices as there are answers poll at once, 60 at a time."""
    with Sim("m365", accounts=60) as sim:
        daemon = make(sim, "outlook", **{"admin.requests_per_second": 10000})
        sim.knobs(device_interval=1)
        names = sim.request("GET", "/knobs")["token_errors"]
        assert PASSING < set(names)
        for start in range(0, len(names), 60):
            some = {}
            for number, name in enumerate(names[start:start + 60], 1):
                user = "user%d@example.test" % number
                some[name] = begin(daemon, user, flow="device", **client_of(sim, "public"))
                sim.knobs(user, token_error=name)
                sim.answer_device("allow", user, some[name]["user_code"])
            for name, login in some.items():
                if name in PASSING:
                    continue
                failed = outcome(daemon, login, "failed", name)
                assert failed["hint"] and failed["error"], name
                assert failed["cause"] == SAID.get(name, failed["cause"]), name
                assert failed["cause"] not in ("wrong_user", "no_refresh_token"), name

            waiting = {name: login for name, login in some.items() if name in PASSING}
            for name, login in waiting.items():
                wait_until(lambda: sum(sim.user(login["email"])[key] for key in
                                       ("refreshes", "refresh_errors")), 20, name, every=0.05)
                assert show(daemon, login)["state"] == "pending", (name, show(daemon, login))
            sim.reset_knobs()
            sim.knobs(device_interval=1)
            for name, login in waiting.items():
                if show(daemon, login).get("interval", 0) <= 6:
                    # The code was used for the answer that broke off.
                    outcome(daemon, login, "failed" if name == "close_body" else "done", name)
                daemon.admin.request("DELETE", "/admin/logins/" + login["id"])
            sim.reset_state()


def test_a_device_code_that_nobody_types(make, m365):
    """Our own clock ends it too."""
    m365.knobs(device_interval=600, device_expires_in=1)
    daemon = make(m365, "outlook")
    login = begin(daemon, A, flow="device", **client_of(m365, "public"))
    assert outcome(daemon, login, "failed")["cause"] == "expired"


def test_a_device_flow_that_cannot_begin(make, m365, gmail):
    daemon = make(m365, "outlook")
    refused = begin(daemon, A, 400, flow="device", client_id="ab11c000-0000-4000-8000-00000000dead")
    assert refused["cause"] and refused["hint"] and "700016" in refused["error"]
    daemon = make(gmail, "gmail")
    refused = begin(daemon, A, 400, flow="device", **client_of(gmail, "desktop"))
    assert refused["field"] == "flow"


# --- what cannot be known -------------------------------------------------------------------


def test_what_must_be_named(make, m365):
    daemon = make(m365, "outlook", [dict(m365.account(B), provider="outlook", grant="client_credentials",
                                         tenant=m365.tenant, client_secret="x")])
    admin = daemon.admin

    def refused(field, status=400, **body):
        answer = admin.request("POST", "/admin/logins", dict({"redirect_uri": REDIRECT}, **body))
        assert answer.status == status and answer.json["field"] == field, answer
        return answer.json
    choices = refused("provider", email="x@unknown.example")["choices"]
    assert "gmail" in choices and "outlook" in choices and "default" not in choices
    assert "gmial" in refused("provider", email=A, provider="gmial")["error"]
    refused("client_id", email=A)
    refused("app", email=A, app="none")
    refused("client_id", email=A, client_secret="x")
    refused("app", email=A, app="x", client_id="y")
    refused("email", email="nobody")
    refused("flow", email=A, flow="carrier pigeon")
    refused("colour", email=A, colour="red")
    refused("tenant", email=A, tenant=7)
    refused("client_id", 409, email=B)
    for uri in ("http://example.com/", "http://localhost.example.com", "ftp://localhost", "",
                "http://localhost:1#x", "http://localhost:123456", "http://localhost/a b"):
        refused("redirect_uri", email=A, redirect_uri=uri, **client_of(m365, "public"))
    two = {"apps.%s.%s" % (name, key): value for name in ("one", "two") for key, value in
           (("provider", "outlook"), ("client_id", name))}
    other = make(m365, "outlook", **two)
    assert begin(other, A, 400)["choices"] == ["one", "two"]


def test_one_login_for_a_mailbox(make, gmail):
    daemon = make(gmail, "gmail")
    first = begin(daemon, A, **client_of(gmail, "desktop"))
    second = begin(daemon, A, **client_of(gmail, "desktop"))
    assert show(daemon, first)["cause"] == "replaced"
    hand_over(daemon, second, sign_in(gmail, second, A))
    outcome(daemon, second)


def test_what_cannot_begin_ends_no_other(make, gmail):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    begin(daemon, A, 400, client_id="x", client_secret="x", redirect_uri="http://example.com/")
    begin(daemon, A, 400, client_id="x", tenant="no tenant")
    assert show(daemon, login)["step"] == "waiting"
    hand_over(daemon, login, sign_in(gmail, login, A))
    outcome(daemon, login)


def test_giving_up(make, gmail):
    daemon = make(gmail, "gmail")
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    assert daemon.admin.request("DELETE", "/admin/logins/" + login["id"]).status == 200
    for method in ("GET", "DELETE"):
        assert daemon.admin.request(method, "/admin/logins/" + login["id"]).status == 404


def test_there_is_an_end_of_logins(make, gmail):
    daemon = make(gmail, "gmail")
    logins = [begin(daemon, "user%d@example.test" % n, **client_of(gmail, "desktop"))
              for n in range(64)]
    begin(daemon, "more@example.test", 503, **client_of(gmail, "desktop"))
    daemon.admin.request("DELETE", "/admin/logins/" + logins[0]["id"])
    begin(daemon, "more@example.test", **client_of(gmail, "desktop"))
    # One that is over is remembered only while there is room.
    hand_over(daemon, logins[1], REDIRECT + "/?error=access_denied&state=" + logins[1]["oauth_state"])
    assert show(daemon, logins[1])["cause"] == "declined"
    begin(daemon, "again@example.test", **client_of(gmail, "desktop"))
    assert daemon.admin.request("GET", "/admin/logins/" + logins[1]["id"]).status == 404


def test_who_may_not_write_signs_nobody_in(make, gmail):
    daemon = make(gmail, "gmail")
    token = daemon.owner.request("POST", "/admin/api-tokens", {"name": "r", "scope": "read"}).json
    login = begin(daemon, A, **client_of(gmail, "desktop"))
    reader = daemon.admin.using(token=token["token"])
    for method, path, body in (("POST", "/admin/logins", {"email": A}),
                               ("GET", "/admin/logins/" + login["id"], None),
                               ("POST", "/admin/logins/" + login["id"], {"redirect_url": "x"}),
                               ("DELETE", "/admin/logins/" + login["id"], None)):
        assert reader.request(method, path, body).status == 403


# --- lives that end early ---------------------------------------------------------------------


@pytest.fixture
def states(m365, gmail, make):
    """states(name): a bearerd and a login that is in that state for a while."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)

    def bring(name):
        if name == "polling":
            m365.knobs(device_interval=1, token_delay_ms=1500)
            daemon = make(m365, "outlook")
            login = begin(daemon, A, flow="device", **client_of(m365, "public"))
            wait_until(lambda: m365.devices(), 10, "a device")
            return daemon, login
        daemon = make(gmail, "gmail", [gmail.account(A)],
                      **{"providers.gmail.authorize_scope": "https://mail.google.com/",
                         "providers.gmail.device_url": "https://localhost:%d/device" %
                         listener.getsockname()[1]})
        login = begin(daemon, A)
        gmail.knobs(**{"exchanging": {"token_delay_ms": 1500}, "checking": {"auth_delay_ms": 1500},
                       "waiting": {}, "beginning": {}}[name])
        if name == "beginning":
            # Its device endpoint never answers; nobody is told the login's id.
            return daemon, daemon.admin.connect()
        if name != "waiting":
            hand_over(daemon, login, sign_in(gmail, login, A))
            wait_until(lambda: show(daemon, login)["step"] == name, 10, name, every=0.02)
        return daemon, login
    yield bring
    listener.close()


EARLY = ["waiting", "polling", "exchanging", "checking"]


@pytest.mark.parametrize("state", EARLY)
def test_giving_up_in_each_state(states, state):
    daemon, login = states(state)
    before = daemon.stored_accounts()
    assert daemon.admin.request("DELETE", "/admin/logins/" + login["id"]).status == 200
    assert daemon.admin.request("GET", "/admin/logins/" + login["id"]).status == 404
    begin(daemon, "other@example.test", client_id="x", client_secret="x")
    assert daemon.stored_accounts() == before


@pytest.mark.parametrize("state", EARLY)
def test_a_reload_in_each_state(states, m365, gmail, state):
    """It goes on as if nothing had happened."""
    daemon, login = states(state)
    if state == "waiting":
        where = sign_in(gmail, login, A)
    daemon.reload()
    daemon.wait_event("reloaded")
    if state == "waiting":
        hand_over(daemon, login, where)
    if state == "polling":
        m365.answer_device("allow", A, login["user_code"])
    outcome(daemon, login)


@pytest.mark.parametrize("state", EARLY)
def test_an_end_in_each_state(states, state):
    daemon, _ = states(state)
    daemon.stop()


@pytest.mark.parametrize("state", EARLY)
def test_a_relay_that_dies_in_each_state(states, m365, gmail, state):
    """The trial goes with it; nobody has said that it is the wrong user."""
    daemon, login = states(state)
    os.kill(daemon.relay_pid(), signal.SIGKILL)
    if state == "waiting":
        hand_over(daemon, login, sign_in(gmail, login, A))
    if state == "polling":
        m365.answer_device("allow", A, login["user_code"])
    done = outcome(daemon, login)
    assert state != "checking" or "the relay process has ended" in done["warning"]


@pytest.mark.parametrize("end", ["replaced", "client", "stop"])
def test_a_device_endpoint_that_never_answers(states, end):
    """Who waits for its code hears of the end, or is gone by then."""
    daemon, connection = states("beginning")
    body = {"email": B, "flow": "device", "provider": "gmail", "client_id": "x", "client_secret": "x"}
    connection.request("POST", "/admin/logins", json.dumps(body),
                       {"Content-Type": "application/json"})
    daemon.wait_event("login_begun", flow="device")
    if end == "client":
        connection.close()
    if end == "stop":
        return  # the fixture ends it
    begin(daemon, B, client_id="x", client_secret="x", provider="gmail")
    daemon.wait_event("login_failed", cause="replaced", email=B)
    if end == "replaced":
        answer = connection.getresponse()
        assert answer.status == 400 and json.load(answer)["cause"] == "replaced"


def test_an_end_while_people_sign_in(make, m365):
    """SIGTERM with logins in all their states leaves nothing behind."""
    daemon = make(m365, "outlook")
    begin(daemon, A, **client_of(m365, "public"))
    begin(daemon, B, flow="device", **client_of(m365, "public"))
    m365.knobs(token_delay_ms=3000)
    login = begin(daemon, "user3@example.test", **client_of(m365, "public"))
    hand_over(daemon, login, sign_in(m365, login, "user3@example.test"))
    daemon.stop()
