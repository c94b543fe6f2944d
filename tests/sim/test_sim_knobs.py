"""What tests can turn: delays, refusals, limits, faults."""
import socket
import ssl
import time

import pytest

from lib.sim import Refused, Sim
from lib.util import wait_until
from lib.wire import Closed, Wire
from simclient import CONTENT, USER, flight, login, secure, xoauth2

OTHER = "user2@example.test"


def took(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def send(wire, **options):
    """One message; the codes of the three replies."""
    wire.send(flight(CONTENT, **options))
    return [wire.reply().code for _ in range(3)]


# --- the knobs themselves -------------------------------------------------

def test_knobs_are_checked(gmail):
    for values, part in (({"latency": 3}, 'did you mean \\"latency_ms\\"'), ({"latency_ms": "x"}, "number"),
                         ({"reply_mail": 421}, "text"), ({"reply_mail": "no"}, "421 4.3.2 text"),
                         ({"fault_mail": "clsoe"}, "no fault"), ({"token_error": "x"}, "no error"),
                         ({"token_rotation": "x"}, "revoke"), ({"latency_ms": -1}, "from 0"),
                         ({"latency_ms": 1, "count": "x"}, "count")):
        with pytest.raises(Refused) as caught:
            gmail.knobs(**values)
        assert caught.value.status == 400 and part in caught.value.body
    with pytest.raises(Refused) as caught:
        gmail.knobs("nobody@example.test", latency_ms=1)
    assert caught.value.status == 404


def test_knobs_are_shown(gmail):
    gmail.knobs(latency_ms=1, reply_rset="250 hi")
    gmail.knobs(USER, latency_ms=2)
    shown = gmail.request("GET", "/knobs")
    assert shown["global"] == {"latency_ms": 1, "reply_rset": "250 hi"}
    assert shown["users"][USER] == {"latency_ms": 2}
    assert "fault_stored" in shown["help"] and "7000222" in shown["token_errors"]
    gmail.knobs(latency_ms=None)
    assert gmail.request("GET", "/knobs")["global"] == {"reply_rset": "250 hi"}


def test_count_and_after(gmail):
    with login(gmail) as wire:
        gmail.knobs(USER, reply_noop="450 no", count=2, after=1)
        assert [wire.cmd("NOOP").code for _ in range(5)] == [250, 450, 450, 250, 250]
    with login(gmail, OTHER) as wire:
        wire.cmd("NOOP", 250)


def test_percent():
    with Sim(seed=1) as sim, login(sim) as wire:
        sim.knobs(reply_noop="450 no", percent=30)
        codes = [wire.cmd("NOOP").code for _ in range(200)]
        assert 30 < codes.count(450) < 90


def test_knobs_of_the_command_line():
    with Sim("m365", knobs={"reply_noop": "250 {host} hi", "no_chunking": 1}) as sim:
        with login(sim) as wire:
            assert "CHUNKING" not in wire.capabilities
            assert wire.cmd("NOOP").text.endswith("outlook.office365.com hi")


# --- time -----------------------------------------------------------------

RTT = 0.15


def trips(action):
    """How many round trips it takes; the best of three, for the machine may be busy."""
    return min(int(took(action) / RTT) for _ in range(3))


def test_latency_is_one_round_trip_per_flight(gmail):
    with login(gmail) as wire:
        gmail.knobs(latency_ms=int(RTT * 1000))
        assert trips(lambda: wire.cmd("NOOP", 250)) == 1
        assert trips(lambda: send(wire)) == 1
        assert trips(lambda: [wire.send(b"NOOP\r\n" * 50)] +
                     [wire.expect(250) for _ in range(50)]) == 1
        assert trips(lambda: (wire.mail(USER, []), wire.cmd("RSET"))) == 2


def test_latency_of_connecting(gmail):
    gmail.knobs(latency_ms=int(RTT * 1000))
    # TCP and the greeting, EHLO, STARTTLS and TLS, EHLO
    assert trips(lambda: secure(gmail).close()) == 6
    # TCP, TLS, the greeting
    assert trips(lambda: Wire(gmail.smtps, tls=gmail.context).close()) == 3


def test_latency_of_one_does_not_hold_up_another(gmail):
    gmail.knobs(USER, latency_ms=1000)
    with login(gmail) as slow, login(gmail, OTHER) as fast:
        slow.send(b"NOOP\r\n")
        assert took(lambda: send(fast)) < 0.8
        slow.expect(250)


def test_extra_delays(gmail):
    with login(gmail) as wire:
        gmail.knobs(final_delay_ms=150)
        wire.mail(USER, "a@b.example")
        assert 0.15 <= took(lambda: wire.bdat(b"x"))
        gmail.knobs(fault_noop="stall:120", count=1)
        assert 0.12 <= took(lambda: wire.cmd("NOOP", 250))
        assert min(took(lambda: wire.cmd("NOOP", 250)) for _ in range(3)) < 0.1


def test_split_writes(gmail):
    with login(gmail) as wire:
        gmail.knobs(write_split=2, write_pause_ms=5)
        wire.send(b"NOOP\r\n")
        pieces = []
        while not b"".join(pieces).endswith(b"\n"):
            pieces.append(wire.sock.recv(100))
        assert len(pieces) > 5
        gmail.knobs(write_pause_ms=1)
        assert send(wire) == [250, 250, 250]


# --- EHLO -----------------------------------------------------------------

def test_capabilities_can_be_hidden(m365):
    m365.knobs(no_pipelining=1, no_chunking=1, no_8bitmime=1, no_smtputf8=1, no_dsn=1,
               size_limit=1000, auth_mechs="XOAUTH2")
    with login(m365) as wire:
        assert wire.capabilities == ["SIZE 1000", "ENHANCEDSTATUSCODES", "AUTH XOAUTH2"]
        for params in ("RET=FULL", "SMTPUTF8", "BODY=8BITMIME"):
            wire.cmd("MAIL FROM:<a@b.example> " + params, 501)
        wire.cmd("BDAT 1 LAST", 500)
        wire.cmd("MAIL FROM:<a@b.example> SIZE=1001", 552)
        wire.send(b"NOOP\r\nNOOP\r\n")
        wire.expect(250)
        wire.expect(250)
        wire.mail(USER, "a@b.example")
        assert wire.data(b"x\r\n" * 400).code == 552
        assert wire.message(USER, "a@b.example", b"x\r\n" * 300).code == 250
    assert "NOOP in one flight" in m365.state()["errors"][-1]


def test_starttls_can_be_missing(gmail):
    gmail.knobs(no_starttls=1)
    with Wire(gmail.smtp) as wire:
        assert "STARTTLS" not in wire.ehlo()
        wire.cmd("STARTTLS", 502)


def test_a_strict_ehlo(gmail):
    gmail.knobs(ehlo_strict=1)
    for name, code in (("localhost", 421), ("127.0.0.1", 421), ("junk", 421), ("a.example", 250),
                       ("[IPv6:::1]", 250)):
        with Wire(gmail.smtp) as wire:
            wire.cmd("EHLO " + name, code)


# --- replies --------------------------------------------------------------

@pytest.mark.parametrize("phase, step", [
    ("rset", lambda wire: wire.cmd("RSET")),
    ("noop", lambda wire: wire.cmd("NOOP")),
    ("quit", lambda wire: wire.cmd("QUIT")),
    ("mail", lambda wire: wire.cmd("MAIL FROM:<a@b.example>")),
    ("rcpt", lambda wire: (wire.mail(USER, []), wire.cmd("RCPT TO:<a@b.example>"))[1]),
    ("data", lambda wire: (wire.mail(USER, "a@b.example"), wire.cmd("DATA"))[1]),
    ("bdat", lambda wire: (wire.mail(USER, "a@b.example"), wire.bdat(b"abc"))[1]),
    ("final", lambda wire: wire.message(USER, "a@b.example", b"abc")),
    ("final", lambda wire: wire.message(USER, "a@b.example", b"abc", bdat=True)),
])
def test_replies_can_be_forced(gmail, phase, step):
    with login(gmail) as wire:
        gmail.knobs(**{"reply_" + phase: "451-4.3.0 one\n451 4.3.0 two", "count": 1})
        assert step(wire).lines == ["451-4.3.0 one", "451 4.3.0 two"]
        wire.cmd("RSET", 250)
        assert send(wire) == [250, 250, 250]
        gmail.knobs(**{"reply_" + phase: "421 4.3.2 bye"})
        assert step(wire).code == 421
        wire.closed()
    assert len(gmail.messages()) == 1


def test_early_replies(gmail):
    gmail.knobs(reply_connect="421 4.3.2 no")
    with Wire(gmail.smtp, greeting=False) as wire:
        wire.expect(421)
        wire.closed()
    gmail.knobs(reply_connect=None, reply_ehlo="451 4.3.0 later")
    with Wire(gmail.smtp) as wire:
        wire.cmd("EHLO a.example", 451)
    gmail.knobs(reply_ehlo=None, reply_starttls="454 4.7.0 TLS not available")
    with Wire(gmail.smtp) as wire:
        wire.ehlo()
        wire.cmd("STARTTLS", 454)
        wire.cmd("NOOP", 250)


def test_a_positive_forced_reply_only_changes_the_text(gmail):
    with login(gmail) as wire:
        gmail.knobs(reply_mail="250 2.1.0 yes", reply_final="250 2.0.0 kept {id}")
        wire.send(flight(CONTENT))
        assert wire.reply().lines == ["250 2.1.0 yes"]
        wire.expect(250)
        assert wire.reply().lines[0].startswith("250 2.0.0 kept ")
    assert gmail.messages()[0].reply == 250


def test_recipients_that_are_refused(gmail):
    with login(gmail) as wire:
        gmail.knobs(rcpt_reject="*@bad.example=550 5.7.1 no|x?@*=450 4.2.1 later {id}")
        wire.cmd("MAIL FROM:<%s>" % USER, 250)
        for rcpt, code in (("unknown@a.example", 550), ("UNKNOWN9@a.example", 550),
                           ("defer@a.example", 450), ("toomany@a.example", 452),
                           ("blocked@a.example", 550), ("a@bad.example", 550),
                           ("x1@a.example", 450), ("x12@a.example", 250)):
            wire.cmd("RCPT TO:<%s>" % rcpt, code)


def test_replies_after_storing(gmail):
    with login(gmail) as wire:
        gmail.knobs(reply_stored="451 4.3.0 stored all the same", count=1)
        assert wire.message(USER, "a@b.example", b"x").code == 451
    message, = gmail.messages()
    assert message.reply == 451 and message.told


def test_early_answer_in_the_body(gmail):
    with login(gmail) as wire:
        gmail.knobs(reply_body="552 5.3.4 too big", body_after=10, count=1)
        wire.mail(USER, "a@b.example")
        wire.cmd("DATA", 354)
        wire.send(b"x" * 9)
        wire.nothing(0.1)
        wire.send(b"x" * 9)
        wire.expect(552)
        wire.send(b"x\r\n.\r\n")
        wire.cmd("NOOP", 250)
        assert send(wire) == [250, 250, 250]
    assert len(gmail.messages()) == 1


# --- faults ---------------------------------------------------------------

def step_to(sim, phase):
    """A connection whose next reply would be that of the phase."""
    if phase == "connect":
        return Wire(sim.smtp, greeting=False, timeout=1)
    if phase in ("ehlo", "starttls"):
        wire = Wire(sim.smtp, timeout=1)
        if phase == "starttls":
            wire.ehlo()
    elif phase == "auth":
        wire = secure(sim, timeout=1)
    else:
        wire = login(sim, timeout=1)
        if phase in ("rcpt", "data", "bdat", "body", "final", "stored"):
            wire.cmd("MAIL FROM:<%s>" % USER, 250)
        if phase in ("data", "bdat", "body", "final", "stored"):
            wire.cmd("RCPT TO:<a@b.example>", 250)
    chunk = "BDAT 3 LAST\r\nabc"
    wire.send({"ehlo": "EHLO a.example\r\n", "mail": "MAIL FROM:<a@b.example>\r\n",
               "auth": "AUTH XOAUTH2 %s\r\n" % xoauth2(USER, sim.token(USER)),
               "rcpt": "RCPT TO:<a@b.example>\r\n", "body": "BDAT 10 LAST\r\n12345",
               "bdat": chunk, "final": chunk, "stored": chunk}.get(phase, phase + "\r\n"))
    return wire


PHASES = ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "bdat", "body", "final",
          "stored", "rset", "noop", "quit"]


