"""bearerctl check and POST /admin/accounts/{email}/check: where it fails, why, and what
to do about it; nothing is sent, and no token is shown."""
import json
import re
import socket
import threading

import pytest

from lib import dovecot
from lib.certs import Certs
from lib.ctl import Ctl, FAILED, PARTLY, USAGE, UNREACHABLE
from lib.daemon import account
from lib.netns import Namespace
from lib.sim import Sim
from lib.tokens import TokenServer
from lib.util import PATIENCE, free_port, wait_until

A = "a@example.com"
USER = "user1@example.test"
STEPS = ["account", "endpoint_dns", "endpoint_tcp", "endpoint_tls", "token", "claims", "limits",
         "smtp_dns", "smtp_tcp", "smtp_tls", "smtp_greeting", "smtp_ehlo", "smtp_auth", "smtp_mail"]
QUICK = {"upstream.connect_timeout": "2s", "upstream.command_timeout": "2s",
         "upstream.queue_wait": "4s", "oauth.timeout": "4s", "oauth.connect_timeout": "2s"}
SECRET = re.compile(r"ya29\.|TOKEN\.|eyJ[A-Za-z0-9_-]{20}|client-secret|1//")


class Checked:
    """What a check found: result.steps["smtp_auth"]["cause"]."""

    def __init__(self, lines):
        assert "summary" in lines[-1], lines
        self.summary, self.lines = lines[-1]["summary"], lines[:-1]
        self.steps = {line["step"]: line for line in self.lines}
        assert sorted(self.steps) == sorted(STEPS) and len(self.lines) == len(STEPS)
        assert not SECRET.search(json.dumps(lines)), "a secret is shown"
        assert self.summary["success"] == (not self.of("failed"))
        assert self.summary["failed"] == len(self.of("failed"))
        for line in self.lines:  # what is wrong has its cause and cure, what is not has none
            wrong = line["result"] in ("failed", "warning")
            assert bool(line["cause"]) == bool(line["cure"]) == wrong, line

    def of(self, result):
        return [line["step"] for line in self.lines if line["result"] == result]

    def fails_at(self, step, cause, says="", skipped=None):
        assert self.of("failed") == [step], self.lines
        line = self.steps[step]
        assert line["cause"] == cause and says in line["detail"], line
        assert line["cure"].endswith("."), line
        if skipped is not None:
            assert self.of("skipped") == skipped, self.lines
        return line


def check(daemon, email=A):
    answer = daemon.admin.post("/admin/accounts/%s/check" % email)
    assert answer.status == 200, answer
    return Checked(answer.lines)


def ctl_of(daemon):
    return Ctl("http://127.0.0.1:%d" % daemon.admin_port)


@pytest.fixture(scope="module")
def gmail():
    with Sim("gmail") as one:
        yield one


@pytest.fixture(scope="module")
def m365():
    with Sim("m365") as one:
        yield one


@pytest.fixture(autouse=True)
def calm(request):
    yield
    for name in ("gmail", "m365"):
        if name in request.fixturenames:
            request.getfixturevalue(name).reset_knobs()


def started(start, sim, conf=None, **more):
    records = [dict(record, **more) for record in sim.accounts()]
    return start(records, dict(QUICK, **(conf or {})), ca=sim.ca)


