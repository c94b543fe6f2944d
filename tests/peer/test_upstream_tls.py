"""No credential without verified TLS (P7): what a man in the middle may try."""
import pytest

from lib.daemon import account
from lib.provider import GMAIL

A = "a@example.com"
QUICK = {"upstream.connect_timeout": "2s", "upstream.command_timeout": "2s",
         "upstream.queue_wait": "4s"}


def refused(daemon):
    reply = daemon.send(A, "x@example.net")
    assert 400 <= reply.code < 500, reply
    return reply


def no_credential(provider):
    assert provider.logins == [] and provider.received == []
    assert not [line for _, line in provider.commands if line.upper().startswith(b"AUTH")]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_good(start, make_provider, tokens, tls):
    provider = make_provider(tls=tls)
    daemon = start([account(A, provider, tokens, tls=tls)])
    assert daemon.send(A, "x@example.net").code == 250


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_another_name_in_the_certificate(start, make_provider, tokens, certs, tls):
    provider = make_provider(tls=tls, cert=certs.wrong_cert, key=certs.wrong_key)
    daemon = start([account(A, provider, tokens, tls=tls)], QUICK)
    refused(daemon)
    no_credential(provider)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_an_unknown_authority(start, make_provider, tokens, certs, tls, tmp_path):
    from lib.certs import Certs

    other = tmp_path / "other"
    other.mkdir()
    stranger = Certs(other)
    provider = make_provider(tls=tls, cert=stranger.cert, key=stranger.key)
    daemon = start([account(A, provider, tokens, tls=tls)], QUICK)
    refused(daemon)
    no_credential(provider)


def test_an_expired_certificate(start, make_provider, tokens, certs):
    cert, key = certs.issue("expired", "DNS:localhost", days=-1)
    provider = make_provider(cert=cert, key=key)
    daemon = start([account(A, provider, tokens)], QUICK)
    refused(daemon)
    no_credential(provider)


def test_starttls_is_not_offered(start, make_provider, tokens):
    provider = make_provider(offer_starttls=False)
    daemon = start([account(A, provider, tokens)], QUICK)
    refused(daemon)
    no_credential(provider)


def test_auth_offered_in_plaintext_is_no_reason(start, make_provider, tokens):
    provider = make_provider(offer_starttls=False, capabilities=GMAIL + ["AUTH XOAUTH2 PLAIN"])
    daemon = start([account(A, provider, tokens)], QUICK)
    refused(daemon)
    no_credential(provider)


@pytest.mark.parametrize("behind", ["250 injected", "250-injected\r\n250 AUTH XOAUTH2",
                                    "235 2.7.0 Accepted\r\n250 OK\r\n250 OK\r\n354 go\r\n250 OK"])
def test_plaintext_behind_the_providers_220(start, make_provider, tokens, behind):
    """Replies that a man in the middle puts behind the 220 to STARTTLS must not
    be taken for the provider's."""
    provider = make_provider(replies={"starttls": "220 2.0.0 go ahead\r\n" + behind})
    daemon = start([account(A, provider, tokens)], QUICK)
    reply = daemon.send(A, "x@example.net")
    if reply.code == 250:  # discarded: the message went the whole way
        assert len(provider.accepted) == 1
    else:
        assert 400 <= reply.code < 500
        no_credential(provider)


def test_capabilities_from_plaintext_are_forgotten(start, make_provider, tokens):
    """CHUNKING before TLS and not behind it: DATA is used."""
    def ehlo(session):
        lines = ["hello", "PIPELINING"]
        lines += ["AUTH XOAUTH2"] if session.secure else ["CHUNKING", "STARTTLS"]
        return "\r\n".join("250%s%s" % ("-" if i + 1 < len(lines) else " ", line)
                           for i, line in enumerate(lines))

    provider = make_provider(replies={"ehlo": ehlo})
    daemon = start([account(A, provider, tokens)])
    assert daemon.send(A, "x@example.net").code == 250
    assert provider.accepted[0].verb == "DATA"


def test_tls_sessions_are_resumed(start, make_provider, tokens):
    reused = []

    def note(session):
        reused.append(session.sock.session_reused)

    provider = make_provider(replies={"auth": note})
    daemon = start([account(A, provider, tokens)], {"providers.gmail.max_messages_per_connection": 1})
    for _ in range(3):
        assert daemon.send(A, "x@example.net").code == 250
    assert len(reused) == 3 and any(reused[1:]), reused


def test_nobody_listens(start, tokens):
    from lib.util import free_port

    daemon = start([account(A, free_port(), tokens)], QUICK)
    refused(daemon)


def test_a_name_that_does_not_resolve(start, tokens):
    daemon = start([account(A, 1, tokens, oauth_endpoint="no-such-host.invalid:587")], QUICK)
    refused(daemon)
