"""A small HTTPS token endpoint, for tests that want to say each answer."""
import hashlib
import http.server
import json
import threading
import time
import urllib.parse


def token_of(refresh_token, number):
    """An access token that tells whose it is, and not the refresh token."""
    return "TOKEN.%s.%d" % (hashlib.sha256((refresh_token or "").encode()).hexdigest()[:16], number)


class TokenServer:
    """POST /token answers by `answer(form, number)`: (status, value or text,
    headers). Without one: a new token each time, as `token_of` makes it.
    POST /introspect knows these tokens; `users` has the refresh tokens' owners."""

    def __init__(self, certs, lifetime=3600, answer=None, users=None, cert=None, key=None):
        self.lifetime = lifetime
        self.answer = answer
        self.users = dict(users or {})
        self.requests = []  # (time, form)
        self.open = 0  # requests being answered now
        self.most_open = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                owner._post(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def finish_request(self, request, address):
                request.settimeout(20)
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, address)

            def handle_error(self, request, address):
                pass

        context = certs.server_context(cert, key)
        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = "https://localhost:%d/token" % self.port
        self.introspection = "https://localhost:%d/introspect" % self.port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _post(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        form = dict(urllib.parse.parse_qsl(handler.rfile.read(length).decode()))
        if handler.path == "/introspect":
            self._write(handler, *self.introspect(form.get("token", "")))
            return
        with self._lock:
            self.requests.append((time.monotonic(), form))
            number = len(self.requests)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            status, value, headers = (self.answer or self.good)(form, number)
        finally:
            with self._lock:
                self.open -= 1
        self._write(handler, status, value, headers)

    def _write(self, handler, status, value, headers):
        if isinstance(value, (dict, list)):
            body, kind = json.dumps(value).encode(), "application/json"
        else:
            body, kind = value.encode(), "text/html"
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(body)

    def good(self, form, number):
        return 200, {"access_token": token_of(form.get("refresh_token"), number), "expires_in": self.lifetime,
                     "token_type": "Bearer"}, {}

    def introspect(self, token):
        user = next((user for refresh_token, user in self.users.items()
                     if token.startswith(token_of(refresh_token, 0)[:-1])), None)
        return 200, {"active": True, "username": user} if user else {"active": False}, {}

    def of(self, refresh_token):
        """The requests that carried this refresh token."""
        return [entry for entry in self.requests if entry[1].get("refresh_token") == refresh_token]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
