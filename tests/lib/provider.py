"""A submission server that does what the test's script says, at each phase.

The phases, in the order of a session:

    connect    the TCP connection is there (implicit TLS: before the handshake)
    greeting, ehlo, starttls, auth, mail, rcpt
    data       the reply to DATA; with BDAT: the command line has come
    body       half of the content has come
    final      all of the content has come

and what can happen at each:

    fin        the connection is closed
    rst        ... with a reset
    stall      nothing, until the other side gives up
    4xx, 5xx   that reply, and the session goes on
    421        that reply, then the end
    garbage    octets that are no SMTP
    partial    half of a reply line, then the end
    early      the phase's good reply, before its command has come

It keeps what it received and what it said yes to, so that a test can compare
the provider's truth with the client's.
"""
import base64
import re
import socket
import ssl
import struct
import threading
import time

PHASES = ["connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "final"]
BEHAVIOURS = ["fin", "rst", "stall", "4xx", "5xx", "421", "garbage", "partial", "early"]

REFUSALS = {
    "4xx": {"auth": "454 4.7.0 scripted", None: "451 4.3.0 scripted"},
    "5xx": {"auth": "535 5.7.8 scripted", "rcpt": "550 5.1.1 scripted", None: "554 5.6.0 scripted"},
    "421": {None: "421 4.3.2 scripted"},
}
GARBAGE = b"\x00\xff<html>\x1b[31mHTTP/1.1 418\r\n\r\n"

GMAIL = ["SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"]
DATA_ONLY = ["SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8"]
STEPWISE = ["SIZE 35882577", "8BITMIME", "ENHANCEDSTATUSCODES"]


class Message:
    def __init__(self, sender, rcpts, content, user, connection, verb):
        self.sender, self.rcpts, self.content = sender, list(rcpts), content
        self.user, self.connection, self.verb = user, connection, verb

    def __repr__(self):
        return "<message of %d octets from <%s> to %s on %d>" % (
            len(self.content), self.sender, self.rcpts, self.connection)


class Fault:
    """`behaviour` at `phase`, for the first `times` connections that come that
    far; None: for all of them."""

    def __init__(self, phase, behaviour, times=None):
        assert phase in PHASES and behaviour in BEHAVIOURS, (phase, behaviour)
        self.phase, self.behaviour, self.left = phase, behaviour, times


class ScriptedProvider:
    """`check(user, token)` says whether a login is good. `replies` overrides good
    replies by phase: text, or a function of the Session. `delays` holds seconds
    by phase. `failure` is how a login fails: 'challenge' (334) or 'direct'."""

    def __init__(self, certs, tls="starttls", capabilities=GMAIL, mechanisms="XOAUTH2 OAUTHBEARER",
                 faults=(), check=None, replies=None, delays=None, failure="challenge",
                 cert=None, key=None, offer_starttls=True):
        self.tls, self.capabilities, self.mechanisms = tls, list(capabilities), mechanisms
        self.faults, self.check = list(faults), check or (lambda user, token: True)
        self.replies, self.delays, self.failure = dict(replies or {}), dict(delays or {}), failure
        self.offer_starttls = offer_starttls
        self.context = certs.server_context(cert, key)
        self.accepted = []  # Message: the client has our 250
        self.received = []  # Message: whole, whatever we answered
        self.sessions = []
        self.logins = []  # (user, token, mechanism, inline, good)
        self.commands = []  # (connection, line)
        self.errors = []  # what the client did wrong
        self.lock = threading.RLock()
        self.stopping = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                session = Session(self, sock, len(self.sessions) + 1)
                self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def fault_at(self, phase):
        with self.lock:
            for fault in self.faults:
                if fault.phase == phase and fault.left != 0:
                    if fault.left is not None:
                        fault.left -= 1
                    return fault.behaviour
        return None

    def expects_early(self, phase):
        with self.lock:
            return any(f.phase == phase and f.behaviour == "early" and f.left != 0
                       for f in self.faults)

    @property
    def open(self):
        """Connections that are open now."""
        return [session for session in self.sessions if not session.ended]

    @property
    def contents(self):
        return [message.content for message in self.accepted]

    def stop(self):
        self.stopping = True
        self.refuse()
        for session in self.sessions:
            session.abort()

    def refuse(self):
        """No more connections; those that are open stay."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Gone(Exception):
    pass


class Session:
    def __init__(self, provider, sock, number):
        self.provider, self.sock, self.number = provider, sock, number
        self.buffer = b""
        self.secure = False
        self.ended = False
        self.said_early = set()
        self.user = self.token = None
        self.plaintext_behind_starttls = b""
        self.forget()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def forget(self):
        self.sender, self.rcpts, self.chunks, self.refused = None, [], [], False

    # --- octets -----------------------------------------------------------

    def fill(self):
        try:
            more = self.sock.recv(262144)
        except (OSError, ValueError):
            raise Gone from None
        if not more:
            raise Gone
        self.buffer += more

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        line += b"\n"
        self.provider.commands.append((self.number, line))
        assert line.endswith(b"\r\n") and line.count(b"\r") == 1, "bare CR or LF: %r" % line
        return line[:-2].decode("utf-8", "backslashreplace")

    def take(self, count):
        parts, have = [self.buffer], len(self.buffer)
        self.buffer = b""
        while have < count:
            self.fill()
            parts.append(self.buffer)
            have += len(self.buffer)
            self.buffer = b""
        whole = b"".join(parts)
        self.buffer = whole[count:]
        return whole[:count]

    def send(self, octets):
        try:
            self.sock.sendall(octets)
        except (OSError, ValueError):
            raise Gone from None

    def finish(self):
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.settimeout(1)
                self.sock.unwrap()
        except (OSError, ValueError):
            pass
        raise Gone

    def abort(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.sock.close()
        raise Gone

    def stall(self):
        while True:  # until the other side closes, or the test ends
            self.fill()
            self.buffer = b""

    # --- replies ----------------------------------------------------------

    def good(self, phase):
        reply = self.provider.replies.get(phase)
        if callable(reply):
            reply = reply(self)
        if reply is None:
            reply = {
                "greeting": "220 scripted ESMTP",
                "ehlo": self.ehlo_text(),
                "starttls": "220 2.0.0 go ahead",
                "auth": "235 2.7.0 Accepted",
                "mail": "250 2.1.0 OK",
                "rcpt": "250 2.1.5 OK",
                "data": "354 Go ahead",
                "final": "250 2.0.0 OK scripted",
            }.get(phase)
        return reply

    def ehlo_text(self):
        lines = ["scripted at your service"] + self.provider.capabilities
        if not self.secure and self.provider.offer_starttls:
            lines.append("STARTTLS")
        if self.secure:
            lines.append("AUTH " + self.provider.mechanisms)
        return "\r\n".join("250%s%s" % ("-" if i < len(lines) - 1 else " ", line)
                           for i, line in enumerate(lines))

    def say(self, text, follow=None):
        """A reply; with it, early, that of the phase that follows."""
        octets = text.encode() + b"\r\n"
        if follow and follow not in self.said_early and self.provider.expects_early(follow):
            self.provider.fault_at(follow)
            self.said_early.add(follow)
            octets += (self.good(follow) or "250 2.0.0 early").encode() + b"\r\n"
        self.send(octets)

    def reach(self, phase, follow=None, before=lambda: None):
        """The phase's reply is due: says it, or does what the script wants. True:
        the good reply is out; `before` is called just before it leaves."""
        if phase in self.said_early:
            self.said_early.discard(phase)
            before()
            return True
        delay = self.provider.delays.get(phase)
        if delay:
            time.sleep(delay)
        behaviour = self.provider.fault_at(phase)
        if behaviour and behaviour != "early":
            return self.misbehave(phase, behaviour)
        reply = self.good(phase)
        good = reply is None or not reply.startswith(("4", "5"))
        if good:
            before()
        if reply is not None:
            self.say(reply, follow)
        return good

    def misbehave(self, phase, behaviour):
        if behaviour == "fin":
            self.finish()
        if behaviour == "rst":
            self.reset()
        if behaviour == "stall":
            self.stall()
        if behaviour == "garbage":
            self.send(GARBAGE)
            self.stall()
        if behaviour == "partial":
            self.send((self.good(phase) or "250 2.0.0 OK").encode()[:7])
            time.sleep(0.05)
            self.finish()
        texts = REFUSALS[behaviour]
        self.send(texts.get(phase, texts[None]).encode() + b"\r\n")
        if behaviour == "421":
            self.finish()
        return False

    # --- the session ------------------------------------------------------

    def run(self):
        try:
            self.session()
        except Gone:
            pass
        except AssertionError as error:
            self.provider.errors.append("connection %d: %s" % (self.number, error))
        finally:
            self.ended = True
            try:
                self.sock.close()
            except OSError:
                pass

    def secure_now(self):
        try:
            self.sock.settimeout(30)
            self.sock = self.provider.context.wrap_socket(self.sock, server_side=True)
            self.sock.settimeout(None)
        except (OSError, ValueError):
            raise Gone from None
        self.secure = True

    def session(self):
        implicit = self.provider.tls == "implicit"
        if implicit and self.provider.expects_early("connect"):
            self.provider.fault_at("connect")
            self.send(b"220 plaintext greeting\r\n")
        elif not self.reach("connect"):
            self.stall()
        if implicit:
            self.secure_now()
        if not self.reach("greeting", "ehlo"):
            self.stall()
        while True:
            line = self.line()
            verb = line.split(" ", 1)[0].upper()
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                self.say("502 5.5.1 unknown")
            else:
                handler(line)

    def do_ehlo(self, line):
        self.forget()
        self.helo = line[5:]
        self.reach("ehlo", "auth" if self.secure else "starttls")

    def do_starttls(self, _):
        if not self.reach("starttls"):
            return
        # A client that sends more before our 220 is at fault; remember it. A TLS
        # record can be here already when the reply went out early.
        if not self.buffer.startswith(b"\x16"):
            self.plaintext_behind_starttls += self.buffer
        self.buffer = b""
        self.secure_now()

    def do_auth(self, line):
        words = line.split(" ")
        mechanism, inline = words[1].upper(), len(words) > 2
        assert self.secure, "AUTH in plaintext"
        answer = words[2] if inline else self.challenge("334 ")
        if answer == "*":
            self.say("501 5.7.0 cancelled")
            return
        user, token = self.parse_sasl(mechanism, base64.b64decode(answer))
        good = self.provider.check(user, token)
        with self.provider.lock:
            self.provider.logins.append((user, token, mechanism, inline, good))
        if not good:
            self.refuse_login(mechanism)
            return
        if self.reach("auth", "mail"):
            self.user, self.token = user, token

    def challenge(self, text):
        self.say(text)
        return self.line()

    def refuse_login(self, mechanism):
        if self.provider.failure == "challenge":
            answer = self.challenge("334 " + base64.b64encode(
                b'{"status":"401","schemes":"Bearer","scope":"mail"}').decode())
            wanted = "AQ==" if mechanism == "OAUTHBEARER" else ""
            assert answer == wanted, "answer to the failure's challenge: %r" % answer
            self.say("535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 scripted")
        else:
            self.say("535 5.7.3 Authentication unsuccessful")

    def parse_sasl(self, mechanism, blob):
        text = blob.decode()
        if mechanism == "XOAUTH2":
            match = re.fullmatch("user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01", text)
        else:
            match = re.fullmatch("n,a=([^\x01,]*),\x01host=[^\x01]*\x01port=[0-9]+\x01"
                                 "auth=Bearer ([^\x01]*)\x01\x01", text)
        assert match, "bad %s message: %r" % (mechanism, text)
        return match.groups()

    def do_mail(self, line):
        if self.user is None:
            self.say("530 5.7.0 Authentication Required")
            return
        self.forget()
        match = re.match(r"MAIL FROM:<([^>]*)>", line, re.I)
        assert match, line
        if self.reach("mail", "rcpt"):
            self.sender = match.group(1)
            self.mail_line = line
        else:
            self.refused = True

    def do_rcpt(self, line):
        if self.sender is None:
            self.say("503 5.5.1 MAIL first")
            return
        match = re.match(r"RCPT TO:<([^>]*)>", line, re.I)
        assert match, line
        self.rcpt = match.group(1)
        # One refused recipient is no refusal of the message to the others.
        if self.reach("rcpt", "final" if self.provider.expects_early("final") else "data"):
            self.rcpts.append(self.rcpt)

    def do_data(self, _):
        if not self.rcpts:
            self.say("554 5.5.1 no valid recipients")
            self.forget()
            return
        if not self.reach("data", "body"):
            self.forget()
            return
        self.read_half(None)
        whole = self.until_the_dot()
        self.message(re.sub(rb"(^|\r\n)\.", rb"\1", whole), "DATA")

    def until_the_dot(self):
        """What stands before CRLF.CRLF, in time that grows with its length."""
        held, seen = bytearray(b"\r\n" + self.buffer), 0
        while True:
            end = held.find(b"\r\n.\r\n", max(0, seen - 4))
            if end >= 0:
                self.buffer = bytes(held[end + 5:])
                return bytes(held[2:end + 2])
            seen = len(held)
            self.buffer = b""
            self.fill()
            held += self.buffer

    def read_half(self, size):
        """Waits for half of the content where a fault stands at 'body'."""
        with self.provider.lock:
            faulty = any(f.phase == "body" and f.left != 0 for f in self.provider.faults)
        if not faulty and "body" not in self.said_early:
            return
        while len(self.buffer) < (size or 2) // 2:
            self.fill()
        if self.reach("body") is False:
            self.refused = True

    def do_bdat(self, line):
        words = line.split(" ")
        size = int(words[1])
        if not self.rcpts:
            self.take(size)
            self.say("503 5.5.1 no valid recipients")
            return
        with self.provider.lock:
            faulty = any(f.phase == "data" and f.left != 0 for f in self.provider.faults)
        if faulty or "data" in self.said_early:
            self.bdat_fault()
        self.read_half(size)
        self.chunks.append(self.take(size))
        if len(words) < 3:
            self.say("250 2.0.0 chunk")
            return
        self.message(b"".join(self.chunks), "BDAT")

    def bdat_fault(self):
        if "data" in self.said_early:
            self.said_early.discard("data")
            return
        behaviour = self.provider.fault_at("data")
        if behaviour == "early":
            self.send(b"250 2.0.0 early\r\n")
        elif behaviour:
            self.misbehave("data", behaviour)
            self.refused = True

    def message(self, content, verb):
        message = Message(self.sender, self.rcpts, content, self.user, self.number, verb)
        self.verb = verb
        refused = self.refused
        self.forget()
        if refused:  # the refusal is out already, in the middle of the content
            return
        self.provider.received.append(message)
        try:
            self.reach("final", before=lambda: self.provider.accepted.append(message))
        except Gone:  # our reply did not go out
            if message in self.provider.accepted:
                self.provider.accepted.remove(message)
            raise

    def do_rset(self, _):
        self.forget()
        self.say("250 2.1.5 Flushed")

    def do_noop(self, _):
        self.say("250 2.0.0 OK")

    def do_quit(self, _):
        self.say("221 2.0.0 closing connection")
        self.finish()
