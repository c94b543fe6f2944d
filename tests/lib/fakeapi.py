"""An HTTP server that answers what no bearerd would: bearerctl's bad days."""
import http.server
import json
import threading
import time


class FakeApi:
    """`answers`: what is said to each path ("GET /health"), query left out: an object
    for JSON, octets as they are, or a function of the handler that does anything. A
    tuple (status, what, headers...) says more. `seen`: requests (method, path with
    query, headers, body)."""

    def __init__(self, answers, host="127.0.0.1"):
        self.answers, self.seen = answers, []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                fake.seen.append((self.command, self.path, dict(self.headers), body))
                self.said = fake.answers.get("%s %s" % (self.command, self.path.split("?")[0]),
                                             (404, b"404: Not Found"))
                fake.say(self, self.said)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def say(handler, said):
        if callable(said):
            handler.close_connection = True
            said(handler)
            return
        status, what, *headers = said if isinstance(said, tuple) else (200, said)
        text = what if isinstance(what, bytes) else json.dumps(what, ensure_ascii=False).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def stream(*parts, pause=0, cut=False):
    """An answer in chunks; `cut`: it breaks off instead of ending."""
    def say(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            text = part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            handler.wfile.flush()
            time.sleep(pause)
        if not cut:
            handler.wfile.write(b"0\r\n\r\n")
    return say


def silence(handler):
    """Takes the request and says nothing until the client is gone."""
    handler.rfile.read(1)