# --- all is well --------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["gmail", "m365"])
def test_all_is_well(start, request, profile):
    sim = request.getfixturevalue(profile)
    sim.reset_state()
    daemon = started(start, sim)
    result = check(daemon, USER)
    assert result.of("ok") == [line["step"] for line in result.lines]
    assert result.summary["state"] == "active"
    details = {step: line["detail"] for step, line in result.steps.items()}
    assert "for localhost" in details["endpoint_tls"] and "until 20" in details["endpoint_tls"]
    assert "a new token" in details["token"]
    assert "connected to 127.0.0.1:%d from 127.0.0.1" % sim.port == details["smtp_tcp"]
    assert details["smtp_tls"].startswith("TLSv1.3, certificate for localhost")
    assert details["smtp_greeting"].startswith("220 ") and "AUTH" in details["smtp_ehlo"]
    assert details["smtp_auth"].startswith("235 2.7.0") and details["smtp_mail"].startswith("250 2.1.0")
    if profile == "m365":
        for word in ("aud https://outlook.office.com", "scp SMTP.Send", "user " + USER, "tid ", "exp 20"):
            assert word in details["claims"], details
    else:
        assert "opaque" in details["claims"]
    # It counts as one login, and left no message and no protocol error behind.
    counters = sim.user(USER)
    assert counters["logins"] == 1 and counters["accepted"] == 0
    assert sim.state()["errors"] == []
    assert daemon.send(USER, "b@example.net").code == 250
    assert sim.user(USER)["logins"] == 1  # on the connection that the check has opened


def test_bearerctl(start, gmail):
    daemon = started(start, gmail)
    ctl = ctl_of(daemon)
    done = ctl.ok("check", USER)
    assert done.lines[-1] == "all is well; the account is active"
    assert [line.split()[:2] for line in done.lines[:2]] == [["ok", "account"], ["ok", "endpoint_dns"]]
    lines = ctl.ok("check", USER.upper(), "--json").ndjson()
    assert Checked(lines).summary["success"]
    gmail.knobs(USER, reply_mail="550 5.4.5 Daily user sending limit exceeded.")
    done = ctl("check", USER)
    assert done.code == FAILED
    assert "FAILED" in done.out and "cause: quota" in done.out and "what to do: The day's" in done.out
    assert done.lines[-1] == "1 failed; the account is parked"
    assert ctl("check", USER, "--json").code == FAILED
    assert ctl("check").code == USAGE
    assert ctl("check", USER, "b").code == USAGE
    done = ctl("check", "nobody@example.test")
    assert done.code == FAILED and "nobody@example.test" in done.err
    assert Ctl("http://127.0.0.1:%d" % free_port())("check", USER).code == UNREACHABLE


def test_by_token(start, gmail):
    """From elsewhere it needs a token that may write."""
    from lib.admin import make_token

    daemon = started(start, gmail)
    path = "/admin/accounts/%s/check" % USER
    assert daemon.admin.using(token=make_token(daemon, "w", "write")).post(path).status == 200
    assert daemon.admin.using(token=make_token(daemon, "r", "read")).post(path).status == 403


def test_unknown_account_and_body(start, gmail):
    daemon = started(start, gmail)
    assert daemon.admin.post("/admin/accounts/nobody@example.test/check").status == 404
    assert daemon.admin.get("/admin/accounts/%s/check" % USER).status == 405


# --- the token endpoint --------------------------------------------------------------


SMTP = ["limits"] + [step for step in STEPS if step.startswith("smtp_")]


def test_endpoint_without_a_name(start, make_provider):
    daemon = start([account(A, make_provider(), "https://no-such-host.invalid/token")], QUICK)
    result = check(daemon)
    assert result.of("failed") == ["endpoint_dns", "token"]
    assert result.steps["endpoint_dns"]["cause"] == "name_not_found"
    assert result.steps["token"]["cause"] == "name_not_found"
    assert result.of("skipped") == ["endpoint_tcp", "endpoint_tls", "claims"] + SMTP


def test_endpoint_is_down(start, make_provider):
    daemon = start([account(A, make_provider(), "https://localhost:%d/token" % free_port())], QUICK)
    result = check(daemon)
    assert result.of("failed") == ["endpoint_tcp", "token"]
    assert result.steps["endpoint_tcp"]["cause"] == "refused"
    assert result.steps["token"]["cause"] == "refused"
    assert result.of("skipped") == ["endpoint_tls", "claims"] + SMTP


