"""The way of a new user, with a real browser: bearerctl login, the provider's page, a click, and
mail is sent."""
import pytest

from lib import oidc
from lib.chromium import choose, chromium, click, press, wait_for_text, why_not
from lib.ctl import FAILED, OK, Terminal
from lib.daemon import Bearerd
from lib.signin import app, places
from lib.sim import Sim
from lib.util import wait_until

pytestmark = [pytest.mark.timeout(180),
              pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

A, B = "user1@example.test", "user2@example.test"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture(scope="module")
def google(certs):
    """bearerd, its provider a simulated Google."""
    with Sim("gmail", accounts=2, certs=certs) as sim:
        conf = dict(places(sim, "gmail"), **app(sim, "gmail", "desktop"))
        with Bearerd(certs, (), conf) as daemon:
            yield daemon


def login(daemon, *args):
    return Terminal(("login",) + args, columns=4000,
                    env={"BEARERD_URL": "http://127.0.0.1:%d" % daemon.admin_port})


def address_of(terminal, until=b"press Enter."):
    terminal.expect(until)
    return next(line.strip() for line in terminal.shown.decode().splitlines()
                if line.startswith("  https://"))


def test_consent(google, browser):
    terminal = login(google, A)
    browser.get(address_of(terminal))
    choose(browser, A)
    click(browser, "allow")
    wait_for_text(browser, "Back to bearerctl")
    assert terminal.end() == OK, terminal.shown
    assert google.send(A, "x@example.net").code == 250


@pytest.mark.parametrize("who, button", [(B, "allow"), (B, "deny")])
def test_no_consent(google, browser, who, button):
    """The wrong mailbox, or none."""
    terminal = login(google, A)
    browser.get(address_of(terminal))
    choose(browser, who)
    click(browser, button)
    wait_for_text(browser, "Back to bearerctl")
    assert terminal.end() == FAILED, terminal.shown


@pytest.fixture
def own(certs, tmp_path):
    """bearerd, its provider oidc-provider."""
    if oidc.why_not():
        pytest.skip(oidc.why_not())
    client = {"client_id": "public", "token_endpoint_auth_method": "none",
              "grant_types": ["authorization_code", "refresh_token",
                              "urn:ietf:params:oauth:grant-type:device_code"],
              "redirect_uris": ["http://localhost"], "response_types": ["code"],
              "application_type": "native", "scope": "openid offline_access mail email"}
    with oidc.OidcProvider(certs, tmp_path, [client]) as server:
        conf = {"token_url": server.token_url, "authorize_url": server.url + "/auth",
                "device_url": server.url + "/device/auth", "smtp_endpoint": "localhost:1",
                "authorize_scope": "openid email offline_access mail",
                "authorize_extra": "prompt=consent", "domains": "example.test"}
        conf = {"providers.own." + key: value for key, value in conf.items()}
        conf.update({"apps.ours.provider": "own", "apps.ours.client_id": "public"})
        with Bearerd(certs, (), conf) as daemon:
            server.sit_down(A)
            daemon.server = server
            yield daemon


def test_a_real_authorization_server(own, browser):
    terminal = login(own, A)
    browser.get(address_of(terminal))
    wait_for_text(browser, "Back to bearerctl")
    assert terminal.end() == OK, terminal.shown
    assert own.stored_accounts()[0]["email"] == A


def test_a_device_at_a_real_authorization_server(own, browser):
    begun = own.admin.request("POST", "/admin/logins", {"email": A, "flow": "device"}).json
    browser.get(begun["verification_uri"])
    press(browser, "input[name=user_code]")
    browser.switch_to.active_element.send_keys(begun["user_code"])
    press(browser, "button[type=submit]")
    wait_for_text(browser, "confirm")
    press(browser, "button[type=submit]")
    wait_for_text(browser, "success")
    path = "/admin/logins/" + begun["id"]
    done = wait_until(lambda: (lambda now: now["state"] != "pending" and now)(
        own.admin.request("GET", path).json), 30, "the login to be over")
    assert done["state"] == "done" and done["signed_in_as"] == A, done
