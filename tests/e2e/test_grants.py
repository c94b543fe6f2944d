"""Access tokens without a person: client credentials, certificates, service accounts and
applications, from the record to the mail that is relayed; and every refusal, with the
account's state and the cure."""
import datetime
import json
import pathlib
import subprocess

import pytest

from lib.api import Api
from lib.daemon import Bearerd, run_bearerd
from lib.sim import Sim
from lib.util import wait_until

CONTENT = b"Subject: grants\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def m365():
    with Sim("m365", accounts=3, keep_content=10000) as sim:
        yield sim


@pytest.fixture(scope="module")
def gmail():
    with Sim("gmail", accounts=3, keep_content=10000) as sim:
        yield sim


@pytest.fixture(autouse=True)
def clean(request):
    yield
    for name in ("m365", "gmail"):
        if name in request.fixturenames:
            request.getfixturevalue(name).reset_knobs()


def places(sim, provider, **more):
    """The simulator in the provider's place."""
    path = "/common/oauth2/v2.0/token" if provider == "outlook" else "/token"
    return dict({"providers.%s.token_url" % provider: "https://localhost:%d%s" % (sim.http, path),
                 "providers.%s.smtp_endpoint" % provider: "localhost:%d" % sim.port}, **more)


def microsoft(sim, email, **more):
    return dict({"email": email, "provider": "outlook", "tenant": sim.tenant}, **more)


def texts_of(client):
    return {"private_key": pathlib.Path(client["key_file"]).read_text(),
            "certificate": pathlib.Path(client["certificate_file"]).read_text()}


def relays(daemon, sim, email):
    before = len(sim.messages(user=email))
    reply = daemon.send(email, "x@example.net", CONTENT)
    assert reply.code == 250, reply
    assert len(sim.messages(user=email)) == before + 1


def relays_soon(daemon, sim, email):
    """Behind a reload: the relay ends sessions of accounts that have changed."""
    def once():
        try:
            return daemon.send(email, "x@example.net", CONTENT).code == 250
        except AssertionError as error:
            assert "421" in str(error), error
            return False
    wait_until(once, 10, "mail of %s to be relayed" % email)


# --- each grant, end to end ---------------------------------------------------


def test_client_credentials_with_a_secret(m365):
    app = m365.client("confidential")
    users = [one["email"] for one in m365.accounts()]
    records = [microsoft(m365, user, client_id=app["client_id"],
                         client_secret=app["client_secret"]) for user in users]
    m365.reset_state()
    with Bearerd(ca=m365.ca, accounts=records, conf=places(m365, "outlook")) as daemon:
        for user in users:
            relays(daemon, m365, user)
    assert m365.state()["totals"]["grants"]["client_credentials"]["issued"] == len(users)
    assert not m365.state()["errors"]


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_client_credentials_with_a_certificate(m365, algorithm):
    app = m365.client("confidential")
    user = m365.accounts()[0]["email"]
    record = microsoft(m365, user, client_id=app["client_id"], assertion=algorithm,
                       **texts_of(app))
    with Bearerd(ca=m365.ca, accounts=[record], conf=places(m365, "outlook")) as daemon:
        relays(daemon, m365, user)


def test_a_refresh_token_with_a_certificate(m365):
    user = m365.accounts()[1]
    app = m365.client("confidential")
    m365.set_client(client_id=user["client_id"], client_secret="",
                    certificate=pathlib.Path(app["certificate_file"]).read_text())
    record = microsoft(m365, user["email"], client_id=user["client_id"],
                       refresh_token=user["refresh_token"], **texts_of(app))
    with Bearerd(ca=m365.ca, accounts=[record], conf=places(m365, "outlook")) as daemon:
        relays(daemon, m365, user["email"])
        wait_until(lambda: daemon.stored_accounts()[0]["refresh_token"] != user["refresh_token"],
                   10, "the new refresh token in the store")


def test_a_service_account(gmail):
    users = [one["email"] for one in gmail.accounts()]
    records = [{"email": user, "provider": "gmail", "service_account": gmail.service_account()}
               for user in users]
    with Bearerd(ca=gmail.ca, accounts=records, conf=places(gmail, "gmail")) as daemon:
        for user in users:
            relays(daemon, gmail, user)
        assert "PRIVATE KEY" not in daemon.process.text