@pytest.mark.parametrize("fault, cause", [("expired", "certificate_expired"),
                                          ("name", "certificate_name"),
                                          ("stranger", "certificate_untrusted")])
def test_endpoint_certificates(start, make_provider, certs, tmp_path, fault, cause):
    server = TokenServer(certs, **certificate(fault, certs, tmp_path))
    try:
        daemon = start([account(A, make_provider(), server)], QUICK)
        result = check(daemon)
        assert result.of("failed") == ["endpoint_tls", "token"]
        assert result.steps["endpoint_tls"]["cause"] == cause
        assert server.requests == []
    finally:
        server.stop()


@pytest.mark.parametrize("error, cause, state", [
    ("invalid_grant", "grant_dead", "needs_consent"),
    ("html", "answer_unusable", "throttled"),
    ("503", "endpoint_trouble", "throttled"),
    ("7000222", "secret_expired", "misconfigured"),
])
def test_endpoint_refuses(start, gmail, error, cause, state):
    gmail.knobs(token_error=error)
    daemon = started(start, gmail)
    result = check(daemon, USER)
    result.fails_at("token", cause, skipped=["claims"] + SMTP)
    if error == "invalid_grant":  # it is believed when it is said a second time, a minute later
        assert result.summary["state"] in ("active", "throttled", state)
    wait_until(lambda: daemon.admin.get("/admin/accounts/" + USER)["account"]["state"] != "active",
               20, "a state")


def test_a_token_at_hand_serves(start, m365):
    daemon = started(start, m365)
    assert daemon.send(USER, "b@example.net").code == 250
    m365.knobs(token_error="503")
    result = check(daemon, USER)
    assert result.of("failed") == [] and result.of("warning") == ["token"]
    assert result.steps["token"]["cause"] == "endpoint_trouble"
    assert "the one at hand is used" in result.steps["token"]["detail"]
    assert result.steps["smtp_mail"]["result"] == "ok"
    done = ctl_of(daemon)("check", USER)
    assert done.code == PARTLY and done.lines[-1] == "it works, 1 to look at; the account is active"


def test_a_clock_that_differs(start, m365):
    m365.knobs(clock_skew_s=600)
    daemon = started(start, m365)
    result = check(daemon, USER)
    assert result.steps["token"]["cause"] == "clock_differs"
    assert "behind the endpoint's" in result.steps["token"]["detail"]
    assert not result.of("failed")


# --- what the token says ---------------------------------------------------------------


def test_a_token_for_graph(start, m365):
    m365.knobs(token_audience="https://graph.microsoft.com")
    daemon = started(start, m365)
    result = check(daemon, USER)
    assert result.of("failed") == ["claims", "smtp_auth"]
    for step in ("claims", "smtp_auth"):
        assert result.steps[step]["cause"] == "audience_graph"
        assert "https://outlook.office.com/SMTP.Send" in result.steps[step]["cure"]
    assert result.steps["smtp_auth"]["detail"].startswith("535 5.7.3 ")
    assert result.summary["state"] == "misconfigured"


# --- the mail server -----------------------------------------------------------------------


def certificate(fault, certs, tmp_path):
    """cert and key of a server that nobody should trust."""
    if fault == "expired":
        cert, key = certs.issue("expired", "DNS:localhost", days=-1)
    elif fault == "name":
        cert, key = certs.wrong_cert, certs.wrong_key
    else:
        own = tmp_path / "stranger"
        own.mkdir(exist_ok=True)
        other = Certs(own)
        cert, key = (other.cert, other.key) if fault == "stranger" else self_signed(own)
    return {"cert": cert, "key": key}


def self_signed(directory):
    import subprocess

    cert, key = directory / "self.pem", directory / "self.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


