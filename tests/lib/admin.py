"""A client of the admin API that checks every answer against doc/openapi.json."""
import functools
import http.client
import json
import re
import socket
import urllib.parse

from lib.util import PATIENCE, ROOT

NDJSON = "application/x-ndjson"


@functools.lru_cache()
def document():
    return json.loads((ROOT / "doc/openapi.json").read_text())


def find_operation(method, path):
    """(operation, path in the document), or (None, path or None): a literal path
    goes before one with a parameter."""
    known = None
    for template in sorted(document()["paths"], key=lambda text: "{" in text):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            known = known or template
            operation = document()["paths"][template].get(method.lower())
            if operation:
                return operation, template
    return None, known


def resolve(node):
    while "$ref" in node:
        target = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


@functools.lru_cache(None)
def validator(schema_text):
    import jsonschema  # the benchmarks use bearerd without it
    schema = json.loads(schema_text)
    return jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver("", document()))


def check_schema(schema, value, what):
    errors = sorted(validator(json.dumps(schema)).iter_errors(value), key=lambda e: str(e.path))
    assert not errors, "%s: %s\n%s" % (what, json.dumps(value)[:2000], "\n".join(
        "%s: %s" % ("/".join(map(str, error.absolute_path)) or "(all)", error.message[:500])
        for error in errors[:5]))


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def text(self):
        return self.body.decode()

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return "%d %s %r" % (self.status, self.type, self.body[:1000])


def check_answer(method, path, answer):
    """Fails unless the document says that this may be the answer."""
    what = "%s %s -> %r" % (method, path, answer)
    operation, known = find_operation("GET" if method == "HEAD" else method, path)
    if method == "OPTIONS" or operation is None:
        want = 405 if known else 404
        assert answer.status in ((204, 404) if method == "OPTIONS" else (want, 429, 400)), what
        if answer.status in (404, 405):
            assert answer.type == "text/plain", what
        assert "allow" in answer.headers or answer.status not in (204, 405), what
        return
    response = operation["responses"].get(str(answer.status))
    assert response, "not documented: " + what
    content = resolve(response).get("content", {})
    assert answer.type in content, "not documented: " + what
    assert answer.headers.get("cache-control") == "no-store", what
    if method == "HEAD":
        assert answer.body == b"", what
    elif answer.type == NDJSON:
        for line in answer.lines:
            check_schema(content[NDJSON]["schema"], line, what)
    elif answer.type == "application/json":
        check_schema(content["application/json"]["schema"], answer.json, what)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Admin:
    """`unix`: a socket's path; `tls`: an ssl.SSLContext; `token`: an API token.
    Each request has a connection of its own, unless `keep`."""

    def __init__(self, port=None, host="127.0.0.1", unix=None, tls=None, token=None, keep=False,
                 timeout=30):
        self.port, self.host, self.unix, self.tls = port, host, unix, tls
        self.token, self.keep, self.timeout = token, keep, timeout * PATIENCE
        self._kept = None

    def using(self, **changes):
        """The same with other parameters."""
        own = dict(port=self.port, host=self.host, unix=self.unix, tls=self.tls, token=self.token,
                   keep=self.keep)
        return Admin(**dict(own, **changes))

    def connect(self):
        if self.unix:
            return UnixConnection(self.unix, self.timeout)
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout,
                                               context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)

    def request(self, method, path, body=None, headers=None, check=True, **query):
        """`body`: octets, text, or what becomes JSON. `query`: parameters."""
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", "Bearer " + self.token)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        connection = self._kept or self.connect()
        self._kept = connection if self.keep else None
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        except Exception:
            self._kept = None
            raise
        finally:
            if not self.keep:
                connection.close()
        if check:
            check_answer(method, path.split("?")[0], answer)
        return answer

    def get(self, path, **query):
        return self.request("GET", path, **query)

    def post(self, path, body=None, **query):
        return self.request("POST", path, body, **query)

    def put(self, path, body=None, **query):
        return self.request("PUT", path, body, **query)

    def patch(self, path, body=None, **query):
        return self.request("PATCH", path, body, **query)

    def delete(self, path, **query):
        return self.request("DELETE", path, **query)

    def lines(self, path, records, **query):
        """POST of NDJSON."""
        body = "".join(json.dumps(record) + "\n" for record in records)
        return self.request("POST", path, body, headers={"Content-Type": NDJSON}, **query)


def raw(port, octets, host="127.0.0.1", unix=None, timeout=30, finish=False):
    """Sends octets and returns all that comes back until the end."""
    sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    sock.settimeout(timeout * PATIENCE)
    sock.connect(str(unix) if unix else (host, port))
    with sock:
        sock.sendall(octets)
        if finish:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            try:
                piece = sock.recv(65536)
            except ConnectionResetError:
                return got
            if not piece:
                return got
            got += piece


def make_token(bearerd, name="test", scope="write"):
    """An API token, made as the owner does."""
    answer = bearerd.owner.post("/admin/api-tokens", {"name": name, "scope": scope})
    assert answer.status == 201, answer
    return answer["token"]