# --- applications ----------------------------------------------------------------


def test_an_application_for_many(m365, tmp_path):
    """Its secret is in a file that nobody but bearerd reads; a reload with another one asks
    anew for all its accounts."""
    app = m365.set_client(name="shared", client_secret="first")
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    conf = places(m365, "outlook", **{
        "apps.contoso.provider": "outlook", "apps.contoso.client_id": app["client_id"],
        "apps.contoso.client_secret_file": str(secret), "apps.contoso.tenant": m365.tenant})
    users = [one["email"] for one in m365.accounts()]
    records = [{"email": user, "provider": "outlook", "app": "contoso"} for user in users]
    with Bearerd(ca=m365.ca, accounts=records, conf=conf) as daemon:
        for user in users:
            relays(daemon, m365, user)
        daemon.reload()
        daemon.wait_event("reloaded", changed=0)
        m365.set_client(client_id=app["client_id"], client_secret="second")
        secret.write_text("second")
        daemon.reload()
        daemon.wait_event("reloaded", changed=len(users))
        for user in users:
            relays_soon(daemon, m365, user)
        before = len(daemon.events("reload_failed"))
        secret.unlink()
        daemon.reload()
        assert "client_secret_file" in daemon.wait_event("reload_failed", count=before + 1)["reason"]
        relays(daemon, m365, users[0])
        assert "first" not in daemon.process.text


def test_an_application_with_a_certificate(m365):
    app = m365.client("confidential")
    user = m365.accounts()[0]["email"]
    conf = places(m365, "outlook", **{
        "apps.cert.provider": "outlook", "apps.cert.client_id": app["client_id"],
        "apps.cert.certificate": str(app["certificate_file"]), "apps.cert.key": str(app["key_file"])})
    record = microsoft(m365, user, app="cert")
    with Bearerd(ca=m365.ca, accounts=[record], conf=conf) as daemon:
        relays(daemon, m365, user)
        shown = Api(daemon.admin_port).get("/admin/config")
        options = {one["name"]: one["value"] for one in shown["options"]}
        assert options["apps.cert.key"] == str(app["key_file"])


def test_an_application_with_a_service_account(gmail):
    conf = places(gmail, "gmail", **{
        "apps.workspace.provider": "gmail",
        "apps.workspace.service_account": str(gmail.dir / "service-account.json")})
    users = [one["email"] for one in gmail.accounts()]
    records = [{"email": user, "provider": "gmail", "app": "workspace"} for user in users]
    with Bearerd(ca=gmail.ca, accounts=records, conf=conf) as daemon:
        for user in users:
            relays(daemon, gmail, user)
        detail = Api(daemon.admin_port).get("/admin/accounts/" + users[0])["account"]
        assert (detail["grant"], detail["app"]) == ("service_account", "workspace")
        assert detail["has_private_key"] and not detail["has_refresh_token"]


def test_over_the_api(m365):
    """Accounts of an application are added and verified; whoever may write sends its secrets
    and tokens nowhere else, and sees none."""
    app = m365.client("confidential")
    users = [one["email"] for one in m365.accounts()]
    conf = places(m365, "outlook", **{
        "apps.contoso.provider": "outlook", "apps.contoso.client_id": app["client_id"],
        "apps.contoso.client_secret": app["client_secret"], "apps.contoso.tenant": m365.tenant})
    with Bearerd(ca=m365.ca, accounts=[], conf=conf) as daemon:
        api = Api(daemon.admin_port)
        record = {"email": users[0], "provider": "outlook", "app": "contoso"}
        assert api.call("POST", "/admin/accounts", record)[0] == 200
        relays(daemon, m365, users[0])
        stored = daemon.stored_accounts()[0]
        assert not {"oauth_token_url", "oauth_endpoint", "client_secret"} & set(stored)
        for change, word in (({"oauth_token_url": "https://evil.example/token"}, "oauth_token_url"),
                             ({"oauth_endpoint": "evil.example:587"}, "oauth_endpoint"),
                             ({"provider": "gmail"}, "provider"),
                             ({"app": "nobody"}, "it has contoso"),
                             ({"client_secret": "x"}, "leave it out")):
            status, answer = api.call("POST", "/admin/accounts",
                                      dict(record, email=users[1], **change))
            assert status == 400 and word in answer["error"], answer
            status, answer = api.call("PATCH", "/admin/accounts/" + users[0], change)
            assert status in (400, 403) and answer["success"] is False, answer
        text = json.dumps(api.get("/admin/config"))
        assert app["client_secret"] not in text
        options = {one["name"]: one["value"] for one in json.loads(text)["options"]}
        assert options["apps.contoso.client_secret"] == "(set)"
        assert app["client_secret"] not in json.dumps(api.get("/admin/accounts/" + users[0]))


