"""What the simulator's SMTP side says and takes, without any knob."""
import hashlib
import re
import smtplib

import pytest

from lib.sim import Sim
from lib.wire import Wire
from simclient import CONTENT, USER, flight, login, secure

PLAIN = {
    "gmail": ["SIZE 35882577", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "PIPELINING",
              "CHUNKING", "SMTPUTF8"],
    "m365": ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "8BITMIME",
             "BINARYMIME", "CHUNKING", "SMTPUTF8"],
}
AUTH = {
    "gmail": "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
    "m365": "AUTH LOGIN XOAUTH2",
}


@pytest.mark.parametrize("profile", ["gmail", "m365"])
def test_capabilities(get_sim, profile):
    sim = get_sim(profile)
    with Wire(sim.smtp) as wire:
        assert wire.ehlo() == PLAIN[profile]
        wire.starttls(sim.context)
        wire.cmd("MAIL FROM:<a@b.example>", 503)  # TLS forgets the EHLO before it
        after = [AUTH[profile] if line == "STARTTLS" else line for line in PLAIN[profile]]
        assert wire.ehlo() == after
        wire.quit()


def test_greetings(gmail, m365):
    with Wire(gmail.smtp) as wire:
        assert re.fullmatch(r"smtp\.gmail\.com ESMTP \S+ - gsmtp", wire.greeting.text)
        assert wire.cmd("EHLO x.example", 250).lines[0] == \
            "250-smtp.gmail.com at your service, [127.0.0.1]"
    with Wire(m365.smtps, tls=m365.context) as wire:
        assert re.fullmatch(r"\w+\.outlook\.office365\.com Microsoft ESMTP MAIL Service ready at "
                            r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000 \[08DE[0-9A-F]{12}\]",
                            wire.greeting.text)
        assert "AUTH LOGIN XOAUTH2" in wire.ehlo()


def test_dialogue_of_gmail(gmail):
    with login(gmail) as wire:
        mail = wire.cmd("MAIL FROM:<%s> SIZE=100 BODY=8BITMIME" % USER, 250)
        assert re.fullmatch(r"250 2\.1\.0 OK \S+ - gsmtp", mail.lines[0])
        assert re.fullmatch(r"250 2\.1\.5 OK \S+ - gsmtp", wire.cmd("RCPT TO:<b@b.example>").lines[0])
        assert re.fullmatch(r"354 Go ahead \S+ - gsmtp", wire.cmd("DATA").lines[0])
        wire.send(b"x\r\n.\r\n")
        assert re.fullmatch(r"250 2\.0\.0 OK  \d+ \S+ - gsmtp", wire.reply().lines[0])
        assert re.fullmatch(r"250 2\.1\.5 Flushed \S+ - gsmtp", wire.cmd("RSET").lines[0])
        wire.cmd("NOOP", 250)
        wire.cmd("VRFY x", 252)
        unknown = wire.cmd("FROB", 502)
        assert len(unknown.lines) == 2 and unknown.lines[0].startswith("502-5.5.1 ")
        assert re.fullmatch(r"221 2\.0\.0 closing connection \S+ - gsmtp", wire.cmd("QUIT").lines[0])
        wire.closed()


def test_dialogue_of_m365(m365):
    with login(m365) as wire:
        assert wire.cmd("MAIL FROM:<%s> RET=HDRS ENVID=x" % USER).lines == ["250 2.1.0 Sender OK"]
        assert wire.cmd("RCPT TO:<b@b.example> NOTIFY=NEVER").lines == ["250 2.1.5 Recipient OK"]
        assert wire.cmd("DATA").lines == ["354 Start mail input; end with <CRLF>.<CRLF>"]
        wire.send(b"Message-Id: <m@x.example>\r\n\r\nx\r\n.\r\n")
        assert re.fullmatch(r"250 2\.0\.0 OK <m@x\.example> \[Hostname=\w+\.AUSP282\.PROD\.OUTLOOK"
                            r"\.COM\]", wire.reply().lines[0])
        assert re.fullmatch(r"500 5\.3\.3 Unrecognized command 'frob' \[\S+ \S+Z 08DE\w+\]",
                            wire.cmd("frob 1").lines[0])
        assert wire.cmd("QUIT").lines == ["221 2.0.0 Service closing transmission channel"]


@pytest.mark.parametrize("by", ["DATA", "BDAT", "BDAT in chunks", "one flight"])
def test_a_message_is_recorded(gmail, by):
    with login(gmail) as wire:
        if by == "one flight":
            wire.send(flight(CONTENT, rcpts=["b@b.example", "c@c.example"]))
            for code in (250, 250, 250, 250):
                wire.expect(code)
        else:
            wire.mail(USER, ["b@b.example", "c@c.example"])
            final = wire.data(CONTENT) if by == "DATA" else wire.bdat(
                CONTENT, 7 if "chunks" in by else None)
            assert final.code == 250
    message, = gmail.messages()
    assert message.sender == USER and message.user == USER
    assert message.rcpts == ["b@b.example", "c@c.example"]
    assert message.content == CONTENT and message.size == len(CONTENT)
    assert message.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert message.verb == ("DATA" if by == "DATA" else "BDAT")
    assert message.told and message.reply == 250 and not message.bare
    assert gmail.user(USER)["accepted"] == 1
    assert gmail.state()["errors"] == []


