"""What may happen to a check while it waits for somebody: it ends, and bearerd goes on as if there
had been none."""
import os
import signal
import socket
import threading

import pytest

from lib.daemon import account
from lib.tokens import TokenServer
from lib.util import PATIENCE, wait_until

A = "a@example.com"
GOOD = {"greeting": "220 provider.test ESMTP", "auth": "235 2.7.0 Accepted",
        "mail": "250 2.1.0 OK"}


class Held:
    """An account whose check stays at this step until it is let go."""

    def __init__(self, step, certs, start, make_provider):
        self.reached, self.go, self.held = threading.Event(), threading.Event(), step
        self.tokens = TokenServer(certs)
        self.tokens.answer = self.answer
        replies = {} if step == "token" else {step: self.reply}
        self.provider = make_provider(replies=replies)
        conf = {"upstream.command_timeout": "20s", "oauth.timeout": "20s"}
        self.daemon = start([account(A, self.provider, self.tokens)], conf)
        self.stream = None

    def hold(self):
        if self.stream:  # what bearerd does by itself, before, is no check
            self.reached.set()
            self.go.wait(20 * PATIENCE)

    def answer(self, form, number):
        if self.held == "token":
            self.hold()
        return self.tokens.good(form, number)

    def reply(self, session):
        self.hold()
        return GOOD[self.held]

    def begin(self):
        wait_until(lambda: self.tokens.requests, 20, "the first token")
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(20 * PATIENCE)
        self.stream.connect(str(self.daemon.dir / "bearerd.sock"))
        self.stream.sendall(b"POST /admin/accounts/%s/check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            b"Content-Length: 0\r\n\r\n" % A.encode())
        assert self.reached.wait(20 * PATIENCE), "the check came nowhere"

    def rest(self):
        """All that is still said, to the end of the stream."""
        got = b""
        while octets := self.stream.recv(65536):
            got += octets
        return got


@pytest.fixture
def held(certs, start, make_provider):
    made = []

    def make(step):
        made.append(Held(step, certs, start, make_provider))
        made[-1].begin()
        return made[-1]

    yield make
    for one in made:
        one.go.set()
        one.stream.close()
        one.tokens.stop()


def client_goes(one):
    one.stream.close()


def account_goes(one):
    assert one.daemon.admin.delete("/admin/accounts/" + A).status == 200


def account_changes(one):
    assert one.daemon.admin.patch("/admin/accounts/" + A, {"mechanism": "xoauth2"}).status == 200


def account_is_paused(one):
    assert one.daemon.admin.post("/admin/accounts/%s/pause" % A, {"reason": "x"}).status == 200


def reload(one):
    assert one.daemon.admin.post("/admin/reload", wait="true").status == 200


def relay_dies(one):
    os.kill(one.daemon.relay_pid(), signal.SIGKILL)


def verified_beside_it(one):
    """By others, at once with it: both get an answer."""
    threading.Timer(0.2, one.go.set).start()
    answer = one.daemon.admin.post("/admin/accounts/%s/verify" % A, {"smtp": True})
    assert answer.status == 200 and answer["success"], answer


@pytest.mark.parametrize("step", ["token", "greeting", "auth", "mail"])
@pytest.mark.parametrize("happens", [client_goes, account_goes, account_changes, account_is_paused,
                                     reload, relay_dies, verified_beside_it],
                         ids=lambda what: what.__name__)
def test_meanwhile(held, step, happens):
    one = held(step)
    happens(one)
    one.go.set()
    if happens is not client_goes:
        assert one.rest().rstrip().endswith(b"0") and one.stream.fileno() >= 0
    if happens is account_goes:
        assert one.daemon.admin.get("/admin/accounts/" + A).status == 404
        return
    if happens is account_is_paused:
        one.daemon.admin.post("/admin/accounts/%s/resume" % A)
    wait_until(lambda: one.daemon.admin.post("/admin/accounts/%s/check" % A).status == 200, 20,
               "another check")
    wait_until(lambda: one.daemon.send(A, "b@example.net").code == 250, 20, "mail")
    pool = one.daemon.admin.get("/admin/pools")["pools"][0]
    assert pool["dialing"] == pool["busy"] == 0, pool


@pytest.mark.parametrize("step", ["greeting", "auth", "mail"])
def test_the_end(held, step):
    """bearerd does not wait for a check, and leaves none behind; for a token it would, as for
    all of them, for a new refresh token may come with it."""
    one = held(step)
    one.daemon.stop()


def test_mail_beside_a_check(held):
    """A message waits for the one connection that there may be, and no longer than for that."""
    one = held("mail")
    assert one.daemon.admin.patch("/admin/accounts/" + A, {
        "connection_settings": {"max_connections_per_account": 1}}).status == 200
    replies = []
    thread = threading.Thread(target=lambda: replies.append(one.daemon.send(A, "b@example.net").code))
    thread.start()
    one.go.set()
    thread.join()
    assert replies == [250] and b'"summary"' in one.rest()
