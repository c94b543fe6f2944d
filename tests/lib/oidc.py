"""oidc-provider, a real authorization server, as a child process. It needs node and what
`npm ci` in tests/oidc installs; without them the tests that want it are skipped."""
import base64
import json
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from lib.oauth import b64url
from lib.util import Process, free_port

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "oidc"


def why_not():
    """Why there is none, or None."""
    if not shutil.which("node"):
        return "there is no node"
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        return "run npm ci in tests/oidc"
    return None


def jwk_of(certificate):
    """The public key of a certificate's PEM file as a JSON Web Key."""
    def run(*args):
        return subprocess.run(["openssl"] + list(args), stdout=subprocess.PIPE,
                              check=True).stdout.decode()
    modulus = run("x509", "-in", str(certificate), "-noout", "-modulus").strip().split("=")[1]
    return {"kty": "RSA", "use": "sig", "n": b64url(bytes.fromhex(modulus)), "e": "AQAB"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class OidcProvider:
    """`clients`: metadata of RFC 7591. `token_url` is the token endpoint."""

    def __init__(self, certs, directory, clients, access_token_s=3600):
        self.port = free_port()
        self.url = "https://localhost:%d" % self.port
        self.token_url = self.url + "/token"
        self.clients = {one["client_id"]: one for one in clients}
        self.context = ssl.create_default_context(cafile=str(certs.ca))
        config = pathlib.Path(directory) / "oidc.json"
        config.write_text(json.dumps({"port": self.port, "cert": str(certs.cert),
                                      "key": str(certs.key), "clients": clients,
                                      "access_token_s": access_token_s}))
        self.process = Process(["node", str(FOLDER / "server.mjs"), str(config)], stream="both")
        self.process.wait_for(lambda: "ready" in self.process.lines or None, 30, "line \"ready\"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.signal(signal.SIGTERM)
        self.process.kill_all()

    def ask(self, path, form=None, headers=None):
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(self.url + path, data, headers or {})
        with urllib.request.urlopen(request, timeout=60, context=self.context) as answer:
            return json.loads(answer.read())

    def mint(self, client_id, account):
        """A refresh token, as the account's consent would have given it."""
        query = urllib.parse.urlencode({"client_id": client_id, "account": account})
        return self.ask("/mint?" + query)["refresh_token"]

    def sit_down(self, account):
        """Who is at every browser from now on and agrees to everything; "" to nothing."""
        self.ask("/user?" + urllib.parse.urlencode({"account": account}))

    def browse(self, url, until=None):
        """A browser that follows each redirect and submits each form that is filled in; the
        address that begins with `until` is not visited but returned, else the last page."""
        cookies = urllib.request.HTTPCookieProcessor()
        opener = urllib.request.build_opener(
            cookies, _NoRedirect, urllib.request.HTTPSHandler(context=self.context))
        form = None
        for _ in range(20):
            if until and url.startswith(until):
                return url
            try:
                with opener.open(url, form, 60) as answer:
                    page = answer.read().decode()
                action = re.search(r'<form[^>]* action="([^"]+)"', page)
                fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
                if not action or set(fields) == {"xsrf"}:
                    return page
                url, form = urllib.parse.urljoin(url, action[1]), \
                    urllib.parse.urlencode(fields).encode()
            except urllib.error.HTTPError as error:
                if error.code not in (302, 303):
                    return error.read().decode()
                url, form = urllib.parse.urljoin(url, error.headers["Location"]), None
        raise AssertionError("no end of redirects: " + url)

    def events(self):
        return self.ask("/events")

    def introspect(self, token, client_id):
        """What the server says of a token to a client with a secret."""
        pair = "%s:%s" % (client_id, self.clients[client_id]["client_secret"])
        return self.ask("/token/introspection", {"token": token}, {
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode()})