def test_secrets_stay_where_they_are(gmail):
    """A service account's tokens, too, are sent where their owner says."""
    user = gmail.accounts()[0]["email"]
    record = {"email": user, "provider": "gmail", "service_account": gmail.service_account()}
    with Bearerd(ca=gmail.ca, accounts=[record], conf=places(gmail, "gmail")) as daemon:
        api = Api(daemon.admin_port)
        for change in ({"oauth_endpoint": "evil.example:587"},
                       {"service_account": {"token_uri": "https://evil.example/"}}):
            status, answer = api.call("PATCH", "/admin/accounts/" + user, change)
            assert status == 403 and "secrets" in answer["error"], answer
        status, answer = api.call("POST", "/admin/accounts", {
            "email": user, "provider": "gmail", "overwrite": True, "verify": False,
            "oauth_endpoint": "evil.example:587"})
        assert status == 400 and "missing" in answer["error"], answer
        exported = api.text("/admin/accounts/export")
        assert "PRIVATE KEY" not in exported and user in exported
        relays(daemon, gmail, user)


def test_a_secret_alone_is_a_grant(m365):
    """Whoever overwrites an account brings its secret, or gets no token of it elsewhere."""
    app = m365.client("confidential")
    user = m365.accounts()[0]["email"]
    known = microsoft(m365, user, client_id=app["client_id"])
    record = dict(known, client_secret=app["client_secret"])
    with Bearerd(ca=m365.ca, accounts=[record], conf=places(m365, "outlook")) as daemon:
        api = Api(daemon.admin_port)
        for more in ({}, {"grant": "client_credentials", "refresh_token": "x"}):
            status, answer = api.call("POST", "/admin/accounts", dict(
                known, overwrite=True, verify=False, oauth_endpoint="evil.example:587", **more))
            assert status == 400 and "missing" in answer["error"], answer
        assert daemon.stored_accounts() == [record]
        status, answer = api.call("POST", "/admin/accounts", dict(known, overwrite=True))
        assert status == 200, answer
        relays_soon(daemon, m365, user)


# --- refusals ---------------------------------------------------------------------

# The endpoint is in trouble for several, and left alone: any of their texts is heard.
TROUBLE = ("endpoint_trouble", "answer_unusable")
MICROSOFT_ROWS = {  # what the endpoint says: state of the account, cause
    "7000215": ("misconfigured", "secret_wrong"),
    "7000222": ("misconfigured", "secret_expired"),
    "7000216": ("misconfigured", "secret_missing"),
    "7000218": ("misconfigured", "secret_missing"),
    "700025": ("misconfigured", "secret_unwanted"),
    "700027": ("misconfigured", "certificate_unknown"),
    "700021": ("misconfigured", "assertion_wrong"),
    "700023": ("misconfigured", "assertion_wrong"),
    "50027": ("misconfigured", "assertion_wrong"),
    "5002738": ("misconfigured", "assertion_algorithm"),
    "700016": ("misconfigured", "application_unknown"),
    "7000112": ("misconfigured", "application_disabled"),
    "90002": ("misconfigured", "tenant_unknown"),
    "70011": ("misconfigured", "scope_wrong"),
    "900144": ("misconfigured", "parameter_missing"),
    "9001023": ("misconfigured", "tenant_needed"),
    "1002012": ("misconfigured", "scope_wrong"),
    "28000": ("misconfigured", "scope_wrong"),
    "500011": ("misconfigured", "resource_unknown"),
    "53003": ("misconfigured", "conditional_access"),  # nobody could consent
    "700024": ("throttled", "clock_differs"),
    "90033": ("throttled", "trouble"),
    "90006": ("throttled", "trouble"),
    "50196": ("throttled", "asked_too_often"),
    "90055": ("throttled", "endpoint_throttles"),
    "429": ("throttled", "endpoint_throttles"),
    "html": ("throttled", "trouble"),
}
GOOGLE_ROWS = {
    "jwt_signature": ("misconfigured", "key_unknown"),
    "jwt_audience": ("misconfigured", "token_url_wrong"),
    "jwt_issuer": ("misconfigured", "service_account_gone"),
    "jwt_subject": ("misconfigured", "mailbox_unknown"),
    "jwt_time": ("throttled", "clock_differs"),
    "delegation": ("misconfigured", "delegation_missing"),
    "invalid_scope": ("misconfigured", "scope_wrong"),
    "admin_policy_enforced": ("misconfigured", "admin_policy"),
    "403_html": ("throttled", "endpoint_throttles"),
    "503": ("throttled", "trouble"),
    "bad_json": ("throttled", "trouble"),
}


