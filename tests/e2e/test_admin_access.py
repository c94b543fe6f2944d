"""Who may do what on the admin API: API tokens, scopes, places, browsers, TLS."""
import json
import os
import socket
import ssl
import stat

import pytest

from lib.admin import Admin, make_token, raw
from lib.daemon import run_bearerd
from lib.util import wait_until

WRONG = "brd_" + "0" * 64
READS = ["/metrics", "/admin/status", "/admin/config", "/admin/accounts", "/admin/log", "/admin/addresses"]
OWNERS = ["/admin/api-tokens"]


def tls_conf(certs, **more):
    return dict({"tls.certificate": str(certs.cert), "tls.key": str(certs.key)}, **more)


# --- places -----------------------------------------------------------------


def test_loopback_needs_no_token_but_is_not_the_owner(start):
    daemon = start()
    for path in READS:
        assert daemon.admin.get(path).status == 200, path
    assert daemon.admin.put("/admin/log", {"level": "debug"}).status == 200
    for path in OWNERS:
        answer = daemon.admin.get(path)
        assert answer.status == 403 and "unix socket" in answer["error"], answer
    assert daemon.admin.post("/admin/api-tokens", {"name": "x", "scope": "read"}).status == 403


def test_our_user_on_the_unix_socket_is_the_owner(start):
    daemon = start()
    mode = (daemon.dir / "bearerd.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o600
    for path in READS + OWNERS:
        assert daemon.owner.get(path).status == 200, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_on_the_unix_socket_is_not_the_owner(start):
    """Nobody else can connect; whoever was let in by a wider mode is like loopback."""
    daemon = start()
    os.chmod(daemon.dir, 0o755)
    path = daemon.dir / "bearerd.sock"
    assert as_user(65534, path, b"GET /admin/status HTTP/1.0\r\n\r\n") is None
    os.chmod(path, 0o666)
    assert b" 200 " in as_user(65534, path, b"GET /admin/status HTTP/1.0\r\n\r\n")
    assert b" 403 " in as_user(65534, path, b"GET /admin/api-tokens HTTP/1.0\r\n\r\n")


def as_user(uid, path, octets):
    """What another user gets; None: he may not connect."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            got = raw(None, octets, unix=path)
        except PermissionError:
            got = b"-"
        except BaseException:
            got = b"failed"
        os.write(writer, got[:60000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        got = pipe.read()
    os.waitpid(child, 0)
    assert got != b"failed"
    return None if got == b"-" else got


# --- tokens -----------------------------------------------------------------


def test_tokens_and_their_scopes(start):
    daemon = start(conf={"admin.require_token": True})
    reader = daemon.admin.using(token=make_token(daemon, "reader", "read"))
    writer = daemon.admin.using(token=make_token(daemon, "writer", "write"))
    for path in READS:
        assert daemon.admin.get(path).status == 401, path
        assert reader.get(path).status == 200, path
        assert writer.get(path).status == 200, path
    answer = daemon.admin.get("/admin/status")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert daemon.admin.put("/admin/log", {"level": "debug"}).status == 401
    answer = reader.put("/admin/log", {"level": "debug"})
    assert answer.status == 403 and "reader" in answer["error"] and "scope write" in answer["error"]
    assert writer.put("/admin/log", {"level": "debug"}).status == 200
    for path in OWNERS:
        assert reader.get(path).status == 403 and writer.get(path).status == 200, path
    # Not by the owner: he is who makes the first one.
    assert daemon.owner.get("/admin/status").status == 200


def test_a_wrong_token_is_refused_where_none_is_needed(start):
    daemon = start()
    for header in ("Bearer " + WRONG, "Bearer ", "Bearer", "Basic Og==", "brd_", "bearer x"):
        answer = daemon.admin.request("GET", "/admin/status", headers={"Authorization": header})
        assert answer.status == 401, header
    assert daemon.owner.using(token=WRONG).get("/admin/status").status == 401
    assert daemon.wait_event("admin_token_refused")["client"] == "127.0.0.1"


def test_the_scheme_is_known_in_any_case(start):
    daemon = start()
    token = make_token(daemon)
    for header in ("bearer " + token, "BEARER   " + token + " "):
        answer = daemon.admin.request("GET", "/admin/api-tokens", headers={"Authorization": header})
        assert answer.status == 200, header


def test_wrong_tokens_are_limited_per_address(start):
    """Each waits a second; beyond twenty a minute there is no waiting, and a right one
    is let through."""
    daemon = start()
    token = make_token(daemon)
    socks = []
    for _ in range(2):  # as many at once as an address may have
        batch = [socket.create_connection(("127.0.0.1", daemon.admin_port)) for _ in range(12)]
        for sock in batch:
            sock.sendall(b"GET /admin/status HTTP/1.0\r\nAuthorization: Bearer x\r\n\r\n")
        socks += [sock.makefile("rb").read() for sock in batch]
        for sock in batch:
            sock.close()
    statuses = [got.split()[1] for got in socks]
    assert statuses.count(b"401") == 20 and statuses.count(b"429") == 4
    assert any(b"Retry-After: " in got for got in socks)
    assert daemon.admin.using(token=token).get("/admin/status").status == 200
    assert daemon.owner.using(token=WRONG).get("/admin/status").status == 401  # another place


def test_tokens_are_kept_as_hashes(start):
    daemon = start()
    token = make_token(daemon, "one", "read")
    path = daemon.dir / "api-tokens.json"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert token not in text and token[4:] not in text and "blake2b:" in text
    answer = daemon.owner.get("/admin/api-tokens")
    assert [item["name"] for item in answer["tokens"]] == ["one"] and token not in answer.text
    assert answer["tokens"][0]["last_used"] is None
    daemon.admin.using(token=token).get("/admin/status")
    assert daemon.owner.get("/admin/api-tokens")["tokens"][0]["last_used"]
    assert token not in daemon.log_tail(10000)


def test_tokens_are_made_and_removed(start):
    daemon = start()
    token = make_token(daemon, "one")
    answer = daemon.owner.post("/admin/api-tokens", {"name": "one", "scope": "read"})
    assert answer.status == 409 and answer["field"] == "name"
    for body, field in (({"scope": "read"}, "name"), ({"name": "a b", "scope": "read"}, "name"),
                        ({"name": "x" * 65, "scope": "read"}, "name"), ({"name": "", "scope": "read"}, "name"),
                        ({"name": 5, "scope": "read"}, "name"), ({"name": "a"}, "scope"),
                        ({"name": "a", "scope": "owner"}, "scope")):
        answer = daemon.owner.post("/admin/api-tokens", body)
        assert answer.status == 400 and answer["field"] == field, (body, answer)
    assert daemon.owner.delete("/admin/api-tokens/two").status == 404
    assert daemon.owner.delete("/admin/api-tokens/a%2Fb").status == 404
    assert daemon.owner.delete("/admin/api-tokens/%zz").status == 400
    assert daemon.admin.using(token=token).delete("/admin/api-tokens/%6Fne").status == 200
    assert daemon.admin.using(token=token).get("/admin/status").status == 401
    assert daemon.owner.get("/admin/api-tokens")["tokens"] == []


def test_many_tokens_at_once(start):
    """One change of the file at a time; what was answered 201 is there."""
    daemon = start()
    made = []
    for number in range(20):
        wait_until(lambda: made.append(daemon.owner.post("/admin/api-tokens", {
            "name": "n%d" % number, "scope": "read"})) or made[-1].status == 201, 20, "a token")
    assert len(daemon.owner.get("/admin/api-tokens")["tokens"]) == 20
    daemon.stop()
    daemon.start()
    assert len(daemon.owner.get("/admin/api-tokens")["tokens"]) == 20


def test_the_file_is_read_again_on_reload(start):
    daemon = start()
    token = make_token(daemon)
    path = daemon.dir / "api-tokens.json"
    kept = path.read_text()
    daemon.admin.using(token=token).get("/admin/status")
    path.write_text('{"tokens": []}')
    assert daemon.admin.post("/admin/reload", wait="true").status == 200
    assert daemon.admin.using(token=token).get("/admin/status").status == 401
    path.write_text(kept)
    assert daemon.admin.post("/admin/reload", wait="true").status == 200
    assert daemon.admin.using(token=token).get("/admin/status").status == 200
    path.write_text("{")
    assert daemon.admin.post("/admin/reload", wait="true").status == 200
    assert "api-tokens.json" in daemon.wait_event("admin_tokens_kept")["reason"]
    assert daemon.admin.using(token=token).get("/admin/status").status == 200


@pytest.mark.parametrize("text, words", [
    ("{", ["api-tokens.json:1"]),
    ("[]", ["tokens"]),
    ('{"tokens": [{"name": "a b", "scope": "read"}]}', ["token 1", "name"]),
    ('{"tokens": [{"name": "a", "scope": "all"}]}', ["token 1", "scope"]),
    ('{"tokens": [{"name": "a", "scope": "read", "hash": "blake2b:00"}]}', ["token 1", "hash"]),
])
def test_a_broken_file_stops_the_start(start, text, words):
    daemon = start(start=False)
    (daemon.dir / "api-tokens.json").write_text(text)
    for args in (["--check"], []):
        code, out, err = run_bearerd(*args, *daemon.args)
        assert code != 0 and all(word in out + err for word in words), err


def test_the_file_by_name(start):
    daemon = start(start=False)
    daemon.conf["admin.token_file"] = str(daemon.dir / "elsewhere.json")
    daemon.write_config()
    daemon.start()
    make_token(daemon)
    assert json.loads((daemon.dir / "elsewhere.json").read_text())["tokens"][0]["name"] == "test"
    assert not (daemon.dir / "api-tokens.json").exists()


def test_a_file_that_cannot_be_written(start):
    daemon = start(conf={"admin.token_file": "/proc/nowhere.json"})
    answer = daemon.owner.post("/admin/api-tokens", {"name": "a", "scope": "read"})
    assert answer.status == 500 and "/proc/nowhere.json" in answer["error"]
    assert daemon.owner.get("/admin/api-tokens")["tokens"] == []


# --- what needs no token ----------------------------------------------------


def test_health_without_a_token_tells_little(start):
    daemon = start(conf={"admin.require_token": True})
    answer = daemon.admin.get("/health")
    assert answer.json == {"status": "healthy", "service": "xoauth2-proxy-admin", "live": True, "ready": True}
    assert daemon.admin.get("/health/live").json == {"status": "live"}
    assert daemon.admin.get("/health/ready").json == {"status": "ready"}
    assert daemon.admin.get("/openapi.json")["openapi"].startswith("3.1")
    assert "version" in daemon.owner.get("/health").json
    assert daemon.admin.using(token=WRONG).get("/health").json == answer.json
    token = make_token(daemon, scope="read")
    assert "version" in daemon.admin.using(token=token).get("/health").json


# --- browsers ---------------------------------------------------------------


@pytest.mark.parametrize("headers, allowed", [
    ({"Host": "localhost"}, True),
    ({"Host": "localhost:9090"}, True),
    ({"Host": "LOCALHOST:1"}, True),
    ({"Host": "127.0.0.1"}, True),
    ({"Host": "[::1]:9090"}, True),
    ({"Host": "192.0.2.1:9090"}, True),
    ({"Host": "relay.example:80"}, True),  # the option hostname
    ({"Host": socket.gethostname()}, True),
    ({"Host": ""}, True),
    ({"Host": "evil.example"}, False),
    ({"Host": "evil.example:9090"}, False),
    ({"Host": "127.0.0.1.evil.example"}, False),
    ({"Host": "localhost.evil.example"}, False),
    ({"Host": "[::1].evil.example"}, False),
    ({"Host": "127.0.0.1:80:evil.example"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://127.0.0.1:9090"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "none"}, True),
])
def test_what_a_web_page_can_cause(start, headers, allowed):
    daemon = start()
    answer = daemon.admin.request("PUT", "/admin/log", {"level": "debug"}, headers=headers)
    assert answer.status == (200 if allowed else 403), answer
    assert allowed or list(headers)[0] in answer["error"]
    # A page has no token; who has one may come from anywhere.
    answer = daemon.admin.using(token=make_token(daemon)).request("GET", "/admin/status", headers=headers)
    assert answer.status == 200
    # No page can reach a unix socket, and a watcher hears no more than anybody.
    assert daemon.owner.request("GET", "/admin/status", headers=headers).status == 200
    answer = daemon.admin.request("GET", "/health", headers=headers)
    assert answer.status == 200 and ("version" in answer.json) == allowed


def test_no_page_is_invited(start):
    daemon = start()
    answer = daemon.admin.request("OPTIONS", "/admin/log", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"})
    assert answer.status == 204 and not [name for name in answer.headers if "access-control" in name]


# --- other machines ---------------------------------------------------------


def check(daemon):
    return run_bearerd("--check", *daemon.args)


def bind_all(daemon):
    daemon.args[daemon.args.index("--admin-host") + 1] = "0.0.0.0"
    return daemon


def make_file(daemon):
    """A token file, made by a start on loopback."""
    daemon.start()
    token = make_token(daemon)
    daemon.stop()
    daemon.process = None
    return token


@pytest.mark.parametrize("conf, words", [
    ({}, ["admin.host", "0.0.0.0", "tls.certificate", "127.0.0.1"]),
    ({"admin.tls": "off"}, ["admin.host", "0.0.0.0", "admin.tls", "127.0.0.1"]),
])
def test_other_machines_need_tls(start, conf, words):
    daemon = start(conf=conf, start=False)
    make_file(daemon)
    bind_all(daemon)
    for run in (check(daemon), run_bearerd(*daemon.args)):
        assert run[0] != 0 and all(word in run[1] + run[2] for word in words), run


def test_other_machines_need_a_token(start, certs):
    daemon = bind_all(start(conf=tls_conf(certs), start=False))
    for run in (check(daemon), run_bearerd(*daemon.args)):
        assert run[0] != 0
        for word in ("admin.host", "0.0.0.0", "api-tokens.json", "--admin-host 127.0.0.1"):
            assert word in run[1] + run[2], run
    code, out, err = run_bearerd("--check", *daemon.args, "--admin-port", "0")
    assert code == 0, err


def test_tls_and_a_token_for_other_machines(start, certs):
    daemon = start(conf=tls_conf(certs), start=False)
    token = make_file(daemon)
    bind_all(daemon).start()
    remote = Admin(daemon.admin_port, host="localhost", tls=certs.client_context())
    assert remote.get("/admin/status").status == 401  # even from loopback
    assert "version" not in remote.get("/health").json
    assert remote.using(token=token).get("/admin/status").status == 200
    assert remote.using(token=token).get("/admin/api-tokens").status == 200
    assert b" 200 " not in raw(daemon.admin_port, b"GET /health HTTP/1.0\r\n\r\n")
    assert daemon.owner.get("/admin/status").status == 200
    # A large answer, and several on one connection.
    kept = remote.using(token=token, keep=True)
    for _ in range(5):
        assert len(kept.get("/openapi.json").body) > 50000


def test_tls_versions(start, certs):
    daemon = start(conf=tls_conf(certs, **{"admin.tls": "on"}))
    for version, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True),
                           (ssl.TLSVersion.TLSv1_3, True)):
        context = certs.client_context()
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            status = Admin(daemon.admin_port, host="localhost", tls=context).get("/admin/status").status
        except OSError:
            status = None
        assert status == (200 if works else None), version  # on loopback no token is needed


def test_a_new_certificate_with_a_reload(start, certs):
    daemon = start(conf=tls_conf(certs, **{"admin.tls": "on"}))
    old = Admin(daemon.admin_port, host="localhost", tls=certs.client_context(), keep=True)
    assert old.get("/health").status == 200
    cert, key = certs.issue("newer", "DNS:localhost,DNS:newer.example")
    daemon.conf.update({"tls.certificate": str(cert), "tls.key": str(key)})
    daemon.write_config()
    assert old.post("/admin/reload", wait="true").status == 200
    assert old.get("/health").status == 200  # its connection goes on
    context = certs.client_context()
    with socket.create_connection(("127.0.0.1", daemon.admin_port)) as sock:
        with context.wrap_socket(sock, server_hostname="newer.example") as tls:
            tls.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b" 200 " in tls.recv(1000)


def test_handshakes_are_limited(start, certs):
    daemon = start(conf=tls_conf(certs, **{"admin.tls": "on", "admin.requests_per_second": 2}))
    admin = Admin(daemon.admin_port, host="localhost", tls=certs.client_context())
    refused = 0
    for _ in range(20):
        try:
            admin.get("/health")
        except OSError:
            refused += 1
    assert 0 < refused < 20
    wait_until(lambda: connects(admin), 10, "room for another handshake")


def connects(admin):
    try:
        return admin.get("/health").status == 200
    except OSError:
        return False
