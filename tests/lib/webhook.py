"""A receiver of events that checks signatures and misbehaves as told."""
import http.server
import json
import re
import threading

from lib.util import ROOT, free_port, wait_until

SECRET = "webhook-secret-0123456789abcdef"


def _documented():
    """The check as doc/EVENTS.md shows it."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "doc/EVENTS.md").read_text(), re.S)
    names = {}
    exec(code, names)
    return names["is_genuine"]


is_genuine = _documented()


class Receiver:
    """`answer(event, number)`: a status, (status, headers), or None: it never answers. With
    `certs` it speaks TLS. Every request is kept: (event, headers, path); a bad signature is in
    `errors`."""

    def __init__(self, certs=None, answer=None, port=None, start=True):
        self.certs, self.answer, self.body = certs, answer, b""
        self.port = port or free_port()
        self.requests, self.errors = [], []
        self.open = self.most_open = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._server = None
        if start:
            self.start()

    def start(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                owner._post(self)

            def do_GET(self):
                owner.errors.append("GET %s" % self.path)
                self.send_error(405)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def finish_request(self, request, address):
                request.settimeout(20)
                if owner.certs:
                    with owner.certs.server_context().wrap_socket(request, server_side=True) as secure:
                        super().finish_request(secure, address)
                else:
                    super().finish_request(request, address)

            def handle_error(self, request, address):
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    @property
    def url(self):
        return "%s://localhost:%d/hook" % ("https" if self.certs else "http", self.port)

    def _post(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if not is_genuine(SECRET, handler.headers.get("Bearerd-Signature", "t=0,v1="), body):
            self.errors.append("bad signature: %s" % handler.headers)
        event = json.loads(body)
        if handler.headers.get("Bearerd-Event") != event["id"]:
            self.errors.append("ids differ")
        with self._lock:
            self.requests.append((event, dict(handler.headers), handler.path))
            number = len(self.requests)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            answer = self.answer(event, number) if self.answer else 204
        finally:
            with self._lock:
                self.open -= 1
        if answer is None:
            self._end.wait(30)
            handler.close_connection = True
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        body = b"" if status == 204 else self.body
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    @property
    def events(self):
        """Each once, in the order in which they came first."""
        return [dict(event) for event in
                {event["id"]: event for event, *_ in list(self.requests)}.values()]

    def wait(self, count, timeout=15, **fields):
        """The events with these fields (`from_` is from), once there are so many."""
        fields = {key.rstrip("_"): value for key, value in fields.items()}

        def found():
            matching = [e for e in self.events if all(e.get(k) == v for k, v in fields.items())]
            return matching if len(matching) >= count else None
        return wait_until(found, timeout, "%d events %s; there are %s" % (count, fields, self.events))

    def stop(self):
        self._end.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