def server_fault(start, tokens, step, cause, says="", conf=None, endpoint=None, **more):
    """A bearerd whose check fails at this step and no other; the test's own certificates
    end in two days, which is a warning."""
    daemon = start([account(A, endpoint or 1, tokens, **more)], dict(QUICK, **(conf or {})))
    result = check(daemon)
    later = STEPS[STEPS.index(step) + 1:]
    told = [line["step"] for line in result.lines]
    line = result.fails_at(step, cause, says)
    assert set(result.of("skipped")) <= set(later) | {"smtp_tls"}, told
    return daemon, result, line


def test_server_without_a_name(start, tokens):
    server_fault(start, tokens, "smtp_dns", "name_not_found", "no-such-host.invalid",
                 oauth_endpoint="no-such-host.invalid:587")


def test_nobody_listens(start, tokens):
    server_fault(start, tokens, "smtp_tcp", "refused", "Connection refused", endpoint=free_port())


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("fault, cause, says", [
    ("expired", "certificate_expired", "until 20"),
    ("name", "certificate_name", "for elsewhere.example"),
    ("stranger", "certificate_untrusted", "bearerd tests ca"),
    ("self-signed", "certificate_self_signed", "for localhost, issued by localhost"),
])
def test_certificates(start, make_provider, tokens, certs, tmp_path, tls, fault, cause, says):
    provider = make_provider(tls=tls, **certificate(fault, certs, tmp_path))
    server_fault(start, tokens, "smtp_tls", cause, says, endpoint=provider, tls=tls)
    assert provider.logins == []


def test_a_certificate_that_ends_soon(start, make_provider, tokens):
    daemon = start([account(A, make_provider(), tokens)], QUICK)
    result = check(daemon)
    assert result.of("failed") == [] and result.of("warning") == ["endpoint_tls", "smtp_tls"]
    assert result.steps["smtp_tls"]["cause"] == "certificate_ends_soon"
    assert "it ends in" in result.steps["smtp_tls"]["detail"]


def test_no_starttls(start, make_provider, tokens):
    server_fault(start, tokens, "smtp_tls", "starttls_missing",
                 endpoint=make_provider(offer_starttls=False))


class Listener:
    """Says this at once to whoever connects, and nothing more."""

    def __init__(self, says=b""):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.says, self.kept = says, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                self.kept.append(self.socket.accept()[0])
                self.kept[-1].sendall(self.says)
        except OSError:
            pass

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        for one in [self.socket] + self.kept:
            one.close()


@pytest.fixture
def listen():
    made = []

    def make(says=b""):
        made.append(Listener(says))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_tls_where_there_is_none(start, listen, tokens):
    server_fault(start, tokens, "smtp_tls", "tls_not_spoken", endpoint=listen(b"220 mail ESMTP\r\n"),
                 tls="implicit")


def test_a_silent_endpoint(start, listen, make_provider):
    daemon = start([account(A, make_provider(), "https://localhost:%d/token" % listen().port)], QUICK)
    result = check(daemon)
    assert result.of("failed") == ["endpoint_tls", "token"]
    assert result.steps["endpoint_tls"]["cause"] == result.steps["token"]["cause"] == "timeout"


@pytest.mark.parametrize("phase, reply, step, cause", [
    ("greeting", "421 4.3.2 Service not active", "smtp_greeting", "server_trouble"),
    ("ehlo", "421 4.7.0 Try again later, closing connection. (EHLO)", "smtp_ehlo", "ehlo_name"),
    ("auth", "454 4.7.0 Too many login attempts, please try again later", "smtp_auth",
     "too_many_logins"),
    ("mail", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "smtp_mail",
     "send_as_denied"),
])
def test_refused(start, make_provider, tokens, phase, reply, step, cause):
    daemon, result, line = server_fault(start, tokens, step, cause, reply,
                                        endpoint=make_provider(replies={phase: reply}))
    if phase == "mail":
        assert result.summary["state"] == "active"  # it says nothing of the account


def test_no_mechanism(start, make_provider, tokens):
    server_fault(start, tokens, "smtp_auth", "mechanism_missing",
                 endpoint=make_provider(mechanisms="LOGIN PLAIN"))


