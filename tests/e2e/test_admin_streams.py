"""Long answers of the admin API, and clients that do not read them or go."""
import json
import socket

from lib.admin import NDJSON
from lib.daemon import account
from lib.util import PATIENCE, SANITIZED, memory_of, wait_until

COUNT = 3000


def many(**more):
    return [account("user%d@example.com" % i, 1, "https://localhost:1/token", disabled=True,
                    refresh_token="r" * 1500, **more) for i in range(COUNT)]


def connect(daemon):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30 * PATIENCE)
    sock.connect(str(daemon.dir / "bearerd.sock"))
    return sock


EXPORT = b"GET /admin/accounts/export?secrets=true HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LIST = b"GET /admin/accounts HTTP/1.0\r\n\r\n"


def test_an_export_is_complete(start):
    daemon = start(many(), log_level="info")
    answer = daemon.owner.get("/admin/accounts/export", secrets="true")
    assert answer.type == NDJSON and len(answer.lines) == COUNT
    assert {record["refresh_token"] for record in answer.lines} == {"r" * 1500}


def test_a_client_that_does_not_read(start, provider, tokens):
    """The answer waits for it, in little memory, and others are served."""
    daemon = start(many() + [account("a@example.com", provider, tokens)], log_level="info")
    assert daemon.send("a@example.com", ["b@example.net"]).code == 250
    before = memory_of(daemon.broker_pid())
    socks = [connect(daemon) for _ in range(12)]
    for sock in socks:
        sock.sendall(EXPORT)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    for _ in range(20):
        assert daemon.send("a@example.com", ["b@example.net"]).code == 250
        assert daemon.owner.get("/health").status == 200
    # 12 whole answers would be 60 MB.
    assert SANITIZED or memory_of(daemon.broker_pid()) - before < 20 << 20
    rest = socks[0].makefile("rb").read()
    assert rest.endswith(b"0\r\n\r\n")
    for sock in socks:
        sock.close()
    assert daemon.owner.get("/health").status == 200


def test_a_client_that_goes_in_the_middle(start):
    daemon = start(many(), log_level="info")
    for request in (EXPORT, LIST):
        for _ in range(30):
            sock = connect(daemon)
            sock.sendall(request)
            assert sock.recv(100)
            sock.close()
    wait_until(lambda: daemon.owner.get("/health").status == 200, 10, "an answer")
    assert len(daemon.owner.get("/admin/accounts/export").lines) == COUNT


def test_a_client_that_reads_slower_than_the_timeout(start):
    """What makes progress is not cut off, however long the whole takes."""
    daemon = start(many()[:600], conf={"admin.timeout": "2s"})
    sock = connect(daemon)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.sendall(EXPORT)
    got, pieces = b"", 0
    while True:
        piece = sock.recv(20000)
        if not piece:
            break
        got += piece
        pieces += 1
    assert got.endswith(b"0\r\n\r\n") and pieces > 10
    # And one that reads nothing at all is.
    sock = connect(daemon)
    sock.sendall(EXPORT)
    daemon.wait_event("admin_request", timeout=20, count=2, path="/admin/accounts/export")
    assert not sock.makefile("rb").read().endswith(b"0\r\n\r\n")
    sock.close()


def test_the_end_while_an_answer_waits(start):
    """SIGTERM does not wait for a client that does not read."""
    daemon = start(many(), log_level="info")
    socks = [connect(daemon) for _ in range(4)]
    for sock in socks:
        sock.sendall(EXPORT)
        assert sock.recv(100)
    daemon.stop()
    for sock in socks:
        got = sock.makefile("rb").read()
        assert not got.endswith(b"0\r\n\r\n")  # it can tell that this was not all
        sock.close()


def test_a_client_that_goes_before_the_answer(start):
    """Its reload goes on; the answer goes nowhere."""
    daemon = start(many(), log_level="info")
    for _ in range(20):
        sock = connect(daemon)
        sock.sendall(b"POST /admin/reload?wait=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        sock.close()
    assert daemon.owner.post("/admin/reload", wait="true").status == 200
    assert daemon.owner.get("/health").status == 200


def test_a_large_upload_in_lines(start):
    """More than a whole JSON text may have; as lines it is fine."""
    daemon = start(log_level="info")
    records = [account("new%d@example.com" % i, 1, "https://localhost:1/token", verify=False, disabled=True,
                       refresh_token="x" * 1500) for i in range(2000)]
    body = json.dumps(records)
    assert len(body) > 2 << 20
    assert daemon.admin.request("POST", "/admin/accounts/batch", body).status == 413
    answer = daemon.admin.lines("/admin/accounts/batch", records)
    assert answer.status == 200 and answer.lines[-1]["summary"]["added_count"] == 2000
    assert daemon.admin.get("/health")["accounts"] == 2000


# --- sealing anew --------------------------------------------------------------


def test_rekey(start):
    """In an SQLite store all secrets are sealed anew; a plain file has nothing sealed."""
    daemon = start(start=False)
    daemon.args[daemon.args.index(daemon.accounts)] = "sqlite:%s" % (daemon.dir / "accounts.db")
    daemon.start()
    for index in range(5):
        record = account("u%d@example.com" % index, 1, "https://localhost:1/token", verify=False, disabled=True)
        assert daemon.owner.post("/admin/accounts", record).status == 200
    before = daemon.owner.get("/admin/accounts/export", secrets="true").lines
    assert daemon.admin.post("/admin/rekey").status == 403
    answer = daemon.owner.post("/admin/rekey")
    assert answer.status == 200 and answer["records"] == 5
    assert daemon.owner.get("/admin/accounts/export", secrets="true").lines == before
    daemon.stop()
    daemon.start()
    assert daemon.owner.get("/admin/accounts/export", secrets="true").lines == before
    plain = start()
    answer = plain.owner.post("/admin/rekey")
    assert answer.status == 400 and "sqlite:" in answer["error"]
