"""How the HTTPS port answers, whatever the grant: the errors by name, headers,
the clock, lifetimes, and what it says about itself."""
import base64
import calendar
import email.utils
import http.client
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from lib.oauth import DEVICE_CODE, claims, unb64url
from lib.sim import Refused, Sim
from oauthclient import Flow
from simclient import USER

# error of the body, by name; what has none is no JSON object, or no answer
WORDS = {"invalid_grant": "invalid_grant", "50196": "invalid_grant", "65001": "invalid_grant",
         "50076": "invalid_grant", "50079": "invalid_grant", "50074": "invalid_grant",
         "50105": "invalid_grant", "530035": "invalid_grant", "53003": "invalid_grant",
         "70012": "server_error", "50087": "temporarily_unavailable", "90006": "server_error",
         "90090": "temporarily_unavailable", "90055": "temporarily_unavailable",
         "90002": "invalid_request", "7000112": "unauthorized_client",
         "deleted_client": "deleted_client", "invalid_rapt": "invalid_grant",
         "consent_required": "consent_required", "429_json": "rate_limit_exceeded"}
NO_OBJECT = {"500", "502_html", "503", "503_html", "429", "403_html"}
NO_REFUSAL = {"bad_json", "empty", "html", "no_access_token", "close", "close_body"}


def refusal(sim, account=None):
    with pytest.raises(Refused) as caught:
        sim.refresh(account or sim.account(USER))
    return caught.value


@pytest.mark.parametrize("profile", ["gmail", "m365"])
def test_every_error_by_name(get_sim, profile):
    sim = get_sim(profile)
    account = sim.account(USER)
    names = sim.request("GET", "/knobs")["token_errors"]
    assert set(WORDS) | NO_OBJECT | NO_REFUSAL <= set(names)
    for name in set(names) - NO_REFUSAL:
        sim.knobs(USER, token_error=name, count=1)
        answer = refusal(sim, account)
        assert 400 <= answer.status < 600 and answer.body, name
        if name in NO_OBJECT:
            assert not answer.body.startswith("{"), name
            continue
        body = json.loads(answer.body)
        assert body["error"] == WORDS.get(name, body["error"]) and body["error_description"], name
        assert "{" not in body["error_description"], name
        if name.isdigit():
            assert body["error_codes"] == [int(name)]
            assert body["error_description"].startswith("AADSTS%s: " % name)


def test_finer_words(gmail, m365):
    gmail.knobs(token_error="invalid_rapt")
    assert json.loads(refusal(gmail).body)["error_subtype"] == "invalid_rapt"
    m365.knobs(token_error="65001")
    assert json.loads(refusal(m365).body)["suberror"] == "consent_required"