@pytest.mark.parametrize("phase, step", [("greeting", "smtp_greeting"), ("auth", "smtp_auth"),
                                         ("mail", "smtp_mail")])
def test_a_silent_server(start, make_provider, tokens, phase, step):
    """It is bounded, and the answer outlasts the time in which a client must say something."""
    from lib.provider import Fault

    provider = make_provider(faults=[Fault(phase, "stall")])
    server_fault(start, tokens, step, "timeout", "no answer in time", endpoint=provider,
                 conf={"admin.timeout": "1s"})


def test_the_relay_dies_meanwhile(start, make_provider, tokens):
    import os
    import signal

    from lib.provider import Fault

    provider = make_provider(faults=[Fault("auth", "stall")])
    daemon = start([account(A, provider, tokens)], dict(QUICK, **{"upstream.command_timeout": "1m"}))
    results = []
    thread = threading.Thread(target=lambda: results.append(check(daemon)))
    thread.start()
    wait_until(lambda: [line for _, line in provider.commands if line.upper().startswith(b"AUTH")], 20,
               "a login")
    os.kill(daemon.relay_pid(), signal.SIGKILL)
    thread.join()
    results[0].fails_at("smtp_auth", "relay_busy", "the relay process has ended", skipped=["smtp_mail"])
    daemon.wait_event("ready")
    assert daemon.admin.get("/health").status in (200, 503)


def test_smtp_auth_is_off(start, m365):
    m365.knobs(USER, reply_auth="535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication "
               "is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled")
    daemon = started(start, m365)
    result = check(daemon, USER)
    line = result.fails_at("smtp_auth", "smtp_auth_disabled", "535 5.7.139", skipped=["smtp_mail"])
    assert "Set-CASMailbox" in line["cure"]
    assert result.summary["state"] == "misconfigured"
    # The account says the same.
    detail = daemon.admin.get("/admin/accounts/" + USER)["account"]["state_detail"]
    assert (detail["cause"], detail["hint"]) == (line["cause"], line["cure"])
    # Mended: nobody waits for the hour to be over.
    m365.reset_knobs()
    result = check(daemon, USER)
    assert result.of("failed") == [] and result.summary["state"] == "active"
    assert result.steps["account"]["result"] == "warning"
    assert daemon.send(USER, "b@example.net").code == 250


@pytest.mark.parametrize("profile, says", [("m365", "535 5.7.3 "),
                                           ("gmail", "(behind a 334 with status 400)")])
def test_a_refused_token(start, request, profile, says):
    sim = request.getfixturevalue(profile)
    sim.reset_state()
    sim.knobs(USER, reject_auth=1)
    daemon = started(start, sim)
    result = check(daemon, USER)
    result.fails_at("smtp_auth", "token_refused", says, skipped=["smtp_mail"])
    assert result.summary["state"] == "misconfigured"
    assert sim.state()["errors"] == []


def test_quota_at_mail(start, gmail):
    gmail.knobs(USER, reply_mail="550 5.4.5 Daily user sending limit exceeded.")
    daemon = started(start, gmail)
    result = check(daemon, USER)
    result.fails_at("smtp_mail", "quota", "550 5.4.5")
    assert result.summary["state"] == "parked"
    # A login that works lifts no quota.
    gmail.reset_knobs()
    assert check(daemon, USER).summary["state"] == "parked"


# --- accounts ---------------------------------------------------------------------------


def test_a_paused_account(start, gmail):
    daemon = started(start, gmail)
    daemon.admin.post("/admin/accounts/%s/pause" % USER, {"reason": "holiday"})
    result = check(daemon, USER)
    result.fails_at("account", "disabled", "holiday", skipped=[])
    assert result.summary["state"] == "disabled"


