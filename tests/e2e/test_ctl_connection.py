"""How bearerctl finds bearerd, what it says when it does not, and its tokens."""
import json
import os
import socket

import pytest

from lib.ctl import Ctl, FAILED, FORBIDDEN, OK, UNREACHABLE, USAGE, World
from lib.util import free_port


@pytest.fixture(scope="module")
def world(certs):
    one = World(certs, known=1)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def locked(certs):
    """One that wants a token."""
    one = World(certs, known=1, conf={"admin.require_token": True})
    yield one
    one.stop()


def total(done):
    return done.json()["total_accounts"]


LIST = ("accounts", "list", "--json")


def test_url_from_anywhere(world):
    nobody = "http://127.0.0.1:%d" % free_port()
    plain = Ctl()
    assert total(plain.ok("--url", world.url, *LIST)) == 1
    assert total(plain.ok(*LIST, "--url=" + world.url + "/")) == 1
    assert total(plain.ok(*LIST, env={"BEARERD_URL": world.url})) == 1
    assert total(plain.ok(*LIST, env={"XOAUTH2_PROXY_URL": world.url})) == 1
    assert total(plain.ok(*LIST, env={"XOAUTH2_PROXY_URL": nobody, "BEARERD_URL": world.url})) == 1
    assert total(plain.ok("--url", world.url, *LIST, env={"BEARERD_URL": nobody})) == 1
    assert plain("--url", nobody, *LIST, env={"BEARERD_URL": world.url}).code == UNREACHABLE


def test_sockets(world, tmp_path):
    plain = Ctl()
    assert total(plain.ok(*LIST, "--url", "unix:%s" % world.socket)) == 1
    assert total(plain.ok(*LIST, "--url", "unix://%s" % world.socket)) == 1
    assert total(plain.ok(*LIST, cwd=world.daemon.dir)) == 1
    home = tmp_path / ".local/state/bearerd"
    home.mkdir(parents=True)
    os.symlink(world.socket, home / "bearerd.sock")
    assert total(plain.ok(*LIST, env={"HOME": str(tmp_path)})) == 1


def test_proxies_of_the_environment_are_not_for_us(world):
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        assert total(Ctl(world.url).ok(*LIST, env={name: "http://127.0.0.1:1"})) == 1


def test_nobody_there():
    url = "http://127.0.0.1:%d" % free_port()
    done = Ctl(url)(*LIST)
    assert done.code == UNREACHABLE and done.out == ""
    assert url in done.err and "refused" in done.err and "BEARERD_URL" in done.err
    assert "running" in done.err


def test_a_socket_without_a_listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "bearerd.sock"))
        done = Ctl()("status", cwd=tmp_path)
    assert done.code == UNREACHABLE and "./bearerd.sock" in done.err


def test_a_socket_that_anybody_may_have_left(world, tmp_path):
    """In a folder that others may write to, it is no place for tokens and secrets."""
    os.symlink(world.socket, tmp_path / "bearerd.sock")
    tmp_path.chmod(0o1777)
    asked = Ctl()(*LIST, cwd=tmp_path, env={"HOME": "/nonexistent"})
    assert "./bearerd.sock may be somebody else's" in asked.err
    assert total(Ctl().ok(*LIST, "--url", "unix:./bearerd.sock", cwd=tmp_path)) == 1
    tmp_path.chmod(0o755)
    assert total(Ctl().ok(*LIST, cwd=tmp_path)) == 1


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://localhost", "http://u:p@localhost", "unix:",
                                 "http://localhost/?x=1"])
def test_urls_that_are_none(url):
    done = Ctl()(*LIST, "--url", url)
    assert done.code == USAGE and "--url" in done.err


def test_a_token_never_goes_out_in_clear(tmp_path):
    token = tmp_path / "token"
    token.write_text("brd_secret\n")
    token.chmod(0o600)
    for args, env in ((["--token-file", token], {}), ([], {"BEARERD_TOKEN": "brd_secret"})):
        done = Ctl("http://192.0.2.1:9090")(*LIST, *args, env=env)
        assert done.code == USAGE and "https://" in done.err and "brd_secret" not in done.err


