"""A client of the simulator: Wire, logged in with a token."""
import base64

from lib.wire import Wire

USER = "user1@example.test"
CONTENT = b"Subject: x\r\nMessage-ID: <one@client.example>\r\n\r\n.dot\r\n..\r\nbody\r\n"


def xoauth2(user, token):
    return base64.b64encode(("user=%s\1auth=Bearer %s\1\1" % (user, token)).encode()).decode()


def oauthbearer(user, token):
    escaped = user.replace("=", "=3D").replace(",", "=2C")
    return base64.b64encode(("n,a=%s,\1host=localhost\1port=587\1auth=Bearer %s\1\1" % (
        escaped, token)).encode()).decode()


def secure(sim, port=None, **options):
    """Connected to a STARTTLS listener, TLS done, EHLO said."""
    wire = Wire(port or sim.smtp, **options)
    wire.ehlo()
    wire.starttls(sim.context)
    wire.ehlo()
    return wire


def login(sim, user=USER, token=None, **options):
    wire = secure(sim, **options)
    wire.cmd("AUTH XOAUTH2", 334)
    wire.cmd(xoauth2(user, token or sim.token(user)), 235)
    return wire


def flight(content, sender=USER, rcpts=("to@example.net",)):
    """MAIL, RCPT, BDAT and the content, as one write."""
    lines = ["MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % rcpt for rcpt in rcpts]
    lines.append("BDAT %d LAST" % len(content))
    return "".join(line + "\r\n" for line in lines).encode() + content
