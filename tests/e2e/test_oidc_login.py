"""Signing in at a real authorization server: in a browser, and by a code on another device."""
import pytest

from lib import oidc
from lib.ctl import OK, Terminal
from lib.daemon import Bearerd
from lib.util import wait_until

pytestmark = pytest.mark.skipif(oidc.why_not() is not None, reason=str(oidc.why_not()))

A, B = "a@example.com", "b@example.com"
GRANTS = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]


@pytest.fixture(scope="module")
def server(certs, tmp_path_factory):
    common = {"grant_types": GRANTS, "redirect_uris": ["http://localhost"],
              "response_types": ["code"], "application_type": "native",
              "scope": "openid offline_access mail email"}
    clients = [
        dict(common, client_id="public", token_endpoint_auth_method="none"),
        dict(common, client_id="secret", client_secret="a-secret-that-is-long-enough",
             token_endpoint_auth_method="client_secret_post"),
        {"client_id": "introspector", "client_secret": "another-secret-of-some-length",
         "grant_types": [], "redirect_uris": [], "response_types": [],
         "token_endpoint_auth_method": "client_secret_basic"},
    ]
    with oidc.OidcProvider(certs, tmp_path_factory.mktemp("oidc"), clients) as server:
        yield server


@pytest.fixture
def mail(server, make_provider):
    """A mail server that asks whose token it is."""
    def check(user, token):
        told = server.introspect(token, "introspector")
        return told.get("active") is True and told.get("sub") == user
    return make_provider(check=check)


@pytest.fixture
def daemon(request, certs, server, mail):
    client = server.clients[getattr(request, "param", "public")]
    conf = {"token_url": server.token_url, "authorize_url": server.url + "/auth",
            "device_url": server.url + "/device/auth", "smtp_endpoint": "localhost:%d" % mail.port,
            "authorize_scope": "openid email offline_access mail",
            "authorize_extra": "prompt=consent", "domains": "example.com"}
    conf = {"providers.own." + key: value for key, value in conf.items()}
    conf.update({"apps.ours.provider": "own", "apps.ours.client_id": client["client_id"]})
    if "client_secret" in client:
        conf["apps.ours.client_secret"] = client["client_secret"]
    with Bearerd(certs, (), conf) as one:
        yield one


def begin(daemon, **body):
    answer = daemon.admin.request("POST", "/admin/logins", dict(body, email=A))
    assert answer.status == 201, answer
    return answer.json


def outcome(daemon, login):
    def over():
        now = daemon.admin.request("GET", "/admin/logins/" + login["id"]).json
        return now["state"] != "pending" and now
    return wait_until(over, 30, "the login to be over")


@pytest.mark.parametrize("daemon", ["public", "secret"], indirect=True)
def test_a_browser(server, mail, daemon):
    server.sit_down(A)
    login = begin(daemon, redirect_uri="http://localhost:4711")
    where = server.browse(login["authorize_url"], "http://localhost:4711")
    daemon.admin.request("POST", "/admin/logins/" + login["id"], {"redirect_url": where})
    done = outcome(daemon, login)
    assert done["state"] == "done" and done["signed_in_as"] == A, (done, server.events())
    assert daemon.send(A, "x@example.net").code == 250
    # What was given is refreshed like any other grant.
    first = daemon.stored_accounts()[0]["refresh_token"]
    answer = daemon.admin.request("POST", "/admin/accounts/%s/verify" % A, {})
    assert answer.json["success"] and daemon.stored_accounts()[0]["refresh_token"] != first


@pytest.mark.parametrize("daemon", ["public", "secret"], indirect=True)
def test_a_device(server, mail, daemon):
    server.sit_down(A)
    login = begin(daemon, flow="device")
    assert login["verification_uri"] == server.url + "/device"
    page = server.browse(login["verification_uri_complete"])
    assert "success" in page.lower(), page
    done = outcome(daemon, login)
    assert done["state"] == "done" and done["signed_in_as"] == A, (done, server.events())
    assert daemon.send(A, "x@example.net").code == 250


def test_the_whole_command(server, mail, daemon):
    """bearerctl's own listener gets the answer."""
    server.sit_down(A)
    terminal = Terminal(("login", A), columns=4000,
                        env={"BEARERD_URL": "http://127.0.0.1:%d" % daemon.admin_port})
    terminal.expect(b"press Enter.")
    address = next(line.strip() for line in terminal.shown.decode().splitlines()
                   if line.startswith("  https://"))
    page = server.browse(address)
    assert "Back to bearerctl" in page
    assert terminal.end() == OK, terminal.shown
    assert daemon.send(A, "x@example.net").code == 250


@pytest.mark.parametrize("flow", ["browser", "device"])
@pytest.mark.parametrize("user, cause", [("", "declined"), (B, "wrong_user")])
def test_what_fails(server, daemon, flow, user, cause):
    server.sit_down(user)
    login = begin(daemon, flow=flow, redirect_uri="http://localhost:4711")
    if flow == "browser":
        where = server.browse(login["authorize_url"], "http://localhost:4711")
        daemon.admin.request("POST", "/admin/logins/" + login["id"], {"redirect_url": where})
    else:
        server.browse(login["verification_uri_complete"])
    failed = outcome(daemon, login)
    assert failed["state"] == "failed" and failed["cause"] == cause, failed
    assert not daemon.stored_accounts()


def test_a_code_that_was_used(server, daemon):
    """Whoever has read it is too late, and without the verifier could not have used it."""
    server.sit_down(A)
    one = begin(daemon, redirect_uri="http://localhost:4711")
    where = server.browse(one["authorize_url"], "http://localhost:4711")
    two = begin(daemon, redirect_uri="http://localhost:4711")
    answer = daemon.admin.request("POST", "/admin/logins/" + two["id"], {"redirect_url": where})
    assert answer.status == 400 and answer.json["field"] == "redirect_url"
    code = where.split("code=")[1].split("&")[0]
    daemon.admin.request("POST", "/admin/logins/" + two["id"], {"redirect_url": code})
    assert outcome(daemon, two)["cause"] == "code_refused"
