"""Listeners: several at once, TLS, unix sockets, limits and timeouts."""
import time

import pytest

from lib.daemon import account
from lib.util import PATIENCE, free_port
from lib.wire import Closed, Wire

A = "a@example.com"


def test_several_listeners(start, provider, tokens, certs, tmp_path):
    plain, starttls, implicit = free_port(), free_port(), free_port()
    path = tmp_path / "smtp.sock"
    daemon = start([account(A, provider, tokens)], listeners=[
        ("127.0.0.1:%d" % plain, "none"), ("[::1]:%d" % plain, "none"), ("unix:%s" % path, "none"),
        ("127.0.0.1:%d" % starttls, "starttls"), ("127.0.0.1:%d" % implicit, "implicit")])
    tls = certs.client_context()
    for where, context in ((plain, None), (("::1", plain), None), (path, None), (implicit, tls)):
        with Wire(where, tls=context) as client:
            client.login(A)
            assert client.message(A, "x@example.net", b"x\r\n").code == 250
    with Wire(starttls) as client:
        client.ehlo()
        client.starttls(tls)
        client.login(A)
        assert client.message(A, "x@example.net", b"x\r\n").code == 250
    assert len(provider.accepted) == 5
    assert oct(path.stat().st_mode & 0o777) == "0o660"
    daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize("behind", [b"EHLO smuggled.example\r\n", b"NOOP\r\nNOOP\r\n",
                                    b"EHLO x\r\nMAIL FROM:<evil@example.com>\r\n", b"x"])
def test_plaintext_behind_starttls(start, provider, tokens, certs, behind):
    """What came with STARTTLS in plaintext is never answered within TLS."""
    port = free_port()
    start([account(A, provider, tokens)], listeners=[("127.0.0.1:%d" % port, "starttls")])
    with Wire(port) as client:
        client.ehlo()
        client.send(b"STARTTLS\r\n" + behind)
        try:
            reply = client.reply()
            if reply.code != 220:  # refused as a whole
                assert reply.code in (501, 503, 554), reply
                return
            client.handshake(certs.client_context())
        except (Closed, OSError):
            return  # dropped
        client.nothing(0.2)
        client.cmd("MAIL FROM:<a@example.com>", 503)


def test_size_is_announced_and_enforced(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"limits.max_message_size": "10K"})
    with daemon.client(A) as client:
        assert "SIZE 10240" in client.capabilities
        client.cmd("MAIL FROM:<a@example.com> SIZE=10241", 552)
        for bdat in (False, True):
            assert client.message(A, "x@example.net", b"x" * 78 * 200 + b"\r\n", bdat=bdat).code == 552
        assert client.message(A, "x@example.net", (b"x" * 78 + b"\r\n") * 100).code == 250


def test_command_timeout(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"timeouts.command": "700ms"})
    with daemon.client() as client:
        began = time.monotonic()
        client.expect(421, "4.4.2")
        client.closed()
        assert 0.5 < time.monotonic() - began < 3 * PATIENCE
    with daemon.client() as client:  # octets that make no line do not help
        for _ in range(20):
            try:
                client.send(b"N")
            except OSError:
                break
            time.sleep(0.1)
        client.goes_away()


def test_data_timeout(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"timeouts.data": "700ms"})
    with daemon.client(A) as client:
        client.mail(A, "x@example.net")
        client.cmd("DATA", 354)
        client.send(b"Subject: x\r\n")
        client.expect(421)
        client.closed()
    assert provider.received == []


def test_a_slow_body_is_cut_off(start, provider, tokens):
    """An octet now and then keeps no connection for ever."""
    daemon = start([account(A, provider, tokens)], {"limits.min_data_rate": 100000, "timeouts.data": "3s"})
    with daemon.client(A) as client:
        client.mail(A, "x@example.net")
        client.cmd("DATA", 354)
        end = time.monotonic() + 25 * PATIENCE
        gone = False
        while time.monotonic() < end and not gone:
            try:
                client.send(b"x")
                time.sleep(0.1)
                client.sock.setblocking(False)
                try:
                    gone = b"421" in client.sock.recv(1000)
                except BlockingIOError:
                    pass
                client.sock.settimeout(client.timeout)
            except OSError:
                gone = True
        assert gone
    assert provider.received == []


def test_connections_in_all(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"limits.max_connections": 20})
    clients = [daemon.client() for _ in range(20)]
    with daemon.client(greeting=False) as client:
        client.expect(421)
        client.closed()
    clients.pop().quit()
    with daemon.client() as client:
        client.ehlo()


def test_connections_of_one_address(start, provider, tokens):
    daemon = start([account(A, provider, tokens)],
                   {"limits.max_connections_per_address": 5, "trusted_clients": []})
    clients = [daemon.client() for _ in range(5)]
    with daemon.client(greeting=False) as client:
        client.expect(421)
    other = Wire(daemon.port, source=("127.0.0.2", 0))
    other.ehlo()
    clients[0].quit()
    with daemon.client() as client:
        client.ehlo()


def test_commands_without_mail(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"limits.max_commands_without_mail": 30})
    with daemon.client(A) as client:
        for _ in range(200):
            try:
                reply = client.cmd("NOOP")
            except (Closed, OSError):
                break
            if reply.code == 421:
                break
        else:
            raise AssertionError("200 NOOPs in a row")
    with daemon.client(A) as client:  # mail in between starts the count anew
        for _ in range(4):
            for _ in range(15):
                client.cmd("NOOP", 250)
            assert client.message(A, "x@example.net", b"x\r\n").code == 250


def test_a_client_that_does_not_read(start, provider, tokens):
    """Replies to it do not pile up in memory, and nobody else notices."""
    daemon = start([account(A, provider, tokens)],
                   {"timeouts.command": "3s", "limits.max_commands_without_mail": 1000000})
    with daemon.client() as deaf:
        deaf.ehlo()
        deaf.sock.settimeout(2 * PATIENCE)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += deaf.sock.send(b"HELP\r\n" * 5000)
        except OSError:
            pass
        assert sent < 64 << 20
        assert daemon.send(A, "x@example.net").code == 250


def test_hostname(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"hostname": "mx.relay.example"})
    with daemon.client() as client:
        assert client.greeting.text.startswith("mx.relay.example")
        assert client.cmd("EHLO x.example", 250).lines[0].startswith("250-mx.relay.example")


def test_thousand_connections(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], log_level="info")
    clients = [daemon.client() for _ in range(1000)]
    for client in clients[::10]:
        client.login(A)
        assert client.message(A, "x@example.net", b"x\r\n").code == 250
    for client in clients:
        client.close()
    assert len(provider.accepted) == 100