@pytest.mark.parametrize("fault", ["close", "drop", "reset", "stall", "partial", "partial-close",
                                   "garbage"])
@pytest.mark.parametrize("phase", PHASES)
def test_faults(gmail, phase, fault):
    gmail.knobs(**{"fault_" + phase: fault})
    try:
        wire = step_to(gmail, phase)
    except ConnectionResetError:
        assert (phase, fault) == ("connect", "reset")  # before connect() has returned
        return
    with wire:
        if fault in ("close", "drop", "reset"):
            wire.closed()
        elif fault == "stall":
            wire.nothing(0.1)
        elif fault.startswith("partial"):
            while wire.buffer != b"25":
                wire._fill()
            if fault == "partial-close":
                wire.buffer = b""
                wire.closed()
        else:
            while b"</html>\r\n" not in wire.buffer:
                wire._fill()
            assert wire.buffer.startswith(b"\x16\x03\x01\xff")
    stored = [one.told for one in gmail.messages()]
    assert stored == ([False] if phase == "stored" else [])
    wait_until(lambda: gmail.state()["sessions"] == 0, 5, "the end of the session")
    assert gmail.user(USER)["connections"] == gmail.user(USER)["submitting"] == 0


@pytest.mark.parametrize("fault, in_plain, in_tls", [
    ("close", None, None), ("drop", None, OSError), ("reset", ConnectionResetError, OSError)])
