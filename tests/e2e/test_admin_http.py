"""The admin API as an HTTP server: what is asked wrongly, too much, too slowly."""
import json
import random
import socket
import threading
import time

import pytest

from lib.admin import Admin, raw
from lib.util import PATIENCE, wait_until


@pytest.fixture
def daemon(start):
    return start()


def head(answer):
    return answer.split(b"\r\n\r\n")[0]


# --- routes and methods -----------------------------------------------------


@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/", 404, None),
    ("GET", "/admin", 404, None),
    ("GET", "/admin/accounts/", 404, None),
    ("GET", "/health/", 404, None),
    ("POST", "/health", 405, "GET, HEAD"),
    ("PUT", "/admin/status", 405, "GET, HEAD"),
    ("BREW", "/admin/log", 405, "GET, HEAD, PUT"),
    ("AMETHODTHATISLONGERTHANANY", "/admin/log", 405, "GET, HEAD, PUT"),
    ("OPTIONS", "/admin/log", 204, "GET, HEAD, PUT"),
    ("OPTIONS", "/nowhere", 404, None),
    ("OPTIONS", "*", 204, "GET, HEAD, POST, PUT, PATCH, DELETE"),
])
def test_unknown_routes_and_methods(daemon, method, path, status, allow):
    answer = daemon.admin.request(method, path, check=path != "*")
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    if status in (404, 405):
        assert answer.text.startswith("%d: " % status)


def test_head_is_get_without_a_body(daemon):
    for path in ("/health", "/admin/status", "/admin/config", "/metrics"):
        answer = daemon.admin.request("HEAD", path)
        assert answer.status == 200 and int(answer.headers["content-length"]) > 10, path


def test_requests_share_a_connection(daemon):
    admin = daemon.admin.using(keep=True)
    for path, status in (("/health", 200), ("/nowhere", 404), ("/admin/status", 200),
                         ("/admin/log", 200)):
        assert admin.get(path).status == status
        assert admin._kept.sock, "%s ended the connection" % path
    assert admin.put("/admin/log", {"level": "loud"}).status == 400
    assert admin._kept.sock, "an error ended the connection"


def test_a_connection_ends_with_its_client(daemon):
    """Whose end of input comes with the request is not kept until the time-out."""
    octets = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(40):  # more than one address may have at once
        assert b" 200 " in head(raw(daemon.admin_port, octets, finish=True))


