"""A client that speaks raw SMTP: what it sends is what the test says."""
import base64
import re
import socket
import ssl
import struct
import time

from lib.util import PATIENCE


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[0][:3])

    @property
    def text(self):
        return "\n".join(line[4:] for line in self.lines)

    @property
    def enhanced(self):
        """'5.7.8', or None."""
        match = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", self.lines[0][4:])
        return match.group() if match else None

    def __repr__(self):
        return "<%s>" % " / ".join(self.lines)


class Closed(AssertionError):
    """The other side closed the connection where a reply was due."""


class Wire:
    """`where` is a port on loopback, (host, port), or the path of a unix socket."""

    def __init__(self, where, tls=None, timeout=15, greeting=True, source=None):
        self.timeout = timeout * PATIENCE
        if isinstance(where, int):
            where = ("127.0.0.1", where)
        if isinstance(where, tuple):
            self.sock = socket.create_connection(where, self.timeout, source_address=source)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(where))
        self.buffer = b""
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.greeting = self.expect(220) if greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- octets -----------------------------------------------------------

    def send(self, octets):
        self.sock.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def send_split(self, octets, pause=0.0):
        """One octet a segment."""
        for i in range(len(octets)):
            self.sock.sendall(octets[i:i + 1])
            if pause:
                time.sleep(pause)

    def _fill(self):
        try:
            more = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                raise
            more = b""
        except socket.timeout:
            raise AssertionError("no reply within %g s; have %r" % (self.timeout, self.buffer)) from None
        if not more:
            raise Closed("connection closed; unread: %r" % self.buffer)
        self.buffer += more

    def line(self):
        """One line without its CRLF; a bare LF in it is a fault."""
        while b"\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), "line does not end in CRLF: %r" % line
        assert b"\r" not in line[:-1], "bare CR in a reply: %r" % line
        return line[:-1].decode("utf-8", "backslashreplace")

    # --- replies ----------------------------------------------------------

    def reply(self):
        lines = []
        while True:
            line = self.line()
            assert re.match(r"[2-5]\d\d([- ]|$)", line), "not a reply line: %r" % line
            assert not lines or line[:3] == lines[0][:3], "code changes within a reply: %r" % line
            assert len(line) <= 510, "reply line of %d octets" % len(line)
            lines.append(line)
            if line[3:4] != "-":
                return Reply(lines)

    def expect(self, code, text=None):
        """`code`: 250, or '2' for any 2xx, or a tuple of codes. `text`: a pattern."""
        reply = self.reply()
        if isinstance(code, tuple):
            right = reply.code in code
        else:
            right = str(reply.code).startswith(str(code))
        assert right, "expected %s, got %r" % (code, reply)
        assert text is None or re.search(text, "\n".join(reply.lines)), \
            "expected /%s/ in %r" % (text, reply)
        return reply

    def cmd(self, line, code=None, text=None):
        self.send(line.encode() + b"\r\n")
        return self.reply() if code is None else self.expect(code, text)

    def nothing(self, seconds=0.2):
        """Nothing comes for a while, and the connection stays open."""
        self.sock.settimeout(seconds)
        try:
            more = self.sock.recv(1) if not self.buffer else self.buffer
            raise AssertionError("expected silence, got %r" % more)
        except (socket.timeout, ssl.SSLWantReadError):
            pass
        finally:
            self.sock.settimeout(self.timeout)

    def closed(self):
        """The other side closes, and says nothing more before."""
        try:
            self._fill()
        except Closed:
            return
        raise AssertionError("expected the end, got %r" % self.buffer)

    def goes_away(self):
        """Whatever else it still says, the other side closes."""
        try:
            while True:
                self._fill()
        except Closed:
            return self.buffer

    # --- sessions ---------------------------------------------------------

    def ehlo(self, name="client.example"):
        self.capabilities = [line[4:] for line in self.cmd("EHLO " + name, 250).lines[1:]]
        return self.capabilities

    def starttls(self, context):
        self.cmd("STARTTLS", 220)
        self.handshake(context)

    def handshake(self, context):
        assert not self.buffer, "plaintext behind STARTTLS: %r" % self.buffer
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")

    def auth(self, user, password="", code=235):
        secret = base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode()
        return self.cmd("AUTH PLAIN " + secret, code)

    def login(self, user, password=""):
        self.ehlo()
        self.auth(user, password)
        return self

    def mail(self, sender, rcpts, params=""):
        """MAIL and RCPTs; all must be accepted."""
        self.cmd("MAIL FROM:<%s>%s" % (sender, params and " " + params), 250)
        for rcpt in [rcpts] if isinstance(rcpts, str) else rcpts:
            self.cmd("RCPT TO:<%s>" % rcpt, 250)

    def data(self, content, stuff=True):
        """The content through DATA; returns the final reply."""
        self.cmd("DATA", 354)
        if stuff:
            content = dot_stuff(content)
        self.send(content + b".\r\n")
        return self.reply()

    def bdat(self, content, chunk=None):
        """The content through BDAT in chunks of `chunk` octets; the last reply."""
        if not chunk:
            chunk = len(content) or 1
        offset = 0
        while True:
            piece = content[offset:offset + chunk]
            offset += len(piece)
            last = offset >= len(content)
            self.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if last else b"") + piece)
            reply = self.reply()
            if last or reply.code != 250:
                return reply

    def message(self, sender, rcpts, content, bdat=False):
        self.mail(sender, rcpts)
        return self.bdat(content) if bdat else self.data(content)

    def quit(self):
        self.cmd("QUIT", 221)
        self.closed()
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def dot_stuff(content):
    """Content as DATA carries it: a dot doubled at the start of each line, CRLF
    at the end. Lines end in CRLF only."""
    if content.startswith(b"."):
        content = b"." + content
    content = content.replace(b"\r\n.", b"\r\n..")
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
