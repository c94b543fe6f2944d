"""Applications without a user: client_credentials, secrets, certificates, and
Google's service accounts."""
import base64
import hashlib
import json
import subprocess
import time
import urllib.parse

import pytest

from lib.oauth import (ASSERTION_TYPE, JWT_BEARER, b64url, claims, client_assertion,
                       service_assertion, thumbprint)
from oauthclient import APP_SCOPE, Flow, refused
from simclient import CONTENT, USER, flight, login, secure, xoauth2


@pytest.fixture
def app(m365):
    return m365.client("confidential")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A key and a certificate that nobody has registered."""
    directory = tmp_path_factory.mktemp("stranger")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
                    "-keyout", "key.pem", "-out", "cert.pem"], cwd=directory, check=True,
                   stderr=subprocess.DEVNULL)
    return directory


def path_of(sim, tenant=None):
    return "/%s/oauth2/v2.0/token" % (tenant or sim.tenant)


def form_of(app, **changes):
    form = {"grant_type": "client_credentials", "client_id": app["client_id"],
            "client_secret": app.get("client_secret"), "scope": APP_SCOPE}
    form.update(changes)
    return form


def auth(sim, user, token, code):
    wire = secure(sim)
    wire.cmd("AUTH XOAUTH2", 334)
    wire.cmd(xoauth2(user, token), code)
    return wire


def test_an_application_opens_all_mailboxes(m365, app):
    answer = m365.ask(form_of(app), path_of(m365))
    assert "refresh_token" not in answer and "scope" not in answer
    _, token = claims(answer["access_token"])
    assert token["aud"] == "https://outlook.office365.com" and token["roles"] == ["SMTP.SendAsApp"]
    assert token["appid"] == app["client_id"] and "upn" not in token and "scp" not in token
    for user in (USER, "user2@example.test"):
        with auth(m365, user, answer["access_token"], 235) as wire:
            wire.send(flight(CONTENT, sender=user))
            assert [wire.reply().code for _ in range(3)] == [250] * 3
    auth(m365, "nobody@example.test", answer["access_token"], 535).close()
    m365.request("POST", "/revoke-tokens", {"client": app["client_id"]})
    auth(m365, USER, answer["access_token"], 535).close()


def test_permissions_of_an_application(m365, app):
    m365.set_client(client_id=app["client_id"], mailboxes=["user2@example.test"])
    try:
        token = m365.ask(form_of(app), path_of(m365))["access_token"]
        with auth(m365, USER, token, 235) as wire:  # AUTH cannot tell
            wire.send(flight(CONTENT))
            replies = [wire.reply() for _ in range(3)]
            assert [one.code for one in replies] == [250, 250, 430]
            assert "mailbox logon failure" in str(replies[2])
        m365.set_client(client_id=app["client_id"], roles=["IMAP.AccessAsApp"])
        token = m365.ask(form_of(app), path_of(m365))["access_token"]
        assert claims(token)[1]["roles"] == ["IMAP.AccessAsApp"]
        auth(m365, "user2@example.test", token, 535).close()
    finally:
        m365.set_client(client_id=app["client_id"], mailboxes=None, roles=None)
    auth(m365, USER, m365.ask(form_of(app), path_of(m365))["access_token"], 235).close()


def test_what_is_checked(m365, app):
    public = m365.client("public")
    for change, result in (
            ({"scope": None}, (400, "invalid_request", 900144)),
            ({"scope": "https://outlook.office365.com/SMTP.Send"}, (400, "invalid_scope", 1002012)),
            ({"scope": APP_SCOPE + " offline_access"}, (400, "invalid_scope", 1002012)),
            ({"scope": "https://nowhere.example/.default"}, (400, "invalid_resource", 500011)),
            ({"client_secret": None}, (401, "invalid_client", 7000216)),
            ({"client_secret": "x"}, (401, "invalid_client", 7000215)),
            ({"client_id": "x"}, (400, "unauthorized_client", 700016)),
            ({"client_id": None}, (400, "invalid_request", 900144)),
            ({"client_id": public["client_id"]}, (401, "invalid_client", 700025)),
            ({"client_id": public["client_id"], "client_secret": None},
             (401, "invalid_client", 7000216)),
            ({"grant_type": None}, (400, "invalid_request", 900144)),
            ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003))):
        assert refused(m365, form_of(app, **change), path=path_of(m365)) == result, change
    for tenant in ("common", "consumers", "organizations"):
        assert refused(m365, form_of(app), path=path_of(m365, tenant)) == (
            400, "invalid_request", 9001023)
    assert refused(m365, form_of(app), path=path_of(m365, "nowhere.example")) == (
        400, "invalid_request", 90002)
    assert m365.ask(form_of(app), path_of(m365, "example.test"))["access_token"]


def test_google_has_no_such_grant(gmail):
    assert refused(gmail, form_of(gmail.client("desktop")))[1] == "unsupported_grant_type"


def test_a_token_for_graph_opens_no_mailbox(m365, app):
    answer = m365.ask(form_of(app, scope="https://graph.microsoft.com/.default"), path_of(m365))
    assert claims(answer["access_token"])[1]["aud"] == "https://graph.microsoft.com"
    auth(m365, USER, answer["access_token"], 535).close()
    m365.knobs(USER, token_audience="https://graph.microsoft.com")
    answer = m365.refresh(m365.account(USER))
    assert claims(answer["access_token"])[1]["aud"] == "https://graph.microsoft.com"
    auth(m365, USER, answer["access_token"], 535).close()
    m365.knobs(USER, token_audience=None)
    # A permission without a resource is Graph's, though it has the same name.
    answer = m365.refresh(m365.account(USER), scope="SMTP.Send offline_access")
    auth(m365, USER, answer["access_token"], 535).close()
    answer = m365.refresh(m365.account(USER), scope="https://outlook.office.com/Mail.Send")
    auth(m365, USER, answer["access_token"], 535).close()


@pytest.mark.parametrize("size", [900, 901, 902, 903, 1500, 3072, 8192])
def test_sizes_of_tokens(m365, size):
    m365.knobs(token_size=size)
    token = m365.refresh(m365.account(USER))["access_token"]
    assert len(token) == size and claims(token)[1]["upn"] == USER
    login(m365, token=token).close()


def test_a_secret_in_http_basic_is_encoded(m365):
    app = m365.set_client(name="basic", client_secret="s/+& e%:")
    pair = ":".join(urllib.parse.quote_plus(app[name]) for name in ("client_id", "client_secret"))
    headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    form = form_of(app, client_id=None, client_secret=None)
    assert m365.ask(form, path_of(m365), headers)["access_token"]
    assert m365.ask(form_of(app), path_of(m365))["access_token"]
    wrong = {"Authorization": "Basic " + base64.b64encode(b"%s:x" % app["client_id"].encode())
             .decode()}
    assert refused(m365, form, path=path_of(m365), headers=wrong)[2] == 7000215


def test_secrets_expire(m365, gmail):
    app = m365.set_client(name="old", client_secret="s", secret_expires="2020-01-01")
    expired = (401, "invalid_client", 7000222)
    assert refused(m365, form_of(app), path=path_of(m365)) == expired
    assert refused(m365, form_of(app, client_secret="x"), path=path_of(m365))[2] == 7000215
    m365.set_client(client_id=app["client_id"], secret_expires="2999-01-01")
    assert m365.ask(form_of(app), path_of(m365))["access_token"]
    m365.knobs(app["client_id"], secret_expires="2020-01-01")
    assert refused(m365, form_of(app), path=path_of(m365)) == expired
    m365.set_client(client_id=app["client_id"], disabled=True)
    assert refused(m365, form_of(app), path=path_of(m365)) == (
        400, "unauthorized_client", 7000112)
    m365.set_client(client_id=app["client_id"], disabled=False)
    desktop = gmail.set_client(name="off", disabled=True)
    flow = Flow(gmail, gmail.client("desktop"))
    assert flow.refused(client_id=desktop["client_id"])[1] == "disabled_client"


# --- client assertions ------------------------------------------------------

def with_assertion(sim, app, **options):
    aud = "https://localhost:%d%s" % (sim.http, path_of(sim))
    assertion = options.pop("assertion", None) or client_assertion(
        app, options.pop("aud", aud), **options)
    return form_of(app, client_secret=None, client_assertion_type=ASSERTION_TYPE,
                   client_assertion=assertion)


def test_assertions(m365, app):
    sha1 = thumbprint(app["certificate_file"], hashlib.sha1)
    for header in (None, {"alg": "RS256", "typ": "JWT", "x5t": sha1}):
        form = with_assertion(m365, app, header=header)
        assert m365.ask(form, path_of(m365))["access_token"]
    assert refused(m365, form, path=path_of(m365)) == (401, "invalid_client", 50013)  # twice
    form = with_assertion(m365, app, aud="https://localhost:%d/%s/v2.0" % (m365.http, m365.tenant))
    assert m365.ask(form, path_of(m365))["access_token"]


def test_an_assertion_works_for_a_user_too(m365, app):
    flow = Flow(m365, app)
    assert flow.refused(client_secret=None) == (401, "invalid_client", 7000218)
    answer = flow.redeem(client_secret=None, client_assertion_type=ASSERTION_TYPE,
                         client_assertion=client_assertion(
                             app, "https://localhost:%d/token" % m365.http))
    assert answer["refresh_token"]


def test_bad_assertions(m365, app, stranger):
    sha256 = thumbprint(app["certificate_file"])
    foreign = thumbprint(stranger / "cert.pem")
    now = int(time.time())
    for options, number in (
            ({"iss": "x"}, 700021), ({"sub": "x"}, 700021),
            ({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, 700023),
            ({"exp": now - 3600, "nbf": now - 7200}, 700024), ({"nbf": now + 3600}, 700024),
            ({"exp": None}, 50027), ({"jti": None}, 50027),
            ({"header": {"alg": "none", "x5t#S256": sha256}}, 5002738),
            ({"header": {"alg": "HS256", "x5t#S256": sha256}}, 5002738),
            ({"header": {"alg": "PS256"}}, 700027),
            ({"header": {"alg": "PS256", "x5t#S256": foreign}}, 700027),
            ({"key": stranger / "key.pem"}, 700027),
            ({"assertion": "a.b.c"}, 50027), ({"assertion": "." * 5000}, 50027),
            ({"assertion": "x" * 40000}, 50027)):
        form = with_assertion(m365, app, **options)
        assert refused(m365, form, path=path_of(m365)) == (401, "invalid_client", number), options
    form = with_assertion(m365, app)
    for change, number in (({"client_assertion_type": None}, 900144),
                           ({"client_assertion_type": "x"}, 50027),
                           ({"client_assertion": form["client_assertion"][:-8] + "AAAAAAAA"},
                            700027)):
        assert refused(m365, dict(form, **change), path=path_of(m365))[2] == number, change
    # An algorithm that does not fit the signature.
    rs256 = {"alg": "RS256", "x5t#S256": sha256}
    head, body, sig = client_assertion(app, "x", header=dict(rs256, alg="PS256")).split(".")
    swapped = ".".join((b64url(json.dumps(rs256).encode()), body, sig))
    form = with_assertion(m365, app, assertion=swapped)
    assert head and refused(m365, form, path=path_of(m365))[2] == 700027


def test_a_clock_that_is_wrong(m365, app):
    m365.knobs(clock_skew_s=3600)
    assert refused(m365, with_assertion(m365, app), path=path_of(m365))[2] == 700024
    m365.knobs(clock_skew_s=-3600)
    assert refused(m365, with_assertion(m365, app), path=path_of(m365))[2] == 700024
    m365.knobs(clock_skew_s=None)
    assert m365.ask(with_assertion(m365, app), path_of(m365))["access_token"]


def test_a_certificate_of_ones_own(m365, stranger):
    app = m365.set_client(name="certified", client_secret="",
                          certificate=(stranger / "cert.pem").read_text())
    app.update(key_file=stranger / "key.pem", certificate_file=stranger / "cert.pem")
    assert m365.ask(with_assertion(m365, app), path_of(m365))["access_token"]
    with pytest.raises(Exception, match="400"):
        m365.set_client(client_id=app["client_id"], certificate="nonsense")


# --- Google's service accounts ----------------------------------------------

def service_form(sim, user=USER, **options):
    return {"grant_type": JWT_BEARER, "assertion": service_assertion(
        sim.service_account(), user, **options)}


def test_a_service_account_stands_for_a_user(gmail):
    account = gmail.service_account()
    assert account["type"] == "service_account" and account["token_uri"] == gmail.url
    answer = gmail.ask(service_form(gmail))
    assert answer["expires_in"] == 3599 and "refresh_token" not in answer
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, answer["access_token"]), 235)
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2("user2@example.test", answer["access_token"]), 334)
    assert gmail.user(USER)["grants"] == {"jwt_bearer": {"issued": 1, "refused": 0}}


def test_bad_service_assertions(gmail, m365, stranger):
    now = int(time.time())
    time_text = "Invalid JWT: Token must be a short-lived token (60 minutes)"
    signature = "Invalid JWT Signature."
    right = "Invalid JWT: Failed audience check. The right audience is " + gmail.url
    for options, error, text in (
            ({"iss": "x@y.example"}, "invalid_grant", "account not found"),
            ({"aud": "https://oauth2.googleapis.com/token"}, "invalid_grant", right),
            ({"exp": now + 7200}, "invalid_grant", time_text),
            ({"iat": now - 7200, "exp": now - 3600}, "invalid_grant", time_text),
            ({"iat": now + 1800, "exp": now + 3600}, "invalid_grant", time_text),
            ({"iat": None}, "invalid_grant", time_text),
            ({"exp": None}, "invalid_grant", time_text),
            ({"sub": "nobody@example.test"}, "invalid_grant", "Invalid email or User ID"),
            ({"sub": None}, "unauthorized_client", "Client is unauthorized to retrieve"),
            ({"scope": "https://www.googleapis.com/auth/drive"}, "unauthorized_client", "Client"),
            ({"scope": None}, "invalid_scope", "Empty or missing scope"),
            ({"scope": "mail"}, "invalid_scope", "Some requested scopes"),
            ({"key": stranger / "key.pem"}, "invalid_grant", signature),
            ({"header": {"alg": "RS256", "kid": "x"}}, "invalid_grant", signature),
            ({"header": {"alg": "PS256"}}, "invalid_grant", signature),
            ({"header": {"alg": "none"}}, "invalid_grant", signature)):
        result = refused(gmail, service_form(gmail, **options))
        assert result[1] == error and text in result[2], options
    for assertion in ("nonsense", "e30.e30.e30", "..", "x" * 20000):
        result = refused(gmail, {"grant_type": JWT_BEARER, "assertion": assertion})
        assert result[1] in ("invalid_request", "invalid_grant"), assertion
    assert refused(gmail, {"grant_type": JWT_BEARER})[1] == "invalid_request"
    gmail.knobs(clock_skew_s=-4000)
    assert time_text in refused(gmail, service_form(gmail))[2]
    gmail.knobs(USER, token_error="delegation", count=1)
    assert refused(gmail, service_form(gmail))[1] == "unauthorized_client"
    assert refused(m365, {"grant_type": JWT_BEARER, "client_id": m365.client("public")["client_id"],
                          "assertion": "x"}) == (400, "unsupported_grant_type", 70003)
