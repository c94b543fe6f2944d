"""The real peers, without bearerd: when one of these fails, the machine or the
distribution's package is to blame, not bearerd."""
import base64
import smtplib

import pytest

from lib import dovecot, postfix
from lib.sink import Sink
from lib.tokens import TokenServer, token_of
from lib.util import wait_until

CONTENT = b"Subject: x\r\nFrom: <a@example.com>\r\n\r\n.dot\r\n..\r\nbody\r\n"


@pytest.fixture
def sink():
    server = Sink(auth="PLAIN LOGIN")
    yield server
    server.stop()


@pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_dovecot_checks_tokens_by_introspection(certs, sink, mechanism):
    tokens = TokenServer(certs, users={"refresh-a": "a@example.com"})
    peer = dovecot.Dovecot(certs, tokens.introspection, sink)
    try:
        for token, good in ((token_of("refresh-a", 1), True), (token_of("nobody", 1), False)):
            client = smtplib.SMTP("localhost", peer.port, timeout=20)
            client.starttls(context=certs.client_context())
            client.ehlo("client.example")
            answer = {"XOAUTH2": "user=a@example.com\1auth=Bearer %s\1\1",
                      "OAUTHBEARER": "n,a=a@example.com,\1host=h\1port=1\1auth=Bearer %s\1\1"}
            blob = base64.b64encode((answer[mechanism] % token).encode()).decode()
            assert client.docmd("AUTH", mechanism)[0] == 334
            code, _ = client.docmd(blob)
            if good:
                assert code == 235
                client.sendmail("a@example.com", ["b@example.net"], CONTENT)
                client.quit()
            else:
                assert code == 334
                assert client.docmd("AQ==" if mechanism == "OAUTHBEARER" else "")[0] == 535
        message, = sink.messages
        assert dovecot.strip_received(message.content) == CONTENT
    finally:
        peer.stop()
        tokens.stop()


@pytest.mark.skipif(postfix.missing() is not None, reason=str(postfix.missing()))
def test_postfix_relays_with_sasl_plain(sink):
    peer = postfix.Postfix(sink.port, "a@example.com", "secret")
    try:
        client = smtplib.SMTP("127.0.0.1", peer.port, timeout=20)
        client.sendmail("a@example.com", ["b@example.net"], CONTENT)
        client.quit()
        wait_until(lambda: sink.messages, 20, "Postfix's delivery")
        assert sink.messages[0].content.endswith(CONTENT.split(b"\r\n\r\n", 1)[1])
        assert sink.logins == ["AUTH PLAIN " + base64.b64encode(b"\0a@example.com\0secret").decode()]
        wait_until(lambda: peer.sent(), 10, "Postfix's log line")
    finally:
        peer.stop()
