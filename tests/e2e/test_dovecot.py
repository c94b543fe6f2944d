"""Dovecot's submission service as the provider: XOAUTH2 and OAUTHBEARER, tokens
of bearer-sim that Dovecot checks by introspection."""
import re
import shutil
import smtplib
import subprocess

import pytest

from lib import dovecot, postfix
from lib.daemon import account
from lib.sim import Sim
from lib.sink import Sink
from lib.util import wait_until

pytestmark = pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
CONTENT = (b"From: <user1@example.test>\r\nSubject: to Dovecot\r\n\r\n.\r\n..\r\n.dot\r\n"
           + b"long " * 190 + b"\r\n" + "Grüße\r\n".encode())


class Chain:
    """bearer-sim for tokens, Dovecot, and what Dovecot hands on."""

    def __init__(self, certs, mechanisms):
        self.sim = Sim(accounts=2, cert_names="localhost,127.0.0.1")
        self.sink = Sink()
        trusted = type("certs", (), {"cert": certs.cert, "key": certs.key, "ca": self.sim.ca})
        self.dovecot = dovecot.Dovecot(trusted, self.sim.introspection, self.sink, mechanisms)
        # bearerd must trust both authorities.
        self.ca = self.dovecot.dir / "both.pem"
        self.ca.write_bytes(certs.ca.read_bytes() + self.sim.ca.read_bytes())

    def accounts(self, port, **more):
        return [dict(record, oauth_endpoint="localhost:%d" % port, **more)
                for record in self.sim.accounts()]

    def stop(self):
        self.dovecot.stop()
        self.sink.stop()
        self.sim.stop()


@pytest.fixture(scope="module", params=["xoauth2", "oauthbearer"])
def chain(request, certs):
    chain = Chain(certs, request.param)
    yield chain
    chain.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_byte_for_byte(start, chain, tls):
    port = chain.dovecot.port if tls == "starttls" else chain.dovecot.tls_port
    daemon = start(chain.accounts(port, tls=tls), ca=chain.ca)
    before = len(chain.sink.messages)
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=60) as client:
        client.login("user1@example.test", "x")
        for _ in range(3):
            client.sendmail("user1@example.test", ["b@example.net"], CONTENT, ["BODY=8BITMIME"])
    messages = chain.sink.messages[before:]
    assert [dovecot.strip_received(m.content) for m in messages] == [CONTENT] * 3
    assert messages[0].rcpts == ["b@example.net"]
    assert daemon.wait_transactions(3)[-1]["conn_use"] == 3


@pytest.mark.timeout(120)
@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
def test_swaks_through_bearerd_to_dovecot(start, chain, tmp_path):
    daemon = start(chain.accounts(chain.dovecot.port), ca=chain.ca)
    mail = tmp_path / "mail"
    # Without its fix-ups swaks sends the octets as they are, but the dots.
    mail.write_bytes(re.sub(rb"(?m)^\.", b"..", CONTENT) + b".\r\n")
    before = len(chain.sink.messages)
    done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(daemon.port), "--auth", "PLAIN",
                           "--auth-user", "user1@example.test", "--auth-password", "x",
                           "--from", "user1@example.test", "--to", "b@example.net",
                           "--data", "@%s" % mail, "--no-data-fixup", "--timeout", "60"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    message, = chain.sink.messages[before:]
    got = dovecot.strip_received(message.content)
    assert got.rstrip(b"\r\n") == CONTENT.rstrip(b"\r\n")


@pytest.mark.timeout(120)
def test_a_revoked_token_is_replaced(start, chain):
    """Dovecot's introspection says no: one refresh, and the message arrives."""
    daemon = start(chain.accounts(chain.dovecot.port), {"providers.gmail.max_messages_per_connection": 1},
                   ca=chain.ca)
    user, before = "user2@example.test", len(chain.sink.messages)
    assert daemon.send(user, "b@example.net", CONTENT).code == 250
    chain.sim.revoke(user, "access")
    assert daemon.send(user, "b@example.net", CONTENT).code == 250
    assert len(chain.sink.messages) == before + 2


@pytest.mark.timeout(120)
def test_an_address_that_the_token_does_not_allow(start, chain):
    """Dovecot refuses a SASL user that is not the token's; nothing goes out."""
    daemon = start(chain.accounts(chain.dovecot.port, sasl_user="someone@example.test"), ca=chain.ca)
    before = len(chain.sink.messages)
    reply = daemon.send("user1@example.test", "b@example.net", CONTENT)
    assert reply.code != 250
    assert len(chain.sink.messages) == before


@pytest.mark.timeout(180)
@pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))
def test_postfix_bearerd_dovecot(start, chain):
    daemon = start(chain.accounts(chain.dovecot.port), ca=chain.ca)
    mta = postfix.Postfix(daemon.port, "user1@example.test", "x")
    try:
        before = len(chain.sink.messages)
        with smtplib.SMTP("127.0.0.1", mta.port, timeout=60) as client:
            for number in range(10):
                client.sendmail("user1@example.test", ["b%d@example.net" % number], CONTENT)
        wait_until(lambda: len(chain.sink.messages) == before + 10, 60, "ten messages")
        body = CONTENT.split(b"\r\n\r\n", 1)[1]
        assert all(m.content.endswith(body) for m in chain.sink.messages[before:])
    finally:
        mta.stop()
