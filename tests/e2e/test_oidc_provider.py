"""Grants against a real authorization server, which revokes everything when a refresh
token is used twice."""
import pathlib
import signal
import subprocess

import pytest

from lib import oidc
from lib.api import Api
from lib.daemon import Bearerd
from lib.util import wait_until

pytestmark = pytest.mark.skipif(oidc.why_not() is not None, reason=str(oidc.why_not()))

A, B, C, D = ("%s@example.com" % name for name in "abcd")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A key and its certificate."""
    directory = tmp_path_factory.mktemp("pair")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
                    "-keyout", "key.pem", "-out", "cert.pem"], cwd=directory, check=True,
                   stderr=subprocess.DEVNULL)
    return directory


@pytest.fixture(scope="module")
def server(certs, pair, tmp_path_factory):
    common = {"grant_types": ["refresh_token", "client_credentials"], "redirect_uris": [],
              "response_types": [], "scope": "openid offline_access mail"}
    clients = [
        dict(common, client_id="secret", client_secret="a-secret-that-is-long-enough",
             token_endpoint_auth_method="client_secret_post"),
        dict(common, client_id="keyed", token_endpoint_auth_method="private_key_jwt",
             jwks={"keys": [oidc.jwk_of(pair / "cert.pem")]}),
        dict(common, client_id="introspector", client_secret="another-secret-of-some-length",
             token_endpoint_auth_method="client_secret_basic"),
    ]
    with oidc.OidcProvider(certs, tmp_path_factory.mktemp("oidc"), clients) as server:
        yield server


@pytest.fixture
def mail(server, make_provider):
    """A mail server that asks whether a token is good."""
    return make_provider(
        check=lambda user, token: server.introspect(token, "introspector").get("active") is True)


def places(server, mail, **more):
    return dict({"providers.own.token_url": server.token_url,
                 "providers.own.smtp_endpoint": "localhost:%d" % mail.port}, **more)


def record(email, **more):
    return dict({"email": email, "account_id": email[0], "provider": "own"}, **more)


def verify(api, email):
    status, answer = api.call("POST", "/admin/accounts/%s/verify" % email, {})
    assert status == 200 and answer["success"], answer


def test_each_grant(server, mail, certs, pair):
    key = {"private_key": (pair / "key.pem").read_text()}
    secret = server.clients["secret"]["client_secret"]
    records = [
        record(A, client_id="secret", client_secret=secret, refresh_token=server.mint("secret", A)),
        record(B, client_id="secret", client_secret=secret, grant="client_credentials",
               scope="mail"),
        record(C, client_id="keyed", refresh_token=server.mint("keyed", C), **key),
        record(D, client_id="keyed", scope="mail", assertion="RS256",
               certificate=(pair / "cert.pem").read_text(), **key),
    ]
    with Bearerd(certs, records, places(server, mail)) as daemon:
        for email in (A, B, C, D):
            reply = daemon.send(email, "x@example.net")
            assert reply.code == 250, (email, reply, server.events())
    assert [login[4] for login in mail.logins] == [True] * 4


def test_an_application_with_a_key(server, mail, certs, pair):
    conf = places(server, mail, **{
        "apps.keyed.provider": "own", "apps.keyed.client_id": "keyed",
        "apps.keyed.key": str(pair / "key.pem"), "apps.keyed.scope": "mail"})
    records = [record(email, app="keyed") for email in (A, B, C)]
    with Bearerd(certs, records, conf) as daemon:
        for email in (A, B, C):
            assert daemon.send(email, "x@example.net").code == 250, server.events()


@pytest.mark.timeout(120)
def test_no_refresh_token_is_used_twice(server, mail, certs):
    """Each refresh replaces the refresh token, and one that is used again ends the grant:
    so it never is, also where bearerd dies at any moment."""
    secret = server.clients["secret"]["client_secret"]
    before = server.events()
    records = [record(A, client_id="secret", client_secret=secret,
                      refresh_token=server.mint("secret", A))]
    with Bearerd(certs, records, places(server, mail)) as daemon:
        seen = {records[0]["refresh_token"]}
        for _ in range(4):
            for _ in range(3):
                verify(Api(daemon.admin_port), A)
            stored = daemon.stored_accounts()[0]["refresh_token"]
            assert stored not in seen
            seen.add(stored)
            daemon.signal(signal.SIGKILL)
            daemon.process.wait(10)
            daemon.kill()
            daemon.start()
            assert daemon.send(A, "x@example.net").code == 250
    after = server.events()
    assert after["revoked"] == before["revoked"] and after["errors"] == before["errors"]


def test_a_grant_that_was_used_twice(server, mail, certs):
    """Somebody else used our refresh token: the server ends the grant, and the account needs
    consent."""
    secret = server.clients["secret"]["client_secret"]
    token = server.mint("secret", A)
    records = [record(A, client_id="secret", client_secret=secret, refresh_token=token)]
    with Bearerd(certs, records, places(server, mail), start=False) as daemon:
        server.ask("/token", {"grant_type": "refresh_token", "client_id": "secret",
                              "client_secret": secret, "refresh_token": token})
        daemon.start()
        api = Api(daemon.admin_port)
        wait_until(lambda: api.get("/admin/accounts/" + A)["account"]["state"] == "needs_consent",
                   20, "the account to need consent")
    assert server.events()["revoked"] > 0


def test_a_wrong_key(server, mail, certs, tmp_path):
    subprocess.run(["openssl", "genrsa", "-out", str(tmp_path / "key.pem"), "2048"], check=True,
                   stderr=subprocess.DEVNULL)
    records = [record(A, client_id="keyed", scope="mail",
                      private_key=pathlib.Path(tmp_path / "key.pem").read_text())]
    with Bearerd(certs, records, places(server, mail)) as daemon:
        api = Api(daemon.admin_port)
        wait_until(lambda: api.get("/admin/accounts/" + A)["account"]["state"] == "misconfigured",
                   20, "the account to be misconfigured")
