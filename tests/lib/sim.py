"""bearer-sim as a child process: a provider that counts and records."""
import base64
import json
import pathlib
import shutil
import signal
import ssl
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from lib.util import Process, program, wait_until

# The RSA key of the first one: to make a key takes longer than all the rest.
_key_files = {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Refused(Exception):
    """The control port or the token endpoint said no."""

    def __init__(self, status, body, headers):
        super().__init__("%d %s" % (status, body[:300]))
        self.status, self.body, self.headers = status, body, headers


class SimMessage:
    """What the simulator accepted. `told`: the client has the final reply.
    `content`: the octets, with keep_content; `sha256`: their digest."""

    def __init__(self, record):
        self.record = record
        self.seq, self.user, self.told = record["seq"], record["user"], record["told"]
        self.sender, self.rcpts, self.size = record["from"], record["rcpts"], record["size"]
        self.sha256, self.verb, self.bare = record.get("sha256"), record["by"], record["bare"]
        self.reply, self.peer = record["reply"], record["peer"]
        self.connection, self.number = record["connection"], record["number"]
        self.content = base64.b64decode(record["content"]) if "content" in record else None

    def __repr__(self):
        return "<message %d of %d octets from <%s> to %s by %s>" % (
            self.seq, self.size, self.sender, self.rcpts, self.user)


class Sim:
    """Started and ready when made. `knobs`: global ones from the start. Other
    keywords are options: keep_content=1000 is --keep-content 1000; True is an
    option without a value, a list one that is given several times. With `certs`
    (lib.certs.Certs) it uses that authority instead of one of its own.

    `port` is the STARTTLS listener and `url` the token endpoint, so that a Sim
    serves as the provider and as the tokens of lib.daemon.account()."""

    def __init__(self, profile="gmail", accounts=3, knobs=None, directory=None, certs=None,
                 **options):
        self._own_dir = directory is None
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(prefix="bearer-sim-"))
        if certs:
            for source, name in ((certs.ca, "ca.pem"), (certs.cert, "server.pem"),
                                 (certs.key, "server.key")):
                shutil.copy(source, self.dir / name)
        self.dir.mkdir(exist_ok=True)
        for name, octets in _key_files.items():
            (self.dir / name).write_bytes(octets)
        self.args = ["--state-dir", self.dir, "--profile", profile]
        options["accounts"] = accounts
        for name, value in (knobs or {}).items():
            self.args += ["--knob", "%s=%s" % (name, int(value) if value is True else value)]
        for name, value in options.items():
            option = "--" + name.replace("_", "-")
            if value is True:
                self.args.append(option)
            else:
                for one in value if isinstance(value, (list, tuple)) else [value]:
                    self.args += [option, one]
        self.process = None
        self.start()

    def start(self):
        self.process = Process(program("bearer-sim") + self.args, stream="both")
        try:
            line = self.process.wait_for(self._ready, 20, "line \"ready\"")
        except AssertionError:
            self.process.kill_all()
            raise
        self.ports = json.loads(line[len("ready "):])
        for name in ("app.pem", "app.crt"):
            _key_files[name] = (self.dir / name).read_bytes()
        self.smtp, self.smtps = self.ports.get("smtp"), self.ports.get("smtps")
        self.port = self.smtp
        self.http, self.control = self.ports.get("http"), self.ports.get("control")
        self.url = "https://localhost:%s/token" % self.http
        self.introspection = "https://localhost:%s/introspect" % self.http
        self.ca = self.dir / "ca.pem"
        self.context = ssl.create_default_context(cafile=str(self.ca))
        return self

    def restart(self):
        """Ends it and starts it again on the same ports; with resume=True it still
        knows its tokens."""
        self.stop(keep=True)
        again = {"--smtp-port": self.smtp, "--smtps-port": self.smtps, "--http-port": self.http,
                 "--control-port": self.control}
        for option, port in again.items():
            if option not in self.args:
                self.args += [option, "off" if port is None else port]
        return self.start()

    def _ready(self):
        return next((line for line in self.process.lines if line.startswith("ready ")), None)

    def port_of(self, kind, profile):
        """The port of the listener that --listen KIND:0:PROFILE made."""
        return next(one["port"] for one in self.ports["listeners"]
                    if (one["kind"], one["profile"]) == (kind, profile))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            ended = self.process.popen.poll()
            if ended is not None:
                print("the simulator had ended with %d: %s" % (
                    ended, "\n".join(list(self.process.lines)[-20:])), file=sys.stderr)
            self.process.kill_all()
            self._clean_up()
        else:
            self.stop()

    def _clean_up(self):
        if self._own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self, keep=False):
        """Ends it; it must end well. Its directory goes too, unless kept."""
        if self.process.popen.poll() is None:
            self.process.signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        finally:
            self.process.kill_all()
            if not keep:
                self._clean_up()
        assert code == 0, "bearer-sim ended with %s\n%s" % (code, self.process.text)

    # --- control port -----------------------------------------------------

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.control, path), data,
                                         {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(), error.headers) from None

    def knobs(self, scope="global", **values):
        """knobs(latency_ms=20), knobs("user1@example.test", reply_mail="421 ...",
        count=3). count, after and percent belong to the knobs beside them; None
        unsets a knob."""
        self.request("POST", "/knobs", dict(values, scope=scope))

    def reset_knobs(self):
        self.request("DELETE", "/knobs")

    def state(self, user=None):
        """Counters: "totals", "users", and "errors", what clients did wrong. Of all
        users, or one; "" is none."""
        query = "" if user is None else "?" + urllib.parse.urlencode({"user": user})
        return self.request("GET", "/state" + query)

    def user(self, email):
        """The counters of one user."""
        return self.state(email)["users"][email]

    def check_limits(self, connections, per_minute, users=None):
        """No user (of `users`) had more connections at once, or more messages in any
        60 seconds, since the counters began. Returns the most of each."""
        most = {"max_connections": 0, "max_messages_60s": 0}
        for user, counts in self.state()["users"].items():
            for name, limit in (("max_connections", connections), ("max_messages_60s", per_minute)):
                if users is None or user in users:
                    assert counts[name] <= limit, "%s: %s is %d, the limit %d" % (
                        user, name, counts[name], limit)
                    most[name] = max(most[name], counts[name])
        return most

    def reset_state(self):
        """Counters back to zero."""
        self.request("DELETE", "/state")

    def messages(self, since=0, user=None):
        """All accepted messages with a higher seq than `since`."""
        found = []
        while True:
            page = self.request("GET", "/messages?since=%d" % since)
            found += map(SimMessage, page["messages"])
            if not page["messages"]:
                return [one for one in found if user in (None, one.user)]
            since = page["next"]

    def wait_messages(self, count, timeout=10, **options):
        """Waits for so many; returns all there are."""
        return wait_until(lambda: (lambda found: len(found) >= count and found or None)(
            self.messages(**options)), timeout, "%d messages at the simulator" % count)

    def forget_messages(self):
        self.request("DELETE", "/messages")

    def revoke(self, user, what="all"):
        """what: access, refresh or all tokens of the user."""
        self.request("POST", "/revoke-tokens", {"user": user, "what": what})

    def disconnect(self, user=None, how="close"):
        """how: close, drop, reset, goodbye (421) or idle (451). Returns how many."""
        body = {"how": how}
        if user:
            body["user"] = user
        return self.request("POST", "/disconnect", body)["disconnected"]

    # --- accounts and tokens ----------------------------------------------

    def accounts(self):
        """Records as in accounts.json."""
        return self.request("GET", "/accounts")

    def account(self, email, **more):
        """One record, with fields added or replaced."""
        record = next(one for one in self.accounts() if one["email"] == email)
        record.update(more)
        return record

    def add_account(self, email, **fields):
        """fields: provider, client_id, client_secret, refresh_token."""
        self.request("POST", "/accounts", dict(fields, email=email))
        return self.account(email)

    def token(self, user, expires_in=3600):
        """An access token, without the token endpoint."""
        return self.request("POST", "/tokens",
                            {"user": user, "expires_in": expires_in})["access_token"]

    def refresh(self, account, **form):
        """The token endpoint's answer to a refresh with an account's record, or
        Refused. Form fields may be added, or removed with None."""
        fields = {"grant_type": "refresh_token", "client_id": account["client_id"],
                  "client_secret": account.get("client_secret"),
                  "refresh_token": account["refresh_token"],
                  "scope": "https://outlook.office.com/SMTP.Send offline_access"}
        fields.update(form)
        return self.ask(fields)

    # --- OAuth: see lib.oauth for PKCE and assertions ----------------------

    def ask(self, form, path="/token", headers=None):
        """POSTs a form to the HTTPS port; its JSON answer, or Refused. Fields that
        are None are left out."""
        data = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None}).encode()
        request = urllib.request.Request("https://localhost:%d%s" % (self.http, path), data,
                                         headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.context) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(), error.headers) from None

    def clients(self):
        """The applications that are there for everybody, by name: desktop and
        service-account (gmail), public and confidential (m365)."""
        return {one["name"]: one for one in self.request("GET", "/clients")["clients"]}

    def client(self, name):
        return self.clients()[name]

    def set_client(self, **fields):
        """Makes an application, or changes the one with this client_id."""
        return self.request("POST", "/clients", fields)

    @property
    def tenant(self):
        return self.request("GET", "/clients")["tenant"]

    def service_account(self):
        """The JSON file of the Google service account."""
        return json.loads((self.dir / "service-account.json").read_text())

    def authorize_url(self, client_id, redirect_uri="http://127.0.0.1:1/", path="/authorize",
                      **query):
        """Where a browser is sent to; `query` adds and replaces, None removes."""
        fields = {"client_id": client_id, "redirect_uri": redirect_uri, "response_type": "code",
                  "scope": "https://outlook.office.com/SMTP.Send offline_access",
                  "state": "a state"}
        fields.update(query)
        fields = {k: v for k, v in fields.items() if v is not None}
        return "https://localhost:%d%s?%s" % (self.http, path, urllib.parse.urlencode(fields))

    def visit(self, url, form=None):
        """What a browser gets: ("redirect", where to, its query) or ("page", status,
        HTML)."""
        opener = urllib.request.build_opener(
            _NoRedirect, urllib.request.HTTPSHandler(context=self.context))
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        try:
            with opener.open(url, data, 60) as reply:
                return "page", reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            if error.code not in (302, 303):
                return "page", error.code, error.read().decode()
            where = error.headers["Location"]
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))
            return "redirect", where, query

    def devices(self):
        return self.request("GET", "/devices")

    def answer_device(self, action="allow", user=None, user_code=""):
        """What the user says on the page /device: allow, decline; or expire. Without
        a code the newest that waits."""
        self.request("POST", "/devices", {"action": action, "user": user, "user_code": user_code})