@pytest.mark.parametrize("validate", ["true", "false"])
def test_an_address_that_left(validate):
    from lib.daemon import Bearerd

    with Namespace() as net:
        net.add("10.9.0.7")
        with Sim("gmail") as sim:
            record = sim.account(USER, ip_address="10.9.0.7",
                                 oauth_endpoint="127.0.0.1:%d" % sim.port)
            conf = dict(QUICK, **{"upstream.source_ip_validate": validate})
            with Bearerd(certs=sim, accounts=[record], conf=conf) as daemon:
                result = check(daemon, USER)
                assert "from 10.9.0.7" in result.steps["smtp_tcp"]["detail"], result.lines
                net.remove("10.9.0.7")
                sim.disconnect()
                if validate == "true":  # bearerd has noticed
                    daemon.wait_event("account_state", to="misconfigured")
                result = check(daemon, USER)
                expected = ["account", "smtp_tcp"] if validate == "true" else ["smtp_tcp"]
                assert result.of("failed") == expected, result.lines
                assert {result.steps[step]["cause"] for step in expected} == {"address_missing"}
                assert "from 10.9.0.7" in result.steps["smtp_tcp"]["detail"]


def test_at_the_cap_an_open_connection_is_examined(start, gmail):
    daemon = started(start, gmail, {"providers.gmail.max_connections": 1})
    assert daemon.send(USER, "b@example.net").code == 250
    logins = gmail.user(USER)["logins"]
    result = check(daemon, USER)
    assert result.of("failed") == []
    assert result.of("skipped") == ["smtp_dns", "smtp_greeting", "smtp_ehlo"]
    assert "this one is examined" in result.steps["smtp_auth"]["detail"]
    assert gmail.user(USER)["logins"] == logins


def test_at_the_limit(start, gmail):
    daemon = started(start, gmail, {"upstream.logins_per_minute": 1, "upstream.queue_wait": "200ms"})
    assert check(daemon, USER).summary["success"]
    result = check(daemon, USER)
    result.fails_at("limits", "logins_limited", "logins_per_minute", skipped=SMTP[1:])
    assert result.summary["state"] == "active"


def test_not_again_and_again(start, gmail):
    """Some at once, then one a minute: each is a login. Who has changed the account may look
    at once whether that helped."""
    daemon = started(start, gmail)
    path = "/admin/accounts/%s/check" % USER
    gmail.reset_state()
    for _ in range(5):
        assert check(daemon, USER).summary["success"]
    logins = gmail.user(USER)["logins"]
    answer = daemon.admin.post(path)
    assert answer.status == 429 and 0 < int(answer.headers["retry-after"]) <= 60, answer
    assert "checked 5 times" in answer["error"] and gmail.user(USER)["logins"] == logins
    done = ctl_of(daemon)("check", USER)
    assert done.code == FAILED and "check again in" in done.err
    changed = daemon.admin.patch("/admin/accounts/" + USER, {"mechanism": "xoauth2"})
    assert changed.status == 200, changed
    assert check(daemon, USER).summary["success"]


def test_a_login_proves_no_right_to_the_mailbox(start, m365):
    """430 comes behind a message; a check, which sends none, does not lift its pause."""
    m365.knobs(USER, reply_final="430 4.2.0 STOREDRV; mailbox logon failure; "
               "ConnectionFailedTransientException.MapiExceptionLogonFailed")
    daemon = started(start, m365)
    assert daemon.send(USER, "b@example.net").code == 451
    result = check(daemon, USER)
    assert result.of("failed") == [] and result.of("warning") == ["account"]
    assert result.steps["account"]["cause"] == "mailbox_permission"
    assert result.summary["state"] == "misconfigured"


