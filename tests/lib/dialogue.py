r"""Dialogue files: what the client says and what it must hear.

    # comment
    #! login            before the first line: EHLO and AUTH as the user `wire`
    #! login NAME       ... as another user
    #! listener NAME    plain (default), starttls or implicit
    #! whole            only at full speed: what it shows depends on timing

    C: text             a line of the client; CRLF is added
    C> text             octets of the client, without CRLF
    S: 250              a reply with that code; several: 500|502
    S: 250 pattern      ... in whose lines this regular expression is found
    S: gone             the connection ends, whatever is said before
    S: nothing          silence
    TLS                 a handshake
    P: content          the provider has accepted one message with this content

Client lines that follow each other go out in one piece. Escapes: \r \n \0 \t
\\ \xNN. Replacements: {id} a word of its own for each run, {plain:user:password}
and {b64:text} in base64, {repeat:N:text}. A file without P: lines must not
deliver anything.

Addresses in a dialogue contain {id}, so that runs side by side are told apart
at the provider.
"""
import base64
import itertools
import re
import time

from lib.wire import Wire

ESCAPES = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
PLAIN = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"t": b"\t", b"\\": b"\\"}
_ids = itertools.count(1)


def _escape(match):
    code = match.group(1)
    return bytes([int(code[1:], 16)]) if len(code) == 3 else PLAIN[code]


def _replace(text, ident):
    def one(match):
        kind, _, rest = match.group(1).partition(":")
        if kind == "id":
            return ident
        if kind == "plain":
            user, _, password = rest.partition(":")
            return base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode()
        if kind == "b64":
            return base64.b64encode(rest.encode()).decode()
        count, _, what = rest.partition(":")
        return what * int(count)

    return re.sub(r"\{(id|plain:[^}]*|b64:[^}]*|repeat:[^}]*)\}", one, text)


class Dialogue:
    def __init__(self, path):
        self.path = path
        self.title = ""
        self.login = None
        self.listener = "plain"
        self.whole = False
        self.steps = []  # (kind, text)
        for number, line in enumerate(path.read_text().split("\n"), 1):
            self._parse(line, number)

    def _parse(self, line, number):
        if line.startswith("#!"):
            word, _, value = line[2:].strip().partition(" ")
            if word == "login":
                self.login = value or "wire"
            elif word == "listener":
                self.listener = value
            elif word == "whole":
                self.whole = True
            else:
                raise ValueError("%s:%d: %s" % (self.path, number, line))
        elif line.startswith("#"):
            self.title = self.title or line[1:].strip()
        elif line == "TLS":
            self.steps.append(("TLS", ""))
        elif line[:3] in ("C: ", "C> ", "S: ", "P: ", "C:", "P:"):
            self.steps.append((line[:2], line[3:]))
        elif line:
            raise ValueError("%s:%d: %s" % (self.path, number, line))

    def octets(self, text, ident):
        return ESCAPES.sub(_escape, _replace(text, ident).encode())

    def client_groups(self, ident):
        """The client's octets, in pieces between which it waits."""
        groups, group = [], b""
        for kind, text in self.steps:
            if kind in ("C:", "C>"):
                group += self.octets(text, ident) + (b"\r\n" if kind == "C:" else b"")
            elif group:
                groups.append(group)
                group = b""
        return groups + ([group] if group else [])

    def split_points(self):
        """Every (group, offset) at which a piece can be cut in two."""
        return [(index, offset) for index, group in enumerate(self.client_groups("000000"))
                for offset in range(1, len(group))]


class Run:
    """One run of a dialogue. `cut`: None at full speed, 'octets' for one octet a
    segment, (group, offset) for one cut."""

    def __init__(self, dialogue, ports, users, tls, cut=None, pause=0.003):
        self.dialogue, self.cut, self.pause = dialogue, cut, pause
        self.tls = tls
        self.ident = "%06d" % next(_ids)
        implicit = tls if dialogue.listener == "implicit" else None
        self.wire = Wire(ports[dialogue.listener], greeting=False, tls=implicit)
        self.user = users.get(dialogue.login)
        self.group = 0

    def send(self, octets):
        if self.cut == "octets":
            self.wire.send_split(octets)
        elif self.cut and self.cut[0] == self.group:
            self.wire.send(octets[:self.cut[1]])
            time.sleep(self.pause)
            self.wire.send(octets[self.cut[1]:])
        else:
            self.wire.send(octets)
        self.group += 1

    def play(self):
        """Returns the contents that the provider must have accepted."""
        wanted, pending = [], b""
        try:
            if self.dialogue.login:
                self.wire.expect(220)
                self.wire.login(*self.user)
            for kind, text in self.dialogue.steps:
                if kind in ("C:", "C>"):
                    pending += self.dialogue.octets(text, self.ident)
                    pending += b"\r\n" if kind == "C:" else b""
                    continue
                if pending:
                    self.send(pending)
                    pending = b""
                if kind == "S:":
                    self.hear(text)
                elif kind == "P:":
                    wanted.append(self.dialogue.octets(text, self.ident))
                else:
                    self.wire.handshake(self.tls)
            if pending:
                self.send(pending)
        except AssertionError as error:
            raise AssertionError("%s, cut %s, message %s: %s" % (
                self.dialogue.path.name, self.cut, self.ident, error)) from error
        finally:
            self.wire.close()
        return wanted

    def hear(self, text):
        if text == "gone":
            self.wire.goes_away()
        elif text == "nothing":
            self.wire.nothing(0.1)
        else:
            codes, _, pattern = text.partition(" ")
            self.wire.expect(tuple(map(int, codes.split("|"))), pattern or None)