def test_no_answer_at_all(gmail):
    account = gmail.account(USER)
    gmail.knobs(token_error="close", count=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        gmail.refresh(account)
    gmail.knobs(token_error="close_body", token_chunked=1, count=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        gmail.refresh(account)
    gmail.knobs(token_chunked=None)
    assert gmail.refresh(account)["access_token"]


def test_retry_after(m365):
    for name, default in (("429", "60"), ("90055", "60"), ("503", None), ("403_html", None),
                          ("90033", None)):
        m365.knobs(token_error=name, token_retry_after=None)
        assert refusal(m365).headers["Retry-After"] == default, name
        m365.knobs(token_retry_after=7)
        assert refusal(m365).headers["Retry-After"] == "7", name
    m365.knobs(token_retry_date=1, token_retry_after=3600)
    headers = refusal(m365).headers
    seconds = [calendar.timegm(email.utils.parsedate(headers[name]))
               for name in ("Retry-After", "Date")]
    assert seconds[0] - seconds[1] in (3600, 3601)


def date_of(sim):
    with urllib.request.urlopen("https://localhost:%d/jwks" % sim.http,
                                context=sim.context) as reply:
        dates = reply.headers.get_all("Date")
        assert len(dates) == 1
        return calendar.timegm(email.utils.parsedate(dates[0]))


@pytest.mark.parametrize("skew", [0, 86400, -86400])
def test_a_clock_that_is_wrong(m365, skew):
    m365.knobs(clock_skew_s=skew)
    before = time.time()
    date, token = date_of(m365), claims(m365.refresh(m365.account(USER))["access_token"])[1]
    now = time.time()
    for seen in (date, token["iat"], token["nbf"]):
        assert int(before) <= seen - skew <= now + 1


def test_refresh_tokens_that_expire(gmail, m365):
    account = gmail.add_account("mortal@example.test")
    gmail.knobs("mortal@example.test", refresh_expires_in=7 * 86400)
    left = gmail.refresh(account)["refresh_token_expires_in"]
    assert 7 * 86400 - 60 < left <= 7 * 86400
    gmail.knobs("mortal@example.test", refresh_expires_in=None)
    assert gmail.refresh(account)["refresh_token_expires_in"] <= left  # it does not begin anew
    assert "refresh_token_expires_in" not in gmail.refresh(gmail.account(USER))
    account = m365.add_account("mortal@example.test")
    m365.knobs("mortal@example.test", refresh_expires_in=1, token_rotation="keep")
    m365.refresh(account)
    m365.knobs("mortal@example.test", refresh_expires_in=None)
    end = time.monotonic() + 20
    with pytest.raises(Refused) as caught:
        while time.monotonic() < end:
            m365.refresh(account)
            time.sleep(0.05)
    assert json.loads(caught.value.body)["error_codes"] == [70008]


def test_what_was_not_agreed_on_is_not_given(m365):
    client = m365.client("public")
    answer = Flow(m365, client, scope="Mail.Send offline_access").redeem(scope=None)
    assert claims(answer["access_token"])[1]["aud"] == "https://graph.microsoft.com"
    record = {"client_id": client["client_id"], "refresh_token": answer["refresh_token"]}
    assert m365.refresh(record, scope="Mail.Send")["access_token"]
    assert json.loads(refusal(m365, record).body)["error_codes"] == [65001]


def test_grants_are_counted(m365):
    Flow(m365, m365.client("public")).redeem()
    m365.refresh(m365.account(USER))
    with pytest.raises(Refused):
        m365.ask({"grant_type": DEVICE_CODE, "device_code": "x"})
    assert m365.state("")["totals"]["grants"] == {
        "authorization_code": {"issued": 1, "refused": 0},
        "refresh_token": {"issued": 1, "refused": 0},
        "device_code": {"issued": 0, "refused": 1}}
    assert m365.state("")["totals"]["refreshes"] == 2


def get(sim, path):
    with urllib.request.urlopen("https://localhost:%d%s" % (sim.http, path),
                                context=sim.context) as reply:
        return json.load(reply)


def test_discovery(gmail, m365):
    google = get(gmail, "/.well-known/openid-configuration")
    assert google["token_endpoint"] == gmail.url
    assert google["issuer"] == "https://localhost:%d" % gmail.http
    base = "https://localhost:%d/common" % m365.http
    microsoft = get(m365, "/common/v2.0/.well-known/openid-configuration")
    assert microsoft["token_endpoint"] == base + "/oauth2/v2.0/token"
    assert microsoft["device_authorization_endpoint"] == base + "/oauth2/v2.0/devicecode"
    client = m365.client("public")
    flow = Flow(m365, client, path="/common/oauth2/v2.0/authorize")
    assert microsoft["authorization_endpoint"] == base + "/oauth2/v2.0/authorize" and flow.code
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(m365, "/common/extra/oauth2/v2.0/token")


def test_tokens_are_signed_with_the_published_key(m365, tmp_path):
    token = m365.refresh(m365.account(USER))["access_token"]
    key, = get(m365, "/jwks")["keys"]
    assert claims(token)[0]["kid"] == key["kid"]
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" "04")
    spki += unb64url(key["x"]) + unb64url(key["y"])
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" %
                                      base64.encodebytes(spki).decode())
    covered, _, signature = token.rpartition(".")
    numbers = b""
    for half in (unb64url(signature)[:32], unb64url(signature)[32:]):
        number = half.lstrip(b"\0")
        number = b"\0" * (number[0] >> 7) + number
        numbers += bytes([2, len(number)]) + number
    (tmp_path / "signature").write_bytes(bytes([0x30, len(numbers)]) + numbers)
    verified = subprocess.run(["openssl", "dgst", "-sha256", "-verify", tmp_path / "key.pem",
                               "-signature", tmp_path / "signature"], input=covered.encode(),
                              stdout=subprocess.PIPE)
    assert verified.stdout == b"Verified OK\n"


def test_applications_survive_a_restart():
    with Sim("m365", resume=True) as sim:
        app = sim.set_client(name="mine", client_secret="s", mailboxes=[USER])
        answer = Flow(sim, sim.client("public")).redeem()
        before = sim.clients()
        sim.restart()
        assert sim.clients() == before and before["mine"]["client_secret"] == "s"
        refreshed = sim.refresh({"client_id": sim.client("public")["client_id"],
                                 "refresh_token": answer["refresh_token"]})
        assert refreshed["access_token"] and app["mailboxes"] == [USER]
