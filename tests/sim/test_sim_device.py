"""/devicecode, the page /device, and the device_code grant."""
import pytest

from lib.oauth import DEVICE_CODE, claims
from oauthclient import MAIL, refused
from simclient import USER, secure, xoauth2

PENDING = (400, "authorization_pending", 70016)
SLOW = (400, "slow_down", "Polled too often: wait 5 seconds more between two polls.")
BAD = (400, "bad_verification_code", 70018)
EXPIRED = (400, "expired_token", 70020)
DECLINED = (400, "authorization_declined", "The user has declined the authorization.")


class Device:
    def __init__(self, sim, scope=MAIL, tenant="common"):
        self.sim, self.client = sim, sim.client("public")
        self.started = sim.ask({"client_id": self.client["client_id"], "scope": scope},
                               "/%s/oauth2/v2.0/devicecode" % tenant)

    def form(self, **changes):
        form = {"grant_type": DEVICE_CODE, "client_id": self.client["client_id"],
                "device_code": self.started["device_code"]}
        form.update(changes)
        return form

    def poll(self, **changes):
        return self.sim.ask(self.form(**changes), "/common/oauth2/v2.0/token")

    def refused(self, **changes):
        return refused(self.sim, self.form(**changes))


@pytest.fixture
def quick(m365):
    m365.knobs(device_interval=0)
    return m365


def test_from_code_to_mail(quick):
    device = Device(quick)
    assert device.started["expires_in"] == 900 and device.started["interval"] == 0
    assert device.started["verification_uri"] == "https://localhost:%d/device" % quick.http
    assert device.started["user_code"] in device.started["message"]
    assert device.refused() == PENDING == device.refused()
    quick.answer_device("allow", USER, device.started["user_code"])
    answer = device.poll()
    assert answer["refresh_token"] and claims(answer["access_token"])[1]["upn"] == USER
    with secure(quick) as wire:
        wire.cmd("AUTH XOAUTH2", 334)
        wire.cmd(xoauth2(USER, answer["access_token"]), 235)
    assert device.refused() == BAD  # once
    assert quick.devices()[-1]["state"] == "done" and quick.devices()[-1]["polls"] == 4


def test_the_page(quick):
    device = Device(quick)
    url = device.started["verification_uri"]
    kind, status, page = quick.visit(url)
    assert (kind, status) == ("page", 200) and 'id="user_code"' in page and 'id="allow"' in page
    typed = device.started["user_code"].lower()
    _, _, page = quick.visit(url, {"user_code": "BBBBBBBBB", "user": USER, "action": "allow"})
    assert 'id="error"' in page and device.refused() == PENDING
    _, _, page = quick.visit(url, {"user_code": typed, "user": "x@y", "action": "allow"})
    assert 'id="error"' in page and device.refused() == PENDING
    _, _, page = quick.visit(url, {"user_code": typed[:4] + "-" + typed[4:], "user": USER,
                                   "action": "allow"})
    assert 'id="message"' in page and device.poll()["access_token"]
    _, _, page = quick.visit(url, {"user_code": typed, "user": USER, "action": "allow"})
    assert 'id="error"' in page


def test_no(quick):
    device = Device(quick)
    quick.visit(device.started["verification_uri"],
                {"user_code": device.started["user_code"], "user": USER, "action": "deny"})
    assert device.refused() == DECLINED == device.refused()
    device = Device(quick)
    quick.answer_device("decline")
    assert device.refused() == DECLINED
    device = Device(quick)
    quick.answer_device("expire")
    assert device.refused() == EXPIRED
    quick.knobs(device_expires_in=0)
    assert Device(quick).refused() == EXPIRED


def test_an_impatient_client(m365):
    device = Device(m365)
    assert device.started["interval"] == 5
    assert device.refused() == PENDING  # the first may come at once
    assert device.refused() == SLOW == device.refused()
    assert m365.devices()[-1]["interval"] == 15
    m365.answer_device("allow", USER)
    assert device.refused() == SLOW  # though the user has answered


def test_a_script(quick):
    quick.knobs(quick.client("public")["client_id"],
                device_polls="pending, slow_down pending expired,declined bad")
    quick.knobs(device_auto=USER)
    device = Device(quick)
    slow = device.refused(), device.refused()
    assert slow == (PENDING, SLOW)
    assert [device.refused() for _ in range(4)] == [PENDING, EXPIRED, DECLINED, BAD]


def test_a_user_who_always_allows(quick):
    quick.knobs(device_auto=USER)
    assert Device(quick).poll()["access_token"]


def test_bad_requests(quick):
    device = Device(quick)
    for change, result in (({"device_code": None}, (400, "invalid_request", 900144)),
                           ({"device_code": "x"}, BAD),
                           ({"client_id": None}, (400, "invalid_request", 900144)),
                           ({"client_id": "x"}, (400, "unauthorized_client", 700016)),
                           ({"client_id": quick.account(USER)["client_id"]}, BAD),
                           ({"client_secret": "x"}, (401, "invalid_client", 700025))):
        assert device.refused(**change) == result, change
    path = "/common/oauth2/v2.0/devicecode"
    form = {"client_id": device.client["client_id"], "scope": MAIL}
    for change, result in (({"scope": None}, (400, "invalid_request", 900144)),
                           ({"scope": "https://nowhere.example/x"},
                            (400, "invalid_resource", 500011)),
                           ({"client_id": "x"}, (400, "unauthorized_client", 700016))):
        assert refused(quick, dict(form, **change), path=path) == result, change
    assert refused(quick, form, path="/nowhere/oauth2/v2.0/devicecode") == (
        400, "invalid_request", 90002)
    confidential = quick.client("confidential")
    started = quick.ask(dict(form, client_id=confidential["client_id"]), path)
    assert device.refused(client_id=confidential["client_id"],
                          device_code=started["device_code"]) == (401, "invalid_client", 7000218)


def test_google_has_none_for_mail(gmail):
    form = {"client_id": gmail.client("desktop")["client_id"], "scope": "https://mail.google.com/"}
    assert refused(gmail, form, path="/device/code") == (
        400, "invalid_scope", "Invalid device flow scope: https://mail.google.com/")


def test_bad_knobs(m365):
    for knobs in ({"device_polls": "pending nonsense"}, {"authorize_error": "nonsense"},
                  {"secret_expires": "soon"}, {"clock_skew_s": "x"}):
        with pytest.raises(Exception, match="400"):
            m365.knobs(**knobs)
