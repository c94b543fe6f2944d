"""The end of the line: an SMTP server without TLS or AUTH that keeps what it gets."""
import re
import socketserver
import threading


class Received:
    def __init__(self, sender, rcpts, content):
        self.sender, self.rcpts, self.content = sender, rcpts, content


class Sink:
    """`auth`: mechanisms to offer, for a client that wants to log in; what it
    says is kept in `logins`. `answer(sender, rcpts)` may refuse with a text."""

    def __init__(self, auth=None, answer=None):
        self.messages = []
        self.logins = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True
            wbufsize = 0

            def say(self, *lines):
                self.wfile.write(b"".join(line.encode() + b"\r\n" for line in lines))

            def handle(self):
                try:
                    self.session()
                except (OSError, IndexError):
                    pass

            def session(self):
                sender, rcpts, chunks = "", [], []
                self.say("220 sink ESMTP")
                for raw in self.rfile:
                    line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
                    verb = line.split(" ")[0].upper()
                    if verb == "EHLO":
                        self.say("250-sink", *(["250-AUTH " + auth] if auth else []), "250-8BITMIME",
                                 "250-SMTPUTF8", "250-PIPELINING", "250 SIZE 100000000")
                    elif verb == "AUTH":
                        owner.logins.append(line)
                        self.say("235 2.7.0 ok")
                    elif verb in ("MAIL", "RCPT"):
                        address = re.search("<([^>]*)>", line).group(1)
                        sender, rcpts = (address, []) if verb == "MAIL" else (sender, rcpts + [address])
                        self.say("250 2.1.0 ok")
                    elif verb == "DATA":
                        refusal = answer(sender, rcpts) if answer else None
                        self.say(refusal or "354 go ahead")
                        if refusal:
                            continue
                        for content in iter(self.rfile.readline, b".\r\n"):
                            if not content:
                                return
                            chunks.append(content[1:] if content.startswith(b".") else content)
                        owner.messages.append(Received(sender, rcpts, b"".join(chunks)))
                        chunks = []
                        self.say("250 2.0.0 stored")
                    elif verb == "QUIT":
                        self.say("221 2.0.0 bye")
                        return
                    else:
                        self.say("250 2.0.0 ok")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
