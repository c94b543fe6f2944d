"""A real browser, Chromium without a screen, that clicks on what users click on."""
import http.server
import threading
import urllib.parse

import pytest

from lib.chromium import choose, chromium, click, text_of, wait_for, why_not, write
from lib.oauth import DEVICE_CODE, claims, pkce
from oauthclient import MAIL
from simclient import USER

pytestmark = [pytest.mark.timeout(180),
              pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def callback():
    """The application's loopback redirect: `url`, and `queries` that came."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/callback":
                server.queries.append(dict(urllib.parse.parse_qsl(url.query)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p id=done>done</p>")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.queries = []
    server.url = "http://127.0.0.1:%d/callback" % server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_consent(m365, browser, callback):
    client = m365.client("public")
    verifier, challenge = pkce()
    browser.get(m365.authorize_url(client["client_id"], callback.url, state="s&t",
                                   path="/common/oauth2/v2.0/authorize", code_challenge=challenge,
                                   code_challenge_method="S256"))
    assert text_of(browser, "client") == "public" and text_of(browser, "scope") == MAIL
    choose(browser, "user2@example.test")
    click(browser, "allow")
    wait_for(browser, "done")
    query, = callback.queries
    assert query["state"] == "s&t"
    answer = m365.ask({"grant_type": "authorization_code", "client_id": client["client_id"],
                       "code": query["code"], "redirect_uri": callback.url,
                       "code_verifier": verifier}, "/common/oauth2/v2.0/token")
    assert claims(answer["access_token"])[1]["upn"] == "user2@example.test"


def test_denial(gmail, browser, callback):
    client = gmail.client("desktop")
    browser.get(gmail.authorize_url(client["client_id"], callback.url, login_hint=USER,
                                    scope="https://mail.google.com/", code_challenge=pkce()[1],
                                    code_challenge_method="S256"))
    click(browser, "deny")
    wait_for(browser, "done")
    assert callback.queries == [{"error": "access_denied", "state": "a state"}]


def test_a_device(m365, browser):
    client = m365.client("public")
    started = m365.ask({"client_id": client["client_id"], "scope": MAIL}, "/devicecode")
    browser.get(started["verification_uri"])
    write(browser, "user_code", started["user_code"])
    choose(browser, USER)
    click(browser, "allow")
    wait_for(browser, "message")
    answer = m365.ask({"grant_type": DEVICE_CODE, "client_id": client["client_id"],
                       "device_code": started["device_code"]})
    assert claims(answer["access_token"])[1]["upn"] == USER
