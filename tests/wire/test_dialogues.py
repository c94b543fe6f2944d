"""Plays the dialogues of this folder: at full speed, octet by octet, and cut in
two at every octet boundary."""
import concurrent.futures
import pathlib

import pytest

from lib.daemon import Bearerd, account, password_hash
from lib.dialogue import Dialogue, Run
from lib.provider import ScriptedProvider
from lib.tokens import TokenServer
from lib.util import SANITIZED, free_port

DIALOGUES = [Dialogue(path) for path in sorted(pathlib.Path(__file__).parent.glob("*.txt"))]
each = pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda d: d.path.stem)
each_that_can_be_cut = pytest.mark.parametrize(
    "dialogue", [d for d in DIALOGUES if not d.whole], ids=lambda d: d.path.stem)
# Under a sanitizer every seventh cut: all of them were made without.
EVERY = 7 if SANITIZED else 1

CONF = {
    "providers.gmail.messages_per_day": 0,  # one account sends them all
    "limits.max_message_size": 200000,
    "limits.max_recipients": 10,
    "limits.max_errors": 10,
    "limits.max_connections": 10000,
    "auth.failures_per_address": 1000000,
    "auth.failures_per_connection": 5,
    "providers.gmail.max_messages_per_connection": 1000,
    "providers.gmail.connection_max_age": "1h",
}


class Stage:
    """bearerd with three listeners, and a provider that takes everything."""

    def __init__(self, certs):
        self.tls = certs.client_context()
        self.provider = ScriptedProvider(certs)
        self.tokens = TokenServer(certs)
        self.ports = {name: free_port() for name in ("plain", "starttls", "implicit")}
        self.wanted = 0
        self.users = {"wire": ("wire@example.com", ""), "locked": ("locked@example.com", "open sesame")}
        self.bearerd = Bearerd(
            certs, conf=CONF,
            accounts=[account("wire@example.com", self.provider, self.tokens),
                      account("locked@example.com", self.provider, self.tokens,
                              password_hash=password_hash("open sesame"))],
            listeners=[("127.0.0.1:%d" % self.ports["plain"], "none"),
                       ("127.0.0.1:%d" % self.ports["starttls"], "starttls"),
                       ("127.0.0.1:%d" % self.ports["implicit"], "implicit")])

    def play(self, dialogue, cut=None):
        run = Run(dialogue, self.ports, self.users, self.tls, cut)
        wanted = run.play()
        self.wanted += len(wanted)
        got = [m.content for m in list(self.provider.received)
               if run.ident in m.sender or any(run.ident in rcpt for rcpt in m.rcpts)]
        assert got == wanted, "%s, cut %s, message %s: the provider has %r" % (
            dialogue.path.name, cut, run.ident, got)

    def stop(self):
        try:
            self.bearerd.stop()
        finally:
            self.bearerd.kill()
            self.provider.stop()
            self.tokens.stop()


@pytest.fixture(scope="module")
def stage(certs):
    stage = Stage(certs)
    yield stage
    stage.stop()


@each
@pytest.mark.tsan
def test_at_full_speed(stage, dialogue):
    stage.play(dialogue)


@each_that_can_be_cut
def test_octet_by_octet(stage, dialogue):
    stage.play(dialogue, "octets")


@each_that_can_be_cut
@pytest.mark.timeout(180)
def test_cut_at_every_boundary(stage, dialogue):
    cuts = dialogue.split_points()
    if len(cuts) > 3000:  # long lines: both ends of them
        cuts = cuts[:400] + cuts[400:-400:50] + cuts[-400:]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(stage.play, dialogue, cut) for cut in cuts[::EVERY]]:
            future.result()


def test_nothing_else_was_delivered(stage):
    """The last one: what clients left half done did not go out later either."""
    assert len(stage.provider.received) == stage.wanted
    assert len(stage.provider.accepted) == stage.wanted
    assert stage.provider.errors == []
