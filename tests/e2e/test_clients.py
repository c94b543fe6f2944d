"""Applications and MTAs as clients: swaks, Python's smtplib, curl, Postfix."""
import shutil
import smtplib
import subprocess

import pytest

from lib import postfix
from lib.daemon import account, password_hash
from lib.util import PATIENCE, free_port, wait_until

A = "a@example.com"
CONTENT = b"From: <a@example.com>\r\nSubject: dots\r\n\r\n.\r\n..\r\n.a line\r\nthe end\r\n"


def swaks(*args):
    done = subprocess.run(["swaks", "--from", A, "--to", "b@example.net", "--auth-user", A,
                           "--timeout", str(20 * PATIENCE), *map(str, args)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


needs_swaks = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")


@needs_swaks
@pytest.mark.parametrize("how", [["--auth", "PLAIN"], ["--auth", "LOGIN"],
                                 ["--auth", "PLAIN", "--pipeline"]], ids="-".join)
def test_swaks(start, provider, tokens, how):
    daemon = start([account(A, provider, tokens)])
    code, said = swaks("--server", "127.0.0.1", "--port", daemon.port, "--auth-password", "x",
                       "--header", "Subject: by swaks", "--body", "Hello", *how)
    assert code == 0, said
    assert b"Subject: by swaks\r\n" in provider.accepted[0].content


@needs_swaks
def test_swaks_with_tls_and_a_password(start, provider, tokens, certs):
    port, secure = free_port(), free_port()
    start([account(A, provider, tokens, password_hash=password_hash("pw"))], {"trusted_clients": []},
          listeners=[("127.0.0.1:%d" % port, "starttls"), ("127.0.0.1:%d" % secure, "implicit")])
    for args in (["--port", port, "--tls"], ["--port", secure, "--tls-on-connect"]):
        code, said = swaks("--server", "127.0.0.1", "--auth", "PLAIN", "--auth-password", "pw", *args)
        assert code == 0, said
        code, said = swaks("--server", "127.0.0.1", "--auth", "PLAIN", "--auth-password", "no", *args)
        assert code != 0 and "535" in said, said
    assert len(provider.accepted) == 2


@needs_swaks
def test_swaks_sees_the_providers_refusal(start, make_provider, tokens):
    provider = make_provider(replies={"final": "552 5.2.3 too much of it"})
    daemon = start([account(A, provider, tokens)])
    code, said = swaks("--server", "127.0.0.1", "--port", daemon.port, "--auth", "PLAIN",
                       "--auth-password", "x")
    assert code != 0 and "552 5.2.3" in said and "too much of it" in said


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_smtplib(start, provider, tokens, certs, tls):
    port = free_port()
    start([account(A, provider, tokens)], listeners=[("127.0.0.1:%d" % port, tls)])
    context = certs.client_context()
    make = smtplib.SMTP_SSL if tls == "implicit" else smtplib.SMTP
    with make("localhost", port, timeout=30, **({"context": context} if tls == "implicit" else {})) as client:
        if tls == "starttls":
            client.starttls(context=context)
        client.login(A, "anything")
        for _ in range(3):
            assert client.sendmail(A, ["b@example.net", "c@example.net"], CONTENT) == {}
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("not an address@", "b@example.net", CONTENT)
    assert [m.content for m in provider.accepted] == [CONTENT] * 3


def test_smtplib_and_a_refused_recipient(start, make_provider, tokens):
    """The retry of a mixed verdict gives each recipient's own answer."""
    provider = make_provider(replies={
        "rcpt": lambda s: "550 5.1.1 no such user" if "bad" in s.rcpt else "250 2.1.5 OK"})
    daemon = start([account(A, provider, tokens)])
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=30) as client:
        client.login(A, "x")
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail(A, ["good@example.net", "bad@example.net"], CONTENT)
        assert error.value.smtp_code == 451
        refused = client.sendmail(A, ["good@example.net", "bad@example.net"], CONTENT)
        assert refused == {"bad@example.net": (550, b"5.1.1 no such user")}
    assert [m.rcpts for m in provider.accepted] == [["good@example.net"]]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(start, provider, tokens, tmp_path):
    daemon = start([account(A, provider, tokens)])
    mail = tmp_path / "mail"
    mail.write_bytes(CONTENT)
    done = subprocess.run(["curl", "-sS", "smtp://127.0.0.1:%d" % daemon.port, "-u", A + ":x",
                           "--mail-from", A, "--mail-rcpt", "b@example.net", "-T", str(mail)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout
    assert provider.accepted[0].content == CONTENT


needs_postfix = pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))


@pytest.fixture
def mta():
    peers = []

    def make(relay, user, password):
        peers.append(postfix.Postfix(relay, user, password))
        return peers[-1]

    yield make
    for peer in peers:
        peer.stop()


def give(mta, content=CONTENT, count=1, to=("b@example.net",)):
    with smtplib.SMTP("127.0.0.1", mta.port, timeout=30) as client:
        for _ in range(count):
            client.sendmail(A, list(to), content)


@needs_postfix
def test_postfix(start, provider, tokens, mta):
    daemon = start([account(A, provider, tokens, password_hash=password_hash("secret"))],
                   {"trusted_clients": [], "auth.requires_tls": False})
    relay = mta(daemon.port, A, "secret")
    give(relay, count=20)
    wait_until(lambda: len(provider.accepted) == 20, 30, "20 messages at the provider")
    wait_until(lambda: len(relay.sent()) == 20, 10, "20 lines in Postfix's log")
    body = CONTENT.split(b"\r\n\r\n", 1)[1]
    assert all(m.content.endswith(b"\r\n\r\n" + body) for m in provider.accepted)
    # Postfix tells the provider's own words.
    assert "250 2.0.0 OK scripted" in relay.sent()[0]


@needs_postfix
def test_postfix_keeps_what_is_deferred(start, make_provider, tokens, mta):
    provider = make_provider(replies={"final": lambda s: replies.pop() if replies else None})
    replies = ["451 4.3.0 try again", "452 4.3.1 and again"]
    daemon = start([account(A, provider, tokens)])
    relay = mta(daemon.port, A, "x")
    give(relay)
    wait_until(lambda: provider.accepted, 40, "the retry")
    assert len(provider.accepted) == 1
    assert "status=deferred" in relay.log() and "try again" in relay.log()


@needs_postfix
def test_postfix_gets_each_recipients_verdict(start, make_provider, tokens, mta):
    provider = make_provider(replies={
        "rcpt": lambda s: "550 5.1.1 no such user" if "bad" in s.rcpt else "250 2.1.5 OK"})
    daemon = start([account(A, provider, tokens)])
    relay = mta(daemon.port, A, "x")
    give(relay, to=("good@example.net", "bad@example.net"))
    wait_until(lambda: [m for m in provider.accepted if m.rcpts == ["good@example.net"]], 40, "delivery")
    wait_until(lambda: "to=<bad@example.net>" in relay.log() and "status=bounced" in relay.log(), 20, "bounce")
    assert "no such user" in relay.log()
    assert len([m for m in provider.accepted if m.rcpts == ["good@example.net"]]) == 1