def test_the_next_does_not_wait_for_one_that_nobody_reads(start, make_provider, tokens):
    from lib.provider import Fault

    provider = make_provider(faults=[Fault("auth", "stall", times=1)])
    daemon = start([account(A, provider, tokens)], dict(QUICK, **{"upstream.command_timeout": "1m"}))
    sock = begin(daemon, A, unix=True)
    wait_until(lambda: [line for _, line in provider.commands if line.upper().startswith(b"AUTH")], 20,
               "a login")
    sock.close()
    result = check(daemon)
    assert result.of("failed") == [] and result.steps["smtp_mail"]["result"] == "ok"


def begin(daemon, email, unix=False):
    """A check whose first step has been told; the socket."""
    sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    sock.settimeout(20 * PATIENCE)
    sock.connect(str(daemon.dir / "bearerd.sock") if unix else ("127.0.0.1", daemon.admin_port))
    sock.sendall(b"POST /admin/accounts/%s/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
                 % email.encode())
    got = b""
    while b'"account"' not in got:
        octets = sock.recv(1000)
        assert octets, got
        got += octets
    return sock


def test_many_at_once(start):
    """One of an account, 16 in all; whoever is refused is told so."""
    with Sim("gmail", accounts=17) as sim:
        sim.knobs(token_delay_ms=6000)
        daemon = start(sim.accounts(), ca=sim.ca)
        emails = [record["email"] for record in sim.accounts()]
        socks = [begin(daemon, emails[0])]
        assert daemon.admin.post("/admin/accounts/%s/check" % emails[0]).status == 409
        # By both ways, for an address may have so many connections only.
        socks += [begin(daemon, email, i % 2) for i, email in enumerate(emails[1:16])]
        answer = daemon.owner.post("/admin/accounts/%s/check" % emails[16])
        assert answer.status == 503 and answer.headers["retry-after"]
        for sock in socks:
            sock.close()
        sim.reset_knobs()
        wait_until(lambda: daemon.admin.post("/admin/accounts/%s/check" % emails[16]).status == 200,
                   30, "the end of the others")


def test_who_asks_goes_away(start, gmail):
    gmail.knobs(token_delay_ms=300)
    daemon = started(start, gmail)
    begin(daemon, USER).close()
    wait_until(lambda: daemon.admin.post("/admin/accounts/%s/check" % USER).status == 200, 20,
               "the end of the first")
    # Nor does the daemon wait for one that is under way when it ends.
    sock = begin(daemon, USER)
    daemon.stop()
    sock.close()


def test_the_account_is_removed_meanwhile(start, gmail):
    gmail.knobs(token_delay_ms=2000)
    daemon = started(start, gmail)
    sock = begin(daemon, USER)
    assert daemon.admin.delete("/admin/accounts/" + USER).status == 200
    got = b""
    while b'"summary"' not in got:
        octets = sock.recv(10000)
        assert octets, got
        got += octets
    assert b"the account was removed meanwhile" in got and b'"state":null' in got
    sock.close()


@pytest.mark.timeout(120)
@pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
@pytest.mark.parametrize("mechanisms", ["xoauth2", "oauthbearer"])
def test_dovecot(start, certs, mechanisms):
    from lib.sink import Sink

    sim, sink = Sim(accounts=2, cert_names="localhost,127.0.0.1"), Sink()
    trusted = type("certs", (), {"cert": certs.cert, "key": certs.key, "ca": sim.ca})
    server = dovecot.Dovecot(trusted, sim.introspection, sink, mechanisms)
    try:
        both = server.dir / "both.pem"
        both.write_bytes(certs.ca.read_bytes() + sim.ca.read_bytes())
        records = [dict(record, oauth_endpoint="localhost:%d" % server.port)
                   for record in sim.accounts()]
        daemon = start(records, ca=both)
        result = check(daemon, USER)
        assert result.of("failed") == [] and result.steps["smtp_mail"]["result"] == "ok"
        sim.knobs(token_dead=1)
        result = check(daemon, USER)
        assert result.of("failed") == ["smtp_auth"], result.lines
    finally:
        server.stop()
        sink.stop()
        sim.stop()