def test_requests_in_a_row_in_one_write(daemon):
    got = raw(daemon.admin_port, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 +
              b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 4


def test_absolute_targets(daemon):
    got = raw(daemon.admin_port, b"GET http://localhost/health/live?a=b HTTP/1.1\r\nHost: localhost\r\n"
              b"Connection: close\r\n\r\n")
    assert b" 400 " in head(got) and b"parameter" in got  # the path was understood
    got = raw(daemon.admin_port, b"GET http://localhost/health/live HTTP/1.0\r\n\r\n")
    assert b" 200 " in head(got)


# --- queries and bodies -----------------------------------------------------


@pytest.mark.parametrize("query, words", [
    ("wiat=true", ["wiat", "wait"]),
    ("wait=perhaps", ["wait", "perhaps", "true or false"]),
    ("wait=%zz", ["RFC 3986"]),
    ("wait=%00", ["RFC 3986"]),
    ("wait=%4", ["RFC 3986"]),
    ("&".join("wait=1" for _ in range(33)), ["32"]),
])
def test_a_query_that_is_wrong(daemon, query, words):
    answer = daemon.admin.post("/admin/reload?" + query)
    assert answer.status == 400
    assert all(word in answer["error"] for word in words), answer


def test_names_and_values_are_decoded(daemon):
    assert daemon.admin.post("/admin/reload?w%61it=%31").status == 200


@pytest.mark.parametrize("body, words", [
    ('{"level": debug}', ["line 1", "column 15"]),
    ('{"level":\n "debug"', ["line 2"]),
    ('{"level": "a", "level": "b"}', ["duplicate"]),
    ("[" * 5000, ["JSON"]),
    (b"\xff\xfe", ["JSON"]),
    ("[]", ["level"]),
    ("", ["level"]),
    ('{"level": 5}', ["level"]),
    ('{"level": "lo\\u0007ud"}', ["level"]),
])
def test_a_body_that_is_wrong(daemon, body, words):
    answer = daemon.admin.request("PUT", "/admin/log", body)
    assert answer.status == 400 or len(body) > 4096 and answer.status == 413
    assert answer.status == 413 or all(word in answer["error"] for word in words), answer


def test_an_error_does_not_repeat_what_was_sent(daemon):
    answer = daemon.admin.request("PUT", "/admin/log", '{"level": secretvalue')
    assert answer.status == 400 and "secretvalue" not in answer.text


def test_a_body_that_is_too_large(daemon):
    admin = daemon.admin.using(keep=True)
    answer = admin.request("PUT", "/admin/log", b"x" * 5000)
    assert answer.status == 413 and "4096" in answer["error"]
    assert admin.get("/health").status == 200  # on the same connection
    answer = daemon.admin.request("POST", "/admin/drain", b"x" * 100000)
    assert answer.status == 413
    assert daemon.admin.request("POST", "/admin/reload", b"{}", wait="true").status == 200


def chunked(path, size, pieces):
    yield b"PUT %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    for _ in range(pieces):
        yield b"%x\r\n%s\r\n" % (size, b"x" * size)
    yield b"0\r\n\r\n"


def test_a_body_of_unknown_length(daemon):
    octets = b"".join(chunked(b"/admin/log", 1000, 6)) + b"GET /health/live HTTP/1.0\r\n\r\n"
    got = raw(daemon.admin_port, octets)
    assert b" 413 " in head(got) and got.count(b"HTTP/1.1 200") == 1
    body = b'{"level":"debug"}'
    got = raw(daemon.admin_port, b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert b" 200 " in head(got)


def test_who_asks_first_whether_a_body_is_welcome(daemon):
    """Expect: 100-continue: the refusal comes at once."""
    got = raw(daemon.admin_port, b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\n"
              b"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
    assert b" 413 " in head(got)


def test_a_body_far_too_large_ends_the_connection(daemon):
    with socket.create_connection(("127.0.0.1", daemon.admin_port)) as sock:
        sock.settimeout(20 * PATIENCE)
        sock.sendall(b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(1000):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert daemon.admin.get("/health").status == 200


def test_headers_that_are_too_large(daemon):
    got = raw(daemon.admin_port, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40000 + b"\r\n\r\n")
    assert b" 431 " in head(got)
    got = raw(daemon.admin_port, b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 414 " in head(got) or b" 431 " in head(got)
    assert daemon.admin.get("/health").status == 200


# --- limits -----------------------------------------------------------------


def test_too_many_requests(start):
    daemon = start(conf={"admin.requests_per_second": 5})
    admin = daemon.admin.using(keep=True)
    answers = [admin.get("/admin/log") for _ in range(30)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and refused[0].headers["retry-after"] == "1"
    assert "admin.requests_per_second (5)" in refused[0]["error"]
    assert answers[0].status == 200
    # Watchers are not told that we are busy, and another client is another one.
    assert admin.get("/health").status == 200
    assert daemon.owner.get("/admin/log").status == 200
    wait_until(lambda: admin.get("/admin/log").status == 200, 10, "room for another request")


def open_idle(daemon):
    return socket.create_connection(("127.0.0.1", daemon.admin_port))


def is_closed(sock):
    sock.settimeout(0)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_too_many_connections(daemon):
    """Of one address 16; the unix socket is not concerned, and mail never is."""
    idle = [open_idle(daemon) for _ in range(24)]
    try:
        wait_until(lambda: sum(map(is_closed, idle)) >= 8, 10, "connections beyond the limit to end")
        assert sum(map(is_closed, idle)) == 8
        with pytest.raises(OSError):
            daemon.admin.get("/health")
        assert daemon.owner.get("/health").status == 200
        with daemon.client():
            pass
    finally:
        for sock in idle:
            sock.close()
    wait_until(lambda: answers(daemon), 10, "room again")


def answers(daemon):
    try:
        return daemon.admin.get("/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("octets", [b"", b"GET /health HTTP/1.1\r\n", b"PUT /admin/log HTTP/1.1\r\n"
                                    b"Host: localhost\r\nContent-Length: 4000\r\n\r\n{"])
def test_a_client_that_goes_silent(start, octets):
    daemon = start(conf={"admin.timeout": "1s"})
    assert raw(daemon.admin_port, octets) == b""
    assert daemon.admin.get("/health").status == 200


@pytest.mark.parametrize("beginning", [b"GET /health HTTP/1.1\r\n", b"PUT /admin/log HTTP/1.1\r\n"
                                       b"Host: localhost\r\nContent-Length: 4000\r\n\r\n"])
def test_a_client_that_sends_an_octet_now_and_then(start, beginning):
    """It is never silent for as long as the time-out, and ends all the same."""
    daemon = start(conf={"admin.timeout": "1s"})
    sock = socket.create_connection(("127.0.0.1", daemon.admin_port))
    sock.sendall(beginning)

    def drip():
        try:
            sock.sendall(b"x")
            time.sleep(0.1)
            return is_closed(sock)
        except OSError:
            return True

    wait_until(drip, 20, "the slow client to be cut")
    sock.close()
    daemon.wait_event("admin_client_too_slow")


def test_slow_clients_slow_nobody(start, provider, tokens):
    """As many as fit, all of them dripping, while mail flows and others ask."""
    from lib.daemon import account
    daemon = start([account("a@example.com", provider, tokens)])
    assert daemon.send("a@example.com", ["b@example.net"]).code == 250
    stop = threading.Event()
    socks = [open_idle(daemon) for _ in range(14)]

    def drip():
        while not stop.is_set():
            for sock in socks:
                try:
                    sock.sendall(b"G")
                except OSError:
                    pass
            time.sleep(0.01)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        for _ in range(20):
            assert daemon.send("a@example.com", ["b@example.net"]).code == 250
            assert daemon.admin.get("/health").status == 200
    finally:
        stop.set()
        thread.join()
        for sock in socks:
            sock.close()


# --- garbage ----------------------------------------------------------------

GARBAGE = [
    b"\r\n\r\n\r\n", b"\0" * 1000, b"GET\r\n\r\n", b"GET /health\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
    b"GET  /health  HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /health HTTP/1.1\r\n: x\r\n\r\n",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"PUT /admin/log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /admin/api-tokens/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"DELETE /admin/api-tokens/" + b"%41" * 500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /admin/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer\r\n\r\n",
    b"GET /admin/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Og==\r\n\r\n",
    b"GET /admin/status?" + b"&" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
]


def test_garbage(start):
    daemon = start(conf={"admin.timeout": "1s"})
    for unix in (None, daemon.dir / "bearerd.sock"):
        threads = [threading.Thread(target=raw, args=(daemon.admin_port, octets),
                                    kwargs={"unix": unix, "finish": True}) for octets in GARBAGE]
        for at in range(0, len(threads), 12):
            for thread in threads[at:at + 12]:
                thread.start()
            for thread in threads[at:at + 12]:
                thread.join()
    assert daemon.admin.get("/health").status == 200


@pytest.mark.timeout(120)
def test_random_garbage(start):
    """Requests with octets changed, doubled and cut, in random pieces."""
    daemon = start(conf={"admin.timeout": "1s"})
    chance = random.Random(20261125)
    seeds = GARBAGE + [b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"".join(chunked(b"/admin/log", 10, 3)),
                       b"POST /admin/reload?wait=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"]
    for _ in range(400):
        octets = bytearray(chance.choice(seeds) * chance.randrange(1, 3))
        for _ in range(chance.randrange(8)):
            octets[chance.randrange(len(octets))] = chance.choice([chance.randrange(256), 13, 10, 32, 37])
        octets = bytes(octets[:chance.randrange(1, len(octets) + 1)])
        sock = socket.create_connection(("127.0.0.1", daemon.admin_port), timeout=20 * PATIENCE)
        with sock:
            try:
                at = chance.randrange(len(octets) + 1)
                sock.sendall(octets[:at])
                sock.sendall(octets[at:])
                if chance.random() < 0.7:
                    sock.shutdown(socket.SHUT_WR)
                    sock.settimeout(0.05)
                    while sock.recv(65536):
                        pass
            except OSError:
                pass
    wait_until(lambda: answers(daemon), 10, "an answer after all that")


# --- starting ---------------------------------------------------------------


def test_a_port_that_is_taken(start):
    first = start()
    second = start(start=False)
    second.args += ["--admin-port", first.admin_port]
    second.start(ready=False)
    assert second.process.wait() == 1
    assert "admin.port" in second.log_tail() and str(first.admin_port) in second.log_tail()
    second.process = None


def test_two_in_one_folder(start):
    """The second one goes without a socket, and takes none away."""
    first = start()
    second = start(start=False)
    second.args[second.args.index(second.accounts)] = first.accounts
    second.start()
    assert "another process listens" in second.wait_event("admin_socket_unavailable")["reason"]
    second.stop()
    second.process = None
    assert first.owner.get("/health").status == 200


def test_a_socket_left_by_a_crash(start):
    daemon = start()
    daemon.kill()
    assert (daemon.dir / "bearerd.sock").exists()
    daemon.start()
    assert daemon.owner.get("/health").status == 200
    daemon.stop()
    assert not (daemon.dir / "bearerd.sock").exists()
    daemon.process = None


def test_a_folder_whose_path_is_too_long(start):
    daemon = start(start=False)
    folder = daemon.dir / ("x" * 100)
    folder.mkdir()
    daemon.accounts.rename(folder / "accounts.json")
    daemon.args[daemon.args.index(daemon.accounts)] = folder / "accounts.json"
    daemon.start()
    assert "longer" in daemon.wait_event("admin_socket_unavailable")["reason"]
    assert daemon.admin.get("/health").status == 200


def test_sockets_by_name(start):
    daemon = start(conf={"admin.socket": "none"}, args=["--admin-port", "0"])
    assert not (daemon.dir / "bearerd.sock").exists()
    place = daemon.dir / "by-name.sock"
    other = start(conf={"admin.socket": str(place)}, args=["--admin-port", "0"])
    assert Admin(unix=place).get("/health").status == 200
    assert place.stat().st_mode & 0o777 == 0o600
    third = start(conf={"admin.socket": "none"}, start=False)
    third.args += ["--admin-host", "unix:%s" % (daemon.dir / "host.sock")]
    third.start()
    assert Admin(unix=daemon.dir / "host.sock").get("/health").status == 200
    taken = start(conf={"admin.socket": str(place)}, start=False)
    taken.start(ready=False)
    assert taken.process.wait() == 1 and "admin.socket" in taken.log_tail()
    taken.process = None
    assert Admin(unix=place).get("/health").status == 200
    other.stop()


def test_it_answers_before_mail_is_relayed_and_until_the_end(start, provider, tokens):
    """`starting`, `healthy`, and while draining `unhealthy` to the last."""
    from lib.daemon import account
    provider.final_delay = 0
    daemon = start([account("a@example.com", provider, tokens)], start=False)
    daemon.start(ready=False)
    daemon.wait_event("admin_ready")
    seen = set()
    wait_until(lambda: seen.add(daemon.owner.get("/health")["status"]) or "healthy" in seen, 20, "healthy")
    assert seen <= {"starting", "healthy", "degraded"}
    assert json.loads(raw(daemon.admin_port, b"GET /health HTTP/1.0\r\n\r\n").split(b"\r\n\r\n")[1])["ready"]
