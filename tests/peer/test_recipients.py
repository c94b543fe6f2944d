"""Several recipients: exact verdicts, and never the content twice."""
import re

import pytest

from lib.daemon import account
from lib.provider import DATA_ONLY, GMAIL, STEPWISE

pytestmark = pytest.mark.tsan
A = "a@example.com"
GOOD, BAD, LATER = "good@example.net", "bad@example.net", "later@example.net"


def judge(session):
    if "bad" in session.rcpt:
        return "550 5.1.1 no such user"
    if "later" in session.rcpt:
        return "450 4.2.1 mailbox busy"
    return "250 2.1.5 OK"


@pytest.fixture(params=["bdat", "data", "stepwise"])
def judging(request, make_provider):
    return make_provider(replies={"rcpt": judge}, capabilities={
        "bdat": GMAIL, "data": DATA_ONLY, "stepwise": STEPWISE}[request.param])


def test_all_accepted(start, judging, tokens):
    daemon = start([account(A, judging, tokens)])
    rcpts = ["r%d@example.net" % n for n in range(50)]
    assert daemon.send(A, rcpts).code == 250
    assert judging.accepted[0].rcpts == rcpts


@pytest.mark.parametrize("rcpt, code, enhanced", [(BAD, 550, "5.1.1"), (LATER, 450, "4.2.1")])
def test_a_single_refused_one(start, judging, tokens, rcpt, code, enhanced):
    """The provider's word, at the end of the message."""
    daemon = start([account(A, judging, tokens)])
    reply = daemon.send(A, rcpt)
    assert (reply.code, reply.enhanced) == (code, enhanced), reply
    assert judging.received == []
    assert daemon.send(A, GOOD).code == 250


def test_all_refused(start, judging, tokens):
    daemon = start([account(A, judging, tokens)])
    reply = daemon.send(A, [BAD, "bad2@example.net"])
    assert reply.code == 550, reply
    assert judging.received == []


@pytest.mark.parametrize("rcpts", [[GOOD, BAD], [BAD, GOOD], [GOOD, LATER], [BAD, LATER],
                                   [GOOD, BAD, LATER, "good2@example.net"]], ids=lambda r: "-".join(
                                       name.split("@")[0] for name in r))
def test_mixed_verdicts(start, judging, tokens, rcpts):
    """451 once; on the retry each RCPT gets the provider's own answer, and the
    content goes to those that it took."""
    daemon = start([account(A, judging, tokens)])
    assert daemon.send(A, rcpts).code == 451
    assert judging.received == []
    with daemon.client(A) as client:
        client.cmd("MAIL FROM:<%s>" % A, 250)
        codes = [client.cmd("RCPT TO:<%s>" % rcpt) for rcpt in rcpts]
        wanted = [550 if "bad" in r else 450 if "later" in r else 250 for r in rcpts]
        assert [reply.code for reply in codes] == wanted
        assert all(re.match(r"5\.1\.1|4\.2\.1|2\.1\.5", reply.enhanced) for reply in codes)
        if 250 in wanted:
            assert client.data(b"Subject: x\r\n\r\nonce\r\n").code == 250
            message, = judging.accepted
            assert message.rcpts == [r for r, code in zip(rcpts, wanted) if code == 250]
        else:
            client.cmd("DATA", (503, 554))
            assert judging.received == []
        client.quit()
    assert len(judging.received) <= 1


def test_live_verdicts_are_for_that_client_and_account(start, judging, tokens):
    daemon = start([account(A, judging, tokens), account("b@example.com", judging, tokens)])
    assert daemon.send(A, [GOOD, BAD]).code == 451
    with daemon.client("b@example.com") as client:
        client.cmd("MAIL FROM:<b@example.com>", 250)
        client.cmd("RCPT TO:<%s>" % BAD, 250)


def test_live_mode_ends(start, judging, tokens):
    daemon = start([account(A, judging, tokens)], {"upstream.live_rcpt": "0s"})
    assert daemon.send(A, [GOOD, BAD]).code == 451
    assert daemon.send(A, [GOOD, BAD]).code == 451


def test_live_rset_and_quit(start, judging, tokens):
    """A live transaction that the client gives up leaves the connection usable."""
    daemon = start([account(A, judging, tokens)])
    assert daemon.send(A, [GOOD, BAD]).code == 451
    with daemon.client(A) as client:
        for _ in range(3):
            client.cmd("MAIL FROM:<%s>" % A, 250)
            client.cmd("RCPT TO:<%s>" % GOOD, 250)
            client.cmd("RSET", 250)
        assert client.message(A, GOOD, b"x\r\n").code == 250
        client.cmd("MAIL FROM:<%s>" % A, 250)
        client.cmd("RCPT TO:<%s>" % GOOD, 250)
        client.quit()
    assert daemon.send(A, GOOD).code == 250
    assert len(judging.received) == 2
    assert len(judging.sessions) <= 3


def test_live_pipelined(start, judging, tokens):
    daemon = start([account(A, judging, tokens)])
    assert daemon.send(A, [GOOD, BAD]).code == 451
    with daemon.client(A) as client:
        client.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (
            A.encode(), BAD.encode(), GOOD.encode()))
        for code in (250, 550, 250, 354):
            client.expect(code)
        client.send(b"x\r\n.\r\n")
        client.expect(250)
    assert judging.accepted[-1].rcpts == [GOOD]