def check_rows(daemon, rows, email_of):
    """The state, the cause with its cure, and what a client hears."""
    api = Api(daemon.admin_port)
    for row, (state, cause) in rows.items():
        email = email_of(row)
        wait_until(lambda: api.get("/admin/accounts/" + email)["account"]["state"] != "active", 20,
                   "a state for " + row)
        detail = api.get("/admin/accounts/" + email)["account"]["state_detail"]
        if detail["cause"] in TROUBLE:
            detail["cause"] = "trouble"
        assert (detail["state"], detail["cause"]) == (state, cause), (row, detail)
        assert detail["hint"].endswith("."), row
        try:
            reply = daemon.send(email, "x@example.net", CONTENT)
        except AssertionError as error:  # refused at AUTH or MAIL already
            assert "454" in str(error) or "451" in str(error) or "535" in str(error), error
        else:
            assert reply.code in (451, 454), (row, reply)


@pytest.mark.timeout(120)
def test_every_refusal_of_microsoft(m365):
    records = []
    for row in MICROSOFT_ROWS:
        email = "row-%s@example.test" % row
        m365.add_account(email)
        client = m365.set_client(name="row-" + row, client_secret="s")
        m365.knobs(client["client_id"], token_error=row)
        records.append(microsoft(m365, email, client_id=client["client_id"], client_secret="s"))
    with Bearerd(ca=m365.ca, accounts=records, conf=places(m365, "outlook")) as daemon:
        check_rows(daemon, MICROSOFT_ROWS, lambda row: "row-%s@example.test" % row)


@pytest.mark.timeout(120)
def test_every_refusal_of_google(gmail):
    records = []
    for number, row in enumerate(GOOGLE_ROWS):
        email = "u@row%d.test" % number  # a domain each: what is refused, is so for a domain
        gmail.add_account(email)
        gmail.knobs(email, token_error=row)
        records.append({"email": email, "provider": "gmail",
                        "service_account": gmail.service_account()})
    names = list(GOOGLE_ROWS)
    with Bearerd(ca=gmail.ca, accounts=records, conf=places(gmail, "gmail")) as daemon:
        check_rows(daemon, GOOGLE_ROWS, lambda row: "u@row%d.test" % names.index(row))


