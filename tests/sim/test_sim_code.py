"""/authorize and the authorization_code grant."""
import html
import urllib.parse

import pytest

from lib.oauth import claims, pkce
from oauthclient import GOOGLE_MAIL, MAIL, Flow, refused
from simclient import USER, secure, xoauth2

# name of the error -> what a user or an application sees: a page's status or the
# redirect's error, and a part of the text
GOOGLE = {"access_denied": ("access_denied", ""), "org_internal": (403, "org_internal"),
          "admin_policy_enforced": (400, "admin_policy_enforced"),
          "not_verified": (403, "Error 403: access_denied"),
          "invalid_scope": (400, "invalid_scope"), "disabled_client": (401, "disabled_client"),
          "server_error": ("server_error", "")}
MICROSOFT = {"access_denied": ("access_denied", "AADSTS65004"),
             "consent_required": ("consent_required", "AADSTS65001"),
             "interaction_required": ("interaction_required", "AADSTS50076"),
             "invalid_scope": ("invalid_scope", "AADSTS70011"),
             "admin_policy_enforced": (200, "AADSTS90094"), "org_internal": (400, "AADSTS50020"),
             "conditional_access": (400, "AADSTS53003"), "not_assigned": (400, "AADSTS50105"),
             "temporarily_unavailable": ("temporarily_unavailable", "AADSTS90033")}


def test_a_code_of_microsoft(m365):
    client = m365.client("public")
    flow = Flow(m365, client, path="/common/oauth2/v2.0/authorize")
    assert flow.where.startswith("http://127.0.0.1:1/?code=") and flow.answer["state"] == "a state"
    answer = flow.redeem(scope=MAIL)
    assert answer["scope"] == "https://outlook.office.com/SMTP.Send"
    _, token = claims(answer["access_token"])
    assert token["aud"] == "https://outlook.office.com" and token["scp"] == "SMTP.Send"
    assert token["upn"] == USER and token["appid"] == client["client_id"]
    assert token["tid"] == m365.tenant and token["exp"] == token["iat"] + answer["expires_in"]
    with secure(m365) as wire:
        wire.cmd("AUTH XOAUTH2", 334)
        wire.cmd(xoauth2(USER, answer["access_token"]), 235)
    # The refresh token is the application's, and not of the one in accounts.json.
    account = dict(m365.account(USER), refresh_token=answer["refresh_token"])
    assert m365.refresh(dict(account, client_id=client["client_id"]))["access_token"]
    form = {"grant_type": "refresh_token", "client_id": account["client_id"], "scope": MAIL,
            "refresh_token": answer["refresh_token"]}
    assert refused(m365, form) == (400, "unauthorized_client", 700016)
    assert m365.account(USER)["refresh_token"] != answer["refresh_token"]
    assert m365.user(USER)["grants"]["authorization_code"] == {"issued": 1, "refused": 0}


def test_no_offline_access_no_refresh_token(m365):
    answer = Flow(m365, m365.client("public"),
                  scope="https://outlook.office.com/SMTP.Send").redeem()
    assert answer["access_token"] and "refresh_token" not in answer


def test_an_identity_token_names_the_user(m365):
    client = m365.client("public")
    answer = Flow(m365, client, scope=MAIL + " openid", nonce="n1").redeem()
    header, token = claims(answer["id_token"])
    assert token["email"] == token["preferred_username"] == USER and token["nonce"] == "n1"
    assert token["aud"] == client["client_id"] and header["alg"] == "ES256"


def test_a_code_of_google(gmail):
    client = gmail.client("desktop")
    first = Flow(gmail, client, path="/o/oauth2/v2/auth", access_type="offline")
    assert first.answer["scope"] == GOOGLE_MAIL and "/" in first.code
    answer = first.redeem()
    assert answer["access_token"].startswith("ya29.") and answer["scope"] == GOOGLE_MAIL
    assert answer["refresh_token"]
    # Consent was given: without prompt=consent there is no second refresh token.
    assert "refresh_token" not in Flow(gmail, client, access_type="offline").redeem()
    assert "refresh_token" not in Flow(gmail, client, prompt="consent").redeem()
    again = Flow(gmail, client, access_type="offline", prompt="consent").redeem()
    assert again["refresh_token"] != answer["refresh_token"]
    refreshed = gmail.refresh(dict(client, refresh_token=again["refresh_token"]))
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, refreshed["access_token"]), 235)


def test_a_google_token_for_something_else_opens_no_mailbox(gmail):
    answer = Flow(gmail, gmail.client("desktop"),
                  scope="https://www.googleapis.com/auth/gmail.send").redeem()
    with secure(gmail) as wire:
        wire.cmd("AUTH XOAUTH2 " + xoauth2(USER, answer["access_token"]), 334)