def test_the_manner_of_closing(gmail, fault, in_plain, in_tls):
    """TLS tells a goodbye from a cut; TCP a FIN from a RST."""
    context = ssl.create_default_context(cafile=str(gmail.ca))
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    gmail.knobs(fault_noop=fault)
    for port, wanted in ((gmail.smtp, in_plain), (gmail.smtps, in_tls)):
        sock = socket.create_connection(("127.0.0.1", port))
        if port == gmail.smtps:
            sock = context.wrap_socket(sock, server_hostname="localhost",
                                       suppress_ragged_eofs=False)
        with sock:
            assert sock.recv(1000).startswith(b"220 ")
            sock.sendall(b"NOOP\r\n")
            if wanted:
                with pytest.raises(wanted):
                    sock.recv(10)
            else:
                assert sock.recv(10) == b""


def test_replies_before_a_fault_arrive(gmail):
    for fault in ("close", "drop", "reset"):
        gmail.knobs(latency_ms=20, fault_final=fault)
        with login(gmail) as wire:
            wire.send(flight(CONTENT))
            assert [wire.reply().code for _ in range(2)] == [250, 250]
            with pytest.raises(Closed):
                wire.reply()


def test_a_second_reply(gmail):
    with login(gmail) as wire:
        gmail.knobs(fault_mail="extra:250 2.1.5 too early", fault_data="extra", count=1)
        assert wire.cmd("MAIL FROM:<a@b.example>").code == 250
        assert wire.reply().lines == ["250 2.1.5 too early"]
        wire.cmd("RCPT TO:<a@b.example>", 250)
        wire.cmd("DATA", 354)
        assert wire.reply().lines == ["250 2.0.0 OK"]
        wire.send(b".\r\n")
        wire.expect(250)