@pytest.mark.parametrize("content", [b"", b"x", b".", b"..\r\n.\r\n.", b"a\r\n.\r\nb", b"\r\n",
                                     b"\xff\x80\r\n", b"x" * 100000, b".\r\n" * 30000])
def test_content_is_exact(gmail, content):
    with login(gmail) as wire:
        wire.mail(USER, "b@b.example")
        assert wire.bdat(content).code == 250
        wire.mail(USER, "b@b.example")
        assert wire.bdat(content, 9).code == 250 if len(content) < 100 else wire.bdat(content)
        wire.mail(USER, "b@b.example")
        assert wire.data(content).code == 250
    first, second, third = gmail.messages()
    assert first.content == second.content == content
    assert third.content == content + (b"" if content.endswith(b"\r\n") or not content else b"\r\n")


def test_every_split_of_a_session_is_the_same(gmail):
    token = gmail.token(USER)
    with login(gmail, token=token) as wire:
        wire.send_split(flight(CONTENT) + b"RSET\r\n")
        assert [wire.reply().code for _ in range(4)] == [250] * 4
        wire.send_split(b"MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n")
        assert [wire.reply().code for _ in range(3)] == [250, 250, 354]
        wire.send_split(b"..a\r\n.\r\n")
        assert wire.reply().code == 250
    assert [one.content for one in gmail.messages()] == [CONTENT, b".a\r\n"]
    assert gmail.messages()[1].sender == ""


