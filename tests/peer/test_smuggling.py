"""End of data and smuggling: one message in is one message out, octet by octet,
or 550 5.6.11 and nothing out.

Every pair of line ends and half line ends stands around a dot, in content that
comes by DATA (as an attacker writes it, and dot-stuffed as an honest client
does) and by BDAT, and leaves by BDAT and by DATA.
"""
import re

import pytest

from lib.daemon import Bearerd, account
from lib.provider import DATA_ONLY, GMAIL, STEPWISE, ScriptedProvider
from lib.tokens import TokenServer
from lib.wire import dot_stuff

ENDS = {
    "CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r", "CRLF.CR": b"\r\n.\r", "CR.CRLF": b"\r.\r\n",
}
PAIRS = [(before, after) for before in ENDS for after in ENDS]
UPSTREAM = {"bdat": GMAIL, "data": DATA_ONLY, "stepwise": STEPWISE}
HEAD = b"Subject: dots\r\n\r\nhonest"
TAIL = (b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n"
        b"Subject: smuggled\r\n\r\nevil\r\n")


def bare(content):
    """Is there a CR or LF that is no CRLF?"""
    return re.search(rb"\r(?!\n)|(?<!\r)\n", content) is not None


def content_of(pair):
    return HEAD + ENDS[pair[0]] + b"." + ENDS[pair[1]] + TAIL


def as_data(stream):
    """The reference: (content, rest) of a DATA stream by RFC 5321."""
    end = (b"\r\n" + stream).index(b"\r\n.\r\n")
    return re.sub(rb"(\A|(?<=\r\n))\.", b"", stream[:end]), stream[end + 3:]


class Stage:
    def __init__(self, certs, mode):
        self.tokens = TokenServer(certs)
        self.providers = {name: ScriptedProvider(certs, capabilities=caps)
                          for name, caps in UPSTREAM.items()}
        self.bearerd = Bearerd(
            certs, conf={"limits.bare_newlines": mode, "limits.max_errors": 1000},
            accounts=[account(name + "@example.com", server, self.tokens)
                      for name, server in self.providers.items()])

    def stop(self):
        try:
            self.bearerd.stop()
        finally:
            self.bearerd.kill()
            for server in self.providers.values():
                server.stop()
            self.tokens.stop()

    def transfer(self, upstream, send):
        """One session; what send(client) returned and what the provider got."""
        server = self.providers[upstream]
        before = len(server.received)
        with self.bearerd.client(upstream + "@example.com") as client:
            client.mail(upstream + "@example.com", "b@example.net")
            reply = send(client)
            client.cmd("QUIT", 221)
        for message in server.received[before:]:
            assert not bare(message.content), "a bare CR or LF went out"
        assert server.errors == []
        return reply, [message.content for message in server.received[before:]]


def expect(reply, got, content, upstream):
    if bare(content):
        assert (reply.code, reply.enhanced) == (550, "5.6.11"), reply
        assert got == []
    else:
        assert reply.code == 250, reply
        assert got == [content if upstream == "bdat" or content.endswith(b"\r\n")
                       else content + b"\r\n"]


@pytest.fixture(scope="module")
def strict(certs):
    stage = Stage(certs, "reject")
    yield stage
    stage.stop()


@pytest.fixture(scope="module")
def lenient(certs):
    stage = Stage(certs, "normalize")
    yield stage
    stage.stop()


pairs = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
upstreams = pytest.mark.parametrize("upstream", list(UPSTREAM))


@upstreams
@pairs
def test_data_as_an_attacker_writes_it(strict, upstream, pair):
    stream = content_of(pair) + b".\r\n"
    content, rest = as_data(stream)

    def send(client):  # up to the true end: the rest would be honest commands
        client.cmd("DATA", 354)
        client.send(stream[:len(stream) - len(rest)])
        return client.reply()

    reply, got = strict.transfer(upstream, send)
    expect(reply, got, content, upstream)


@upstreams
@pairs
def test_data_dot_stuffed(strict, upstream, pair):
    content = content_of(pair)
    reply, got = strict.transfer(upstream, lambda client: client.data(content))
    expect(reply, got, content, upstream)


@upstreams
@pairs
def test_bdat(strict, upstream, pair):
    content = content_of(pair)
    reply, got = strict.transfer(upstream, lambda client: client.bdat(content, 40))
    expect(reply, got, content, upstream)


@upstreams
@pairs
def test_ends_with_it(strict, upstream, pair):
    """The content ends with the dot and the line end, by BDAT."""
    content = HEAD + ENDS[pair[0]] + b"." + ENDS[pair[1]]
    reply, got = strict.transfer(upstream, lambda client: client.bdat(content, 15))
    expect(reply, got, content, upstream)


def normalized(content):
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)


@upstreams
@pairs
def test_normalize_bdat(lenient, upstream, pair):
    content = content_of(pair)
    reply, got = lenient.transfer(upstream, lambda client: client.bdat(content, 40))
    assert reply.code == 250
    assert got == [normalized(content)]


@upstreams
@pairs
def test_normalize_data(lenient, upstream, pair):
    """Mended line ends never become an end of data."""
    content = content_of(pair)
    reply, got = lenient.transfer(upstream, lambda client: client.data(dot_stuff(content), False))
    assert reply.code == 250
    assert got == [normalized(content)]


@upstreams
def test_nul(strict, lenient, upstream):
    content = HEAD + b"a\0b\r\n"
    for verb in ("data", "bdat"):
        reply, got = strict.transfer(upstream, lambda client: getattr(client, verb)(content))
        assert (reply.code, reply.enhanced, got) == (550, "5.6.11", [])
        reply, got = lenient.transfer(upstream, lambda client: getattr(client, verb)(content))
        assert (reply.code, got) == (250, [content.replace(b"\0", b" ")])