def test_a_stalled_body_blocks_the_client(gmail):
    with login(gmail, timeout=1) as wire:
        gmail.knobs(fault_body="stall", body_after=1000)
        wire.mail(USER, "a@b.example")
        wire.send(b"BDAT 20000000 LAST\r\n")
        with pytest.raises(TimeoutError):
            wire.send(b"x" * 20000000)


# --- limits ---------------------------------------------------------------

def test_concurrent_connections(m365):
    m365.knobs(USER, connections_max=2)
    wires = [login(m365) for _ in range(3)]
    wires[2].send(flight(CONTENT))
    assert [wires[2].reply().code for _ in range(2)] == [250, 250]
    assert wires[2].reply().lines[0].startswith("432 4.3.2 Concurrent connections limit exceeded.")
    wires[0].quit()
    assert send(wires[2]) == [250, 250, 250]
    assert m365.user(USER)["max_connections"] == 3
    for wire in wires[1:]:
        wire.close()


def test_concurrent_transactions(m365):
    m365.knobs(USER, concurrent_max=1)
    with login(m365) as one, login(m365) as two:
        one.mail(USER, "a@b.example")
        assert send(two) == [250, 250, 432]
        one.cmd("RSET", 250)
        assert send(two) == [250, 250, 250]
        m365.knobs(USER, final_delay_ms=300)
        one.send(flight(CONTENT))
        time.sleep(0.05)
        assert send(two)[2] == 432
        assert [one.reply().code for _ in range(3)] == [250, 250, 250]
    assert m365.user(USER)["max_submitting"] == 2
    assert m365.user(USER)["submitting"] == 0


def test_messages_in_a_minute(m365):
    m365.knobs(USER, rate_per_minute=3)
    with login(m365) as wire, login(m365) as another:
        assert [send(wire) for _ in range(2)] == [[250] * 3] * 2
        another.mail(USER, [])  # will be the third
        wire.cmd("MAIL FROM:<%s>" % USER, 421, "421 4.4.2 Message submission rate")
        wire.closed()
        another.cmd("RCPT TO:<a@b.example>", 250)
        assert another.bdat(b"x").code == 250
        another.cmd("MAIL FROM:<%s>" % USER, 421)
    assert m365.user(USER)["max_messages_60s"] == 3
    with login(m365, OTHER) as wire:
        assert send(wire) == [250, 250, 250]