def test_bare_newlines_are_noted(gmail):
    with login(gmail) as wire:
        for content in (b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r\nb\r\n", b"a\r"):
            wire.mail(USER, "b@b.example")
            assert wire.bdat(content).code == 250
    assert [one.bare for one in gmail.messages()] == [True, True, True, False, True]


def test_only_crlf_dot_crlf_ends_data(gmail):
    with login(gmail) as wire:
        wire.mail(USER, "b@b.example")
        wire.cmd("DATA", 354)
        wire.send(b"a\n.\nb\n.\r\nc\r\n.\nd\r.\re\r\n.\r\n")
        wire.expect(250)
        wire.nothing()
    message, = gmail.messages()
    assert message.content == b"a\n.\nb\n.\r\nc\r\n\nd\r.\re\r\n" and message.bare


def test_order_of_commands(gmail):
    with Wire(gmail.smtp) as wire:
        wire.cmd("MAIL FROM:<a@b.example>", 503, "EHLO/HELO first")
        wire.ehlo()
        wire.cmd("MAIL FROM:<a@b.example>", 530, r"530-5\.7\.0 Must issue a STARTTLS")
        wire.cmd("AUTH XOAUTH2", 530)
        wire.starttls(gmail.context)
        wire.ehlo()
        wire.cmd("STARTTLS", 503)
        wire.cmd("MAIL FROM:<a@b.example>", 530, "WantAuthError")
    with login(gmail) as wire:
        wire.cmd("AUTH XOAUTH2", 503, "No identity changes")
        wire.cmd("RCPT TO:<a@b.example>", 503, "MAIL first")
        wire.cmd("DATA", 503, "MAIL first")
        wire.cmd("MAIL FROM:<a@b.example>", 250)
        wire.cmd("MAIL FROM:<a@b.example>", 503)
        wire.cmd("DATA", 503, "RCPT first")
        wire.send(b"BDAT 6 LAST\r\nRSET\r\n")
        wire.expect(503, "RCPT first")
        wire.nothing()
        wire.cmd("RSET", 250)
        wire.mail(USER, "b@b.example")
        wire.send(b"BDAT 1\r\nx")
        wire.expect(250)
        wire.cmd("DATA", 503)
        wire.cmd("RSET", 250)
    assert gmail.messages() == []


def test_a_refused_flight_stays_in_step(gmail):
    with login(gmail) as wire:
        wire.send(flight(CONTENT, rcpts=["unknown1@b.example"]) + flight(CONTENT))
        # The first transaction is still open, and only RSET helps after its BDAT failed.
        assert [wire.reply().code for _ in range(6)] == [250, 550, 503, 503, 250, 503]
        wire.cmd("RSET", 250)
        wire.send(flight(CONTENT, rcpts=["good@b.example", "defer@b.example"]))
        assert [wire.reply().code for _ in range(4)] == [250, 250, 450, 250]
    assert [one.rcpts for one in gmail.messages()] == [["good@b.example"]]


@pytest.mark.parametrize("line, code", [
    ("MAIL FROM:a b", 553), ("MAIL TO:<a@b.example>", 555), ("MAIL FROM:<a@b.example> FOO=1", 555),
    ("MAIL FROM:<a@b.example> RET=FULL", 555), ("MAIL FROM:<a@b.example> SIZE=35882578", 552),
    ("MAIL FROM:<a@b.example> BODY=BINARYMIME", 555), ("MAIL FROM:<a@@b>", 553),
    ("BDAT x", 555), ("EHLO x y", 501)])
def test_bad_commands_of_gmail(gmail, line, code):
    with login(gmail) as wire:
        wire.cmd(line, code)


def test_unicode_addresses_need_smtputf8(gmail):
    with login(gmail) as wire:
        wire.cmd("MAIL FROM:<jörg@b.example>", 553)
        wire.cmd("MAIL FROM:<jörg@b.example> SMTPUTF8", 250)
        wire.cmd("RCPT TO:<ü@b.example>", 250)
        assert wire.data(b"x\r\n").code == 250
    message, = gmail.messages()
    assert message.sender == "jörg@b.example" and message.rcpts == ["ü@b.example"]
    assert message.record["utf8"]


def test_too_many_recipients(gmail):
    with login(gmail) as wire:
        wire.cmd("MAIL FROM:<%s>" % USER, 250)
        for i in range(100):
            wire.cmd("RCPT TO:<r%d@b.example>" % i, 250)
        wire.cmd("RCPT TO:<r100@b.example>", 452, "too many recipients")
        assert wire.data(b"x\r\n").code == 250
    assert len(gmail.messages()[0].rcpts) == 100


def test_what_the_client_did_wrong_is_told(gmail):
    with Wire(gmail.smtp) as wire:
        wire.send(b"EHLO x.example\r\nNOOP\r\n")
        wire.expect(250)
        wire.expect(250)
        wire.send(b"NOOP\n")
        wire.expect(555)
        wire.send(b"STARTTLS\r\nEHLO y.example\r\n")
        wire.expect(525)
        wire.closed()
    errors = gmail.state()["errors"]
    assert len(errors) == 3 and gmail.state()["totals"]["protocol_errors"] == 3
    assert "behind EHLO" in errors[0] and "bare" in errors[1] and "behind STARTTLS" in errors[2]


def test_listeners_of_both_profiles(tmp_path):
    with Sim("m365", accounts=["1", "1:gmail"], listen=["smtp:0:gmail", "smtps:0:gmail"],
             directory=tmp_path) as sim:
        with Wire(sim.smtp) as wire:
            assert "BINARYMIME" in wire.ehlo()
        with Wire(sim.port_of("smtp", "gmail")) as wire:
            assert "gsmtp" in wire.greeting.text
        with Wire(sim.port_of("smtps", "gmail"), tls=sim.context) as wire:
            assert "gsmtp" in wire.greeting.text
        one, two = sim.accounts()
        assert one["provider"] == "outlook" and one["oauth_endpoint"].endswith(":%d" % sim.smtp)
        assert two["provider"] == "gmail" and two["client_secret"]
        assert two["oauth_endpoint"] == "localhost:%d" % sim.port_of("smtp", "gmail")
    assert (tmp_path / "accounts.json").exists() and (tmp_path / "ports.json").exists()


def test_smtplib_gets_along(gmail):
    client = smtplib.SMTP("localhost", gmail.smtp, timeout=20)
    client.starttls(context=gmail.context)
    client.ehlo("client.example")
    token = gmail.token(USER)
    client.auth("XOAUTH2", lambda challenge=None: "user=%s\1auth=Bearer %s\1\1" % (USER, token))
    assert client.sendmail(USER, ["a@b.example", "c@d.example"], CONTENT) == {}
    client.quit()
    assert gmail.messages()[0].content == CONTENT


def test_mail_files(tmp_path):
    with Sim(mail_dir=tmp_path / "mail", no_digest=True) as sim:
        with login(sim) as wire:
            wire.message(USER, "b@b.example", CONTENT)
            wire.message(USER, "b@b.example", b"", bdat=True)
        first, second = sim.messages()
        assert first.sha256 is None and first.content is None
        assert (tmp_path / "mail" / "1.eml").read_bytes() == CONTENT
        assert (tmp_path / "mail" / "2.eml").read_bytes() == b""
        assert sorted(one.name for one in (tmp_path / "mail").iterdir()) == ["1.eml", "2.eml"]


def test_only_the_last_messages_are_remembered():
    with Sim(keep_messages=70) as sim:
        with login(sim) as wire:
            for _ in range(10):
                wire.send(flight(b"x") * 10)
                assert {wire.reply().code for _ in range(30)} == {250}
        assert [one.seq for one in sim.messages()] == list(range(31, 101))
        assert [one.seq for one in sim.messages(since=98)] == [99, 100]
        sim.forget_messages()
        assert sim.messages() == [] and sim.state()["last_seq"] == 100