def test_what_microsoft_checks_at_redemption(m365):
    client = m365.client("public")
    flow = Flow(m365, client)
    other = m365.set_client(provider="outlook", client_secret="", name="other")
    for change, result in (
            ({"code": None}, (400, "invalid_request", 900144)),
            ({"code": "0.Awrong"}, (400, "invalid_grant", 70000)),
            ({"client_id": None}, (400, "invalid_request", 900144)),
            ({"client_id": "nobody"}, (400, "unauthorized_client", 700016)),
            ({"client_id": other["client_id"]}, (400, "invalid_grant", 70000)),
            ({"client_secret": "x"}, (401, "invalid_client", 700025)),
            ({"redirect_uri": None}, (400, "invalid_request", 900144)),
            ({"redirect_uri": "http://127.0.0.1:2/"}, (401, "invalid_client", 500112)),
            ({"code_verifier": None}, (400, "invalid_grant", 501481)),
            ({"code_verifier": pkce()[0]}, (400, "invalid_grant", 501481)),
            ({"scope": "https://nowhere.example/SMTP.Send"}, (400, "invalid_resource", 500011)),
            ({"scope": "https://outlook.office.com/Nonsense"}, (400, "invalid_scope", 70011)),
            ({"scope": MAIL + " https://graph.microsoft.com/Mail.Send"},
             (400, "invalid_scope", 28000))):
        assert flow.refused(**change) == result, change
    assert flow.redeem()["refresh_token"]  # nothing of that used it up
    assert flow.refused() == (400, "invalid_grant", 54005)
    m365.knobs(client["client_id"], code_expires_in=0)
    assert Flow(m365, client).refused() == (400, "invalid_grant", 70008)


def test_what_google_checks_at_redemption(gmail):
    client = gmail.client("desktop")
    flow = Flow(gmail, client)
    for change, result in (
            ({"code": None}, (400, "invalid_request", "Missing required parameter: code")),
            ({"code": "4/0Awrong"}, (400, "invalid_grant", "Malformed auth code.")),
            ({"client_id": "nobody"}, (401, "invalid_client", "The OAuth client was not found.")),
            ({"client_secret": "x"}, (401, "invalid_client", "Unauthorized")),
            ({"client_secret": None}, (401, "invalid_client", "client_secret is missing.")),
            ({"redirect_uri": "http://localhost:1/"}, (400, "redirect_uri_mismatch",
                                                       "Bad Request")),
            ({"code_verifier": None}, (400, "invalid_grant", "Missing code verifier.")),
            ({"code_verifier": pkce()[0]}, (400, "invalid_grant", "Invalid code verifier."))):
        assert flow.refused(**change) == result, change
    assert flow.redeem()["access_token"]
    assert flow.refused() == (400, "invalid_grant", "Bad Request")


@pytest.mark.parametrize("uri, fits", [
    ("http://localhost:12345/callback", True), ("http://127.0.0.1:9", True),
    ("http://[::1]:8080/a?b=c", True), ("http://localhost", True),
    ("https://login.microsoftonline.com/common/oauth2/nativeclient", True),
    ("http://localhost.example/", False), ("http://127.0.0.1:1/#x", False),
    ("http://127.0.0.1:123456/", False), ("https://elsewhere.example/", False), ("", False)])
def test_redirect_uris(m365, uri, fits):
    flow = Flow(m365, m365.client("public"), redirect_uri=uri)
    if fits:
        assert flow.kind == "redirect" and flow.where.startswith(uri)
        assert flow.redeem(redirect_uri=uri)["access_token"]
    else:
        assert (flow.kind, flow.where) == ("page", 400) and "AADSTS50011" in flow.answer


def test_a_registered_redirect_uri(gmail):
    uri = "https://app.example/back?keep=1"
    client = gmail.set_client(name="web", redirect_uris=[uri])
    flow = Flow(gmail, client, redirect_uri=uri)
    assert flow.where.startswith(uri + "&code=") and flow.answer["keep"] == "1"
    assert Flow(gmail, gmail.client("desktop"), redirect_uri=uri).where == 400


@pytest.mark.parametrize("profile, query, status, text", [
    ("m365", {"client_id": "nobody"}, 400, "AADSTS700016"),
    ("gmail", {"client_id": "nobody"}, 401, "invalid_client"),
    ("m365", {"path": "/nowhere.example/oauth2/v2.0/authorize"}, 400, "AADSTS90002"),
    ("gmail", {"response_type": "token"}, 400, "unsupported_response_type"),
    ("gmail", {"scope": None}, 400, "invalid_request"),
    ("gmail", {"scope": "mail"}, 400, "invalid_scope"),
    ("gmail", {"code_challenge": None}, 400, "code_challenge"),
    ("m365", {"auto": "nobody@example.test"}, 400, "AADSTS50034")])