def test_quota(gmail, m365):
    for sim, codes, text in ((gmail, [550, 503, 503], "5.4.5 Daily user sending"),
                             (m365, [250, 250, 554], "SubmissionQuotaExceeded")):
        sim.knobs(USER, daily_quota=1)
        with login(sim) as wire:
            assert send(wire) == [250, 250, 250]
            wire.send(flight(CONTENT))
            replies = [wire.reply() for _ in range(3)]
            assert [reply.code for reply in replies] == codes
            assert any(text in reply.lines[0] for reply in replies)


def test_documented_limits(m365):
    m365.knobs(real_limits=1)
    wires = [login(m365) for _ in range(4)]
    assert send(wires[3])[2] == 432
    wires.pop().close()
    wait_until(lambda: m365.user(USER)["connections"] == 3, 5, "the fourth to be gone")
    for _ in range(30):
        assert send(wires[0]) == [250, 250, 250]
    wires[1].cmd("MAIL FROM:<%s>" % USER, 421)


def test_sending_as_another(m365):
    m365.knobs(send_as=1)
    with login(m365) as wire:
        wire.send(flight(CONTENT, sender=OTHER))
        replies = [wire.reply() for _ in range(3)]
        assert replies[2].code == 554 and replies[2].enhanced == "5.2.252"
        assert send(wire, sender=USER.upper()) == [250, 250, 250]


def test_bare_newlines_can_be_refused(m365):
    m365.knobs(reject_bare=1)
    with login(m365) as wire:
        wire.mail(USER, "a@b.example")
        assert wire.bdat(b"a\nb").enhanced == "5.6.11"


def test_messages_on_one_connection(gmail):
    with login(gmail) as wire:
        gmail.knobs(messages_max=2)
        assert [send(wire) for _ in range(2)] == [[250] * 3] * 2
        wire.cmd("MAIL FROM:<%s>" % USER, 421)
        wire.closed()


# --- the server's own idea ------------------------------------------------

def test_idle_close(gmail, m365):
    for sim, text in ((gmail, "451 4.4.2 Timeout - closing connection."),
                      (m365, "451 4.7.0 Timeout waiting for client input")):
        with login(sim) as wire:
            sim.knobs(idle_close_ms=400)
            for _ in range(3):
                time.sleep(0.2)
                wire.cmd("NOOP", 250)
            assert 0.15 <= took(lambda: wire.expect(451, text))
            wire.closed()


def test_age_close(gmail):
    with login(gmail) as wire:
        wire.cmd("NOOP", 250)
        time.sleep(0.2)
        gmail.knobs(age_close_ms=300)  # of which most has passed
        wire.expect(421, "Connection expired, try reconnecting")
        wire.closed()


def test_goodbye_behind_the_last_message(gmail):
    gmail.knobs(goodbye_after=2)
    with login(gmail) as wire:
        assert send(wire) == [250, 250, 250]
        assert send(wire) == [250, 250, 250]
        wire.expect(421)
        wire.closed()
    gmail.knobs(goodbye_after=1, goodbye_ms=400)
    with login(gmail) as wire:
        assert send(wire) == [250, 250, 250]
        wire.nothing(0.1)
        wire.expect(421)
        wire.closed()
    assert len(gmail.messages()) == 3 and all(one.told for one in gmail.messages())


@pytest.mark.parametrize("how, code", [("close", None), ("drop", None), ("reset", None),
                                       ("goodbye", 421), ("idle", 451)])
def test_disconnecting(gmail, how, code):
    with login(gmail) as wire, login(gmail, OTHER) as other:
        assert gmail.disconnect(USER, how) == 1
        if code:
            wire.expect(code)
        wire.closed()
        other.cmd("NOOP", 250)


def test_a_client_that_goes_away(gmail):
    with login(gmail) as wire:
        wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<a@b.example>\r\nBDAT 10\r\nabc")
        wire.expect(250)
    wait_until(lambda: gmail.state()["sessions"] == 0, 5, "the end of the session")
    assert gmail.user(USER)["submitting"] == 0 and gmail.messages() == []


def test_a_client_that_goes_away_before_the_reply(gmail):
    gmail.knobs(final_delay_ms=500)
    with login(gmail) as wire:
        wire.send(flight(CONTENT))
        wire.expect(250)
    message, = gmail.wait_messages(1)
    wait_until(lambda: gmail.state()["sessions"] == 0, 5, "the end of the session")
    assert not gmail.messages()[0].told and message.reply == 250


def test_a_certificate_that_has_expired_or_is_for_another():
    for options in ({"cert_days": -1}, {"cert_names": "elsewhere.example"}):
        with Sim(**options) as sim:
            with Wire(sim.smtp) as wire:
                wire.ehlo()
                wire.cmd("STARTTLS", 220)
                with pytest.raises(ssl.SSLCertVerificationError):
                    wire.handshake(sim.context)
