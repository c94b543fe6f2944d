"""Content arrives as it was sent, whatever it is and however large."""
import hashlib
import os
import random
import shutil
import subprocess
import time

import pytest

from lib.daemon import Bearerd, account
from lib.provider import DATA_ONLY, GMAIL, ScriptedProvider
from lib.sim import Sim
from lib.tokens import TokenServer
from lib.util import ASAN, SANITIZED, memory_of, program

MIB = 1 << 20
HEAD = b"Subject: body\r\n\r\n"


def lines_of(length, total):
    line = bytes(random.Random(length).choices(range(33, 127), k=length)) + b"\r\n"
    return HEAD + line * (total // len(line) + 1)


def sized(size):
    """Exactly so many octets, in lines that begin with dots now and then."""
    block = b"".join(b"%s%06d %s\r\n" % (b"." * (i % 3), i, b"y" * 60) for i in range(4000))
    content = (HEAD + block * (size // len(block) + 1))[:size - 2]
    content = content[:-2] + b"zz" if content[-1:] in b"\r\n" else content
    return content + b"\r\n"


BODIES = {
    "empty": b"",
    "one-octet": b"a",
    "one-line": b"a\r\n",
    "crlf": b"\r\n",
    "one-dot": b".\r\n",
    "dots-everywhere": b".\r\n..\r\n...\r\n.a\r\na.\r\n. \r\n\r\n.\r\n\r\n..\r\n" * 500,
    "dot-at-each-chunk-end": HEAD + b"".join(b"x" * n + b"\r\n.\r\n" for n in range(300)),
    "empty-lines": b"\r\n" * 5000,
    "8-bit": HEAD + bytes(o for o in range(1, 256) if o not in b"\r\n") * 30 + b"\r\n",
    "utf-8": (HEAD.decode() + "Grüße, 你好, мир 🙂\r\n" * 300).encode(),
    "998-octet-lines": lines_of(998, 200000),
    "100000-octet-lines": lines_of(100000, 500000),
    "64-KiB": sized(1 << 16),
    "1-MiB-less-1": sized(MIB - 1),
    "1-MiB": sized(MIB),
    "1-MiB-and-1": sized(MIB + 1),
    "3-MiB": sized(3 * MIB),
}


def delivered(content, bdat_in, bdat_out):
    """DATA on either side gives the content a last line end."""
    if not (bdat_in and bdat_out) and content and not content.endswith(b"\r\n"):
        return content + b"\r\n"
    return content


@pytest.fixture(scope="module")
def relay(certs):
    tokens = TokenServer(certs)
    providers = {"bdat": ScriptedProvider(certs, capabilities=["SIZE 100000000"] + GMAIL[1:]),
                 "data": ScriptedProvider(certs, capabilities=["SIZE 100000000"] + DATA_ONLY[1:])}
    bearerd = Bearerd(certs, conf={"limits.max_message_size": "60M"}, accounts=[
        account(name + "@example.com", server, tokens) for name, server in providers.items()])
    bearerd.providers = providers
    yield bearerd
    try:
        bearerd.stop()
    finally:
        bearerd.kill()
        for server in providers.values():
            server.stop()
        tokens.stop()


def transfer(relay, body, verb_in, upstream, chunk=None):
    server = relay.providers[upstream]
    before = len(server.accepted)
    with relay.client(upstream + "@example.com", timeout=60) as client:
        client.mail(upstream + "@example.com", "b@example.net", "BODY=8BITMIME")
        reply = client.bdat(body, chunk) if verb_in == "bdat" else client.data(body)
        assert reply.code == 250, reply
    message, = server.accepted[before:]
    wanted = delivered(body, verb_in == "bdat", upstream == "bdat")
    assert hashlib.sha256(message.content).hexdigest() == hashlib.sha256(wanted).hexdigest(), \
        "%d octets out, %d in" % (len(message.content), len(wanted))


@pytest.mark.parametrize("upstream", ["bdat", "data"])
@pytest.mark.parametrize("verb_in", ["data", "bdat"])
@pytest.mark.parametrize("name", list(BODIES))
def test_body(relay, name, verb_in, upstream):
    transfer(relay, BODIES[name], verb_in, upstream)


@pytest.mark.parametrize("upstream", ["bdat", "data"])
@pytest.mark.parametrize("chunk", [40, 41, 42, 1100, 65536])
def test_bdat_in_chunks(relay, chunk, upstream):
    transfer(relay, BODIES["dots-everywhere"][:600 if chunk < 100 else None], "bdat", upstream, chunk)


@pytest.mark.slow
@pytest.mark.parametrize("upstream", ["bdat", "data"])
@pytest.mark.parametrize("verb_in", ["data", "bdat"])
def test_35_megabytes(relay, verb_in, upstream):
    transfer(relay, sized(35 * 1000 * 1000), verb_in, upstream)


def test_line_limit(start, provider, tokens):
    """The option's value is the longest line; one octet more is refused, behind
    the end of the message."""
    bearerd = start([account("a@example.com", provider, tokens)], {"limits.max_line_length": 1000})
    assert bearerd.send("a@example.com", "b@example.net", b"x" * 1000 + b"\r\n").code == 250
    with bearerd.client("a@example.com") as client:
        reply = client.message("a@example.com", "b@example.net", b"x" * 1001 + b"\r\n")
        assert 500 <= reply.code < 600, reply
        client.quit()
    assert len(provider.received) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_large_messages_within_the_memory_budget(start, certs, tmp_path):
    """200 clients send 35 MB at once; the relay stays within limits.memory and
    what its connections need."""
    clients, size, budget = (20, 4 * MIB, 16 * MIB) if SANITIZED else (200, 35 * 1000 * 1000, 64 * MIB)
    spill = "/var/tmp"
    while shutil.disk_usage(spill).free < 2 * clients * size:
        size //= 2
    with Sim(profile="m365", accounts=20) as provider:
        bearerd = start(provider.accounts(), {
            "limits.memory": budget, "limits.max_message_size": "50M", "spill.dir": spill,
            "upstream.queue_wait": "9m"}, ca=provider.ca, log_level="info")
        relay = bearerd.relay_pid()
        peak = 0
        load = subprocess.Popen(
            program("bearer-load") + ["--to", "127.0.0.1:%d" % bearerd.port, "--auth", "plain",
                                      "--user", "user%u@example.test", "--accounts", "20",
                                      "--connections", str(clients), "--messages", str(clients),
                                      "--size", str(size), "--json", str(tmp_path / "load.json")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while load.poll() is None:
            peak = max(peak, memory_of(relay))
            time.sleep(0.02)
        said = load.stdout.read().decode()
        assert "%d of %d accepted" % (clients, clients) in said, said
        messages = provider.messages()
        assert len(messages) == clients and len({m.sha256 for m in messages}) == 1
        assert {m.size for m in messages} == {size}
        # Connections, stacks, TLS: 100 MiB; a sanitizer's shadow is not ours.
        if not ASAN:
            assert peak < budget + 100 * MIB, "%d MiB" % (peak // MIB)
        assert relay == bearerd.relay_pid()
        assert not [name for name in os.listdir(spill) if "bearerd" in name]