def test_bad_requests_that_only_the_user_sees(get_sim, profile, query, status, text):
    sim = get_sim(profile)
    client = dict(sim.client("public" if profile == "m365" else "desktop"))
    client["client_id"] = query.get("client_id", client["client_id"])
    flow = Flow(sim, client, **{k: v for k, v in query.items() if k != "client_id"})
    assert (flow.kind, flow.where) == ("page", status) and text in flow.answer


@pytest.mark.parametrize("query, error, number", [
    ({"response_type": "token"}, "unsupported_response_type", "AADSTS70005"),
    ({"scope": None}, "invalid_request", "AADSTS900144"),
    ({"scope": "https://outlook.office.com/Nonsense"}, "invalid_scope", "AADSTS70011"),
    ({"scope": "https://nowhere.example/x"}, "invalid_resource", "AADSTS500011"),
    ({"scope": MAIL + " Mail.Send"}, "invalid_request", "AADSTS28000"),
    ({"code_challenge": "short"}, "invalid_request", "AADSTS501491"),
    ({"code_challenge_method": "plain"}, "invalid_request", "AADSTS501491"),
    ({"prompt": "none", "auto": None}, "login_required", "AADSTS50058")])
def test_bad_requests_that_the_application_hears_of(m365, query, error, number):
    flow = Flow(m365, m365.client("public"), **query)
    assert flow.answer["error"] == error and flow.answer["state"] == "a state"
    assert flow.answer["error_description"].startswith(number + ": ")


@pytest.mark.parametrize("profile, name", [("gmail", name) for name in GOOGLE] +
                         [("m365", name) for name in MICROSOFT])
def test_errors_by_name(get_sim, profile, name):
    sim = get_sim(profile)
    client = sim.client("public" if profile == "m365" else "desktop")
    result, text = (MICROSOFT if profile == "m365" else GOOGLE)[name]
    sim.knobs(client["client_id"], authorize_error=name, count=1)
    flow = Flow(sim, client)
    if isinstance(result, int):
        assert (flow.kind, flow.where) == ("page", result) and text in flow.answer
    else:
        assert flow.answer["error"] == result and flow.answer["state"] == "a state"
        assert text in flow.answer.get("error_description", "")
    assert Flow(sim, client).code  # once was enough


def test_pkce_can_be_optional(m365):
    client = m365.client("public")
    assert "error" in Flow(m365, client, code_challenge=None).answer
    m365.knobs(pkce_optional=1)
    flow = Flow(m365, client, code_challenge=None)
    assert flow.refused() == (400, "invalid_grant", 501481)  # a verifier for nothing
    assert flow.redeem(code_verifier=None)["access_token"]


def test_the_page(m365):
    client = m365.client("public")
    verifier, challenge = pkce()
    url = m365.authorize_url(client["client_id"], code_challenge=challenge, login_hint=USER,
                             code_challenge_method="S256", state='<"&>')
    kind, status, page = m365.visit(url)
    assert (kind, status) == ("page", 200) and 'id="allow"' in page and 'id="deny"' in page
    assert "<option selected>%s</option>" % USER in page and html.escape('<"&>') in page
    fields = {name: html.unescape(part.split('value="')[1].split('"')[0])
              for part in page.split("<input ")[1:]
              for name in [part.split('name="')[1].split('"')[0]]}
    assert fields["state"] == '<"&>'
    action = urllib.parse.urljoin(url, page.split('action="')[1].split('"')[0])
    _, _, denied = m365.visit(action, dict(fields, action="deny", user=USER))
    assert denied["error"] == "access_denied" and denied["state"] == '<"&>'
    _, _, allowed = m365.visit(action, dict(fields, action="allow", user=USER))
    assert allowed["state"] == '<"&>'
    answer = m365.ask({"grant_type": "authorization_code", "client_id": client["client_id"],
                       "code": allowed["code"], "redirect_uri": "http://127.0.0.1:1/",
                       "code_verifier": verifier})
    assert claims(answer["access_token"])[1]["upn"] == USER


def test_a_user_who_always_allows(m365):
    m365.knobs(authorize_auto="user2@example.test")
    answer = Flow(m365, m365.client("public"), auto=None).redeem()
    assert claims(answer["access_token"])[1]["upn"] == "user2@example.test"


def test_a_request_without_state_is_told(m365):
    assert Flow(m365, m365.client("public"), state=None).code
    assert m365.state()["errors"] == ["an authorization request without state"]