def test_refusals_that_are_real(m365, gmail, tmp_path):
    """Not by a knob: the simulator checks what it is sent."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
                    "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True,
                   stderr=subprocess.DEVNULL)
    strange = {"private_key": (tmp_path / "key.pem").read_text(),
               "certificate": (tmp_path / "cert.pem").read_text()}
    app = m365.client("confidential")
    users = [one["email"] for one in m365.accounts()]
    good = {"client_id": app["client_id"], "client_secret": app["client_secret"]}
    records = [
        microsoft(m365, users[0], **dict(good, tenant="nowhere.example")),
        microsoft(m365, users[1], client_id=app["client_id"], **strange),
        microsoft(m365, users[2], **dict(good, scope="https://outlook.office365.com/SMTP.Send")),
    ]
    conf = places(m365, "outlook")
    with Bearerd(ca=m365.ca, accounts=records, conf=conf) as daemon:
        check_rows(daemon, {users[0]: ("misconfigured", "tenant_unknown"),
                            users[1]: ("misconfigured", "certificate_unknown"),
                            users[2]: ("misconfigured", "scope_wrong")}, str)
    sa = gmail.service_account()
    records = [{"email": "nobody@example.test", "provider": "gmail", "service_account": sa},
               {"email": "a@one.test", "provider": "gmail",
                "service_account": dict(sa, private_key=strange["private_key"])},
               {"email": "a@two.test", "provider": "gmail", "service_account": sa,
                "scope": "https://www.googleapis.com/auth/gmail.readonly"}]
    with Bearerd(ca=gmail.ca, accounts=records, conf=places(gmail, "gmail")) as daemon:
        check_rows(daemon, {"nobody@example.test": ("misconfigured", "mailbox_unknown"),
                            "a@one.test": ("misconfigured", "key_unknown")}, str)


# --- clocks and ends ---------------------------------------------------------------


@pytest.mark.parametrize("seconds", [7200, -7200])
def test_a_clock_that_is_wrong(gmail, m365, seconds):
    """What is signed has the endpoint's time, once one answer has told it."""
    sa, app = gmail.service_account(), m365.client("confidential")
    user, other = gmail.accounts()[0]["email"], m365.accounts()[1]["email"]
    gmail.knobs(clock_skew_s=seconds)
    m365.knobs(clock_skew_s=seconds)
    records = [{"email": user, "provider": "gmail", "service_account": sa},
               microsoft(m365, other, client_id=app["client_id"], **texts_of(app))]
    ca = gmail.dir / "both.pem"
    ca.write_text(gmail.ca.read_text() + m365.ca.read_text())
    conf = dict(places(gmail, "gmail"), **places(m365, "outlook"))
    with Bearerd(ca=ca, accounts=records, conf=conf) as daemon:
        for one, sim in ((user, gmail), (other, m365)):
            name = one.replace("@", "_").replace(".", "_")
            wait_until(lambda: any(event["account"].endswith(name)
                                   for event in daemon.events("token_refreshed")), 15,
                       "a token of " + one)
            relays(daemon, sim, one)
        told = daemon.wait_event("clock_differs", count=2)
        assert abs(told["seconds"] - seconds) < 30
        api = Api(daemon.admin_port)
        reasons = api.get("/health")["reasons"]
        assert any("our clock is" in reason for reason in reasons), reasons
        assert "bearerd_clock_skew_seconds{host=" in api.text("/metrics")


def test_ends_of_secrets(m365):
    def day(ahead):
        return (datetime.datetime.now(datetime.timezone.utc) +
                datetime.timedelta(days=ahead)).strftime("%Y-%m-%d")

    users = [one["email"] for one in m365.accounts()]
    apps = [m365.set_client(name="end-%d" % i, client_secret="s") for i in range(3)]
    records = [microsoft(m365, user, client_id=app["client_id"], client_secret="s",
                         client_secret_expires=day(ahead))
               for user, app, ahead in zip(users, apps, (5, 20, 100))]
    conf = places(m365, "outlook", **{
        "apps.idle.provider": "outlook", "apps.idle.client_id": "idle",
        "apps.idle.client_secret": "s", "apps.idle.secret_expires": day(-1)})
    with Bearerd(ca=m365.ca, accounts=records, conf=conf) as daemon:
        daemon.wait_event("secret_expired", client_id="idle", app="idle", accounts=0)
        daemon.wait_event("secret_expires", client_id=apps[0]["client_id"], accounts=1)
        daemon.wait_event("secret_expires", client_id=apps[1]["client_id"], day=day(20))
        assert len(daemon.events("secret_expires")) == 2
        api = Api(daemon.admin_port)
        reasons = [r for r in api.get("/health")["reasons"] if "client secret" in r]
        assert len(reasons) == 2 and "idle has expired" in reasons[0], reasons
        assert "expires on " + day(5) in reasons[1]
        assert "bearerd_secret_expiry_seconds{application=\"idle\"" in api.text("/metrics")


def test_check_names_what_is_wrong(m365, tmp_path):
    config = tmp_path / "c.yaml"
    (tmp_path / "accounts.json").write_text("[]")
    config.write_text("apps:\n  contoso:\n    provider: outlook\n    client_id: x\n"
                      "    key: %s\n    certificate: %s\n"
                      % (m365.dir / "ca.pem", m365.dir / "ca.pem"))
    code, _, stderr = run_bearerd("--check", "--config", config, "--ca-file", m365.ca,
                                  "--accounts", tmp_path / "accounts.json")
    assert code == 1 and "apps.contoso.key" in stderr and "private key" in stderr
