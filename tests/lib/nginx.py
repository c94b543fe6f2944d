"""nginx in front of a token endpoint: HTTP/2 as the real providers speak it. It counts
requests and connections in its log."""
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from lib.util import connectable, free_port, wait_until

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")

CONFIG = """\
daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 2048; }}
http {{
    log_format one '$connection $server_protocol $status';
    access_log {dir}/access.log one;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    keepalive_requests 100000;
    http2_max_concurrent_streams {streams};
    upstream tokens {{ server 127.0.0.1:{upstream}; keepalive 200; keepalive_requests 100000; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        location / {{
            proxy_pass https://tokens;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def missing():
    """Why it cannot run here, or None."""
    return None if PROGRAM else "nginx is not installed"


class Nginx:
    """Before the token endpoint of a Sim; `url` takes its place."""

    def __init__(self, sim, streams=128):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bearerd-nginx-"))
        self.port = free_port()
        self.url = "https://localhost:%d/token" % self.port
        (self.dir / "nginx.conf").write_text(CONFIG.format(
            dir=self.dir, port=self.port, upstream=sim.http, streams=streams,
            cert=sim.dir / "server.pem", key=sim.dir / "server.key"))
        self.process = subprocess.Popen(
            [PROGRAM, "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"),
             "-e", str(self.dir / "error.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: connectable(self.port), 10, "nginx")

    def requests(self):
        """(connection, protocol, status) of each request that was answered."""
        path = self.dir / "access.log"
        text = path.read_text() if path.exists() else ""
        return [tuple(line.split()) for line in text.splitlines() if re.match(r"\d+ HTTP", line)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            shutil.rmtree(self.dir, ignore_errors=True)