@pytest.mark.parametrize("args", [["import", "-"], ["accounts", "add", "a@b"], ["passwd", "a@b"],
                                  ["export"], ["api-token", "create", "x"]])
def test_secrets_never_go_out_in_clear(args):
    done = Ctl("http://192.0.2.1:9090")(*args, stdin=b"x\n")
    assert done.code == USAGE and "https://" in done.err


def make_token(world, tmp_path, name, scope):
    path = tmp_path / name
    world.owner.ok("api-token", "create", name, "--scope", scope, "-o", path)
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def test_tokens_open_doors(locked, tmp_path):
    done = locked.ctl(*LIST)
    assert done.code == FORBIDDEN and "no token was sent" in done.err
    path = make_token(locked, tmp_path, "look", "read")
    assert total(locked.ctl.ok(*LIST, "--token-file", path)) == 1
    assert total(locked.ctl.ok(*LIST, env={"BEARERD_TOKEN": path.read_text().strip()})) == 1
    done = locked.ctl("accounts", "disable", "user1@example.test", "--token-file", path)
    assert done.code == FORBIDDEN and str(path) in done.err
    assert path.read_text().strip() not in done.err


def test_token_life(locked, tmp_path):
    path = make_token(locked, tmp_path, "ci", "write")
    listed = {row["NAME"]: row for row in locked.owner.ok("api-token", "list").table()}
    assert listed["ci"]["SCOPE"] == "write" and listed["ci"]["LAST USED"] == "never"
    locked.ctl.ok("accounts", "list", "--token-file", path)
    assert path.read_text().strip() not in locked.owner.ok("api-token", "list", "--json").out
    assert locked.owner("api-token", "create", "ci").code == FAILED
    locked.owner.ok("api-token", "revoke", "ci")
    assert locked.ctl("accounts", "list", "--token-file", path).code == FORBIDDEN
    assert locked.owner("api-token", "revoke", "ci").code == FAILED


def test_a_new_token_is_shown_once(locked):
    done = locked.owner.ok("api-token", "create", "shown")
    assert done.out.startswith("brd_") and done.out.count("\n") == 1
    assert "once" in done.err
    assert done.out.strip() not in locked.owner.ok("api-token", "list").out


def test_a_token_file_in_use_stays(locked, tmp_path):
    path = make_token(locked, tmp_path, "keep", "read")
    before = path.read_text()
    assert locked.owner("api-token", "create", "other", "-o", path).code == FAILED
    assert path.read_text() == before
    assert "other" not in locked.owner.ok("api-token", "list").out


@pytest.mark.parametrize("text", ["", "\n", "two words", "brd_\x01", "x" * 600],
                         ids=["empty", "blank", "two", "control", "long"])
def test_token_files_without_a_token(world, tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    assert world.ctl(*LIST, "--token-file", path).code == USAGE
    assert world.ctl(*LIST, "--token-file", tmp_path / "none").code == FAILED


def test_a_token_that_others_may_read_is_told(world, tmp_path):
    path = tmp_path / "token"
    path.write_text("brd_x\n")
    path.chmod(0o644)
    assert "chmod 600" in world.ctl(*LIST, "--token-file", path).err


def test_tls(certs):
    conf = {"admin.tls": "on", "tls.certificate": str(certs.cert), "tls.key": str(certs.key)}
    one = World(certs, known=1, conf=conf)
    try:
        url = "https://localhost:%d" % one.daemon.admin_port
        assert total(Ctl(url).ok(*LIST, "--ca-file", certs.ca)) == 1
        done = Ctl(url)(*LIST)
        assert done.code == UNREACHABLE and "--ca-file" in done.err
        assert Ctl(url)(*LIST, "--ca-file", "/nonexistent").code == UNREACHABLE
        assert Ctl(url.replace("https", "http"))(*LIST).code in (UNREACHABLE, FAILED)
    finally:
        one.stop()


def test_json_is_for_commands_that_print(world):
    done = world.ctl("top", "--json")
    assert done.code == USAGE and "--json" in done.err
    assert json.loads(world.ctl.ok("health", "--json").out)["status"]
    assert world.ctl("--json", "health").code == OK
