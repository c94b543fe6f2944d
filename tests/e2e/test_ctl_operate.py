"""bearerctl looks after bearerd: health, status, pools, config, log, reload, drain, top."""
import json

import pytest

from lib.ctl import Ctl, FAILED, OK, PARTLY, UNREACHABLE, USAGE, World
from lib.util import free_port, wait_until


@pytest.fixture
def world(certs):
    one = World(certs)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def still(certs):
    one = World(certs)
    one.daemon.send("user1@example.test", "x@example.net")
    yield one
    one.stop()


def test_health(still):
    done = still.ctl.ok("health")
    assert done.out == "healthy\n"
    assert still.ctl.ok("health", "--nagios").out == "BEARERD OK - healthy\n"
    assert still.ctl.ok("health", "--json").json()["service"] == "xoauth2-proxy-admin"


def test_health_of_a_sick_one(world):
    world.sim.revoke("user2@example.test", "refresh")
    world.ctl("accounts", "verify", "user2@example.test")
    world.ctl.ok("accounts", "set", "user2@example.test", "--new-refresh-token", stdin=b"1//dead\n")
    done = wait_until(lambda: (lambda done: done.code == PARTLY and done)(world.ctl("health")),
                      what="bad health")
    assert done.out.startswith("degraded: ")
    done = world.ctl("health", "--nagios")
    assert done.code == 1 and done.out.startswith("BEARERD WARNING - degraded: ")


def test_health_of_nobody():
    nobody = Ctl("http://127.0.0.1:%d" % free_port())
    assert nobody("health").code == UNREACHABLE
    done = nobody("health", "--nagios")
    assert done.code == 2 and done.out == "BEARERD CRITICAL - no answer\n"
    assert nobody("health", "--nagios", "--url", "x").code == 3


def test_status(still):
    done = still.ctl.ok("status")
    assert done.lines[0].startswith("bearerd ")
    assert any(line.split() == ["active", "3"] for line in done.lines)
    assert any(line.split()[:2] == ["messages", "delivered"] for line in done.lines)
    answer = still.ctl.ok("status", "--json").json()
    assert answer["pid"] == still.daemon.pid and answer["accounts"]["total"] == 3


def test_pools(still):
    row, = still.ctl.ok("pools").table()
    assert row["EMAIL"] == "user1@example.test" and row["DELIVERED"] == "1"
    assert still.ctl.ok("pools", "user1@example.test", "--json").json()["pools"][0]["endpoint"]


def test_tokens(still):
    rows = still.ctl.ok("tokens").table()
    assert len(rows) == 3 and {row["SAVED"] for row in rows} == {"yes"}
    row, = still.ctl.ok("tokens", "user2@example.test").table()
    assert row["EMAIL"] == "user2@example.test"
    answer = still.ctl.ok("tokens", "--json").json()
    assert len(answer["tokens"]) == 3 and still.records[0]["refresh_token"] not in json.dumps(answer)


def test_limits(still):
    row, = still.ctl.ok("limits", "user1@example.test").table()
    assert row["CONNECTIONS"] == "1/10"
    assert still.ctl.ok("limits", "--json").json()["limits"]


def test_addresses(still):
    rows = {row["ADDRESS"]: row for row in still.ctl.ok("addresses").table()}
    assert rows["127.0.0.1"]["ACCOUNTS"] == "0"
    assert "addresses" in still.ctl.ok("addresses", "--json").json()


def test_config(still):
    rows = {row["OPTION"]: row for row in still.ctl.ok("config").table()}
    assert rows["admin.port"]["VALUE"] == str(still.daemon.admin_port)
    assert rows["admin.port"]["FROM"] == "flag"
    assert "backlog" in rows
    changed = still.ctl.ok("config", "--changed").table()
    assert {row["FROM"] for row in changed} & {"default"} == set()
    assert 0 < len(changed) < len(rows)
    assert {row["OPTION"].split(".")[0] for row in still.ctl.ok("config", "admin.").table()} == {"admin"}
    assert still.ctl.ok("config", "--json").json()["options"]


def test_log_level(world):
    assert world.ctl.ok("log").out == "debug\n"
    assert world.ctl.ok("log", "warn").out == "warn\n"
    assert world.ctl.ok("log", "--json").json()["level"] == "warn"
    assert world.ctl("log", "loud").code == USAGE


def test_reload(world):
    world.daemon.write_accounts(world.records[:1])
    done = world.ctl.ok("reload")
    assert done.out
    assert world.emails() == ["user1@example.test"]
    world.daemon.write_config("nonsense: [")
    done = world.ctl("reload")
    assert done.code == FAILED and "config.yaml" in done.err
    world.daemon.write_config()
    world.ctl.ok("reload", "--no-wait")


def test_drain(world):
    assert world.ctl("drain").code == USAGE
    world.ctl.ok("drain", "--yes")
    world.daemon.process.wait()
    assert world.ctl("status").code == UNREACHABLE


# --- on a terminal ------------------------------------------------------------


def test_tables_are_cut_to_the_terminal(still):
    terminal = still.ctl.terminal("tokens", columns=60)
    assert terminal.end() == OK
    assert b"\033[1m" in terminal.shown
    plain = terminal.shown
    for sequence in (b"\033[0m", b"\033[1m", b"\033[2m", b"\033[31m", b"\033[32m", b"\033[33m"):
        plain = plain.replace(sequence, b"")
    assert b"\033" not in plain
    assert max(map(len, plain.decode().splitlines())) <= 60
    assert b"~" in plain


def test_no_color(still):
    ctl = Ctl(still.url, NO_COLOR="1")
    terminal = ctl.terminal("accounts", "list")
    assert terminal.end() == OK and b"\033" not in terminal.shown
    dumb = Ctl(still.url, TERM="dumb").terminal("accounts", "list")
    assert dumb.end() == OK and b"\033" not in dumb.shown


def screen_of(shown, rows=24, columns=80):
    """What stands on the screen behind the last frame that is complete."""
    frame = shown[:shown.rindex(b"\033[J")]
    frame = frame[frame.rindex(b"\033[H") + 3:]
    for sequence in (b"\033[K", b"\033[0m", b"\033[1m", b"\033[2m", b"\033[31m"):
        frame = frame.replace(sequence, b"")
    lines = frame.decode().replace("\r\r", "\r").split("\r\n")
    assert len(lines) <= rows and max(map(len, lines)) <= columns and "\033" not in frame.decode()
    return lines


def test_top(still):
    terminal = still.ctl.terminal("top")
    at = terminal.expect(b"\033[J", terminal.expect(b"ACCOUNT"))
    lines = screen_of(terminal.shown)
    assert len(lines) == 24
    assert lines[0].startswith("bearerd ") and still.url in lines[0]
    assert lines[1].startswith("accounts: 3")
    assert lines[5].split()[0] == "ACCOUNT"
    assert lines[6].split()[0] == "user1@example.test"
    assert not terminal.echoes()
    for _ in range(3):
        still.daemon.send("user2@example.test", "x@example.net")
    at = terminal.expect(b"user2@example.test", at)
    terminal.expect(b"\033[J", at)
    assert screen_of(terminal.shown)[6].split()[0] == "user2@example.test"
    terminal.type(b"q")
    assert terminal.end() == OK
    assert terminal.left_echoing
    assert terminal.shown.endswith(b"\033[?25h\033[?1049l")


def test_top_ends_well_when_interrupted(still):
    terminal = still.ctl.terminal("top", rows=10, columns=40)
    terminal.expect(b"\033[J")
    assert screen_of(terminal.shown, 10, 40)
    terminal.process.terminate()
    assert terminal.end() == OK
    assert terminal.left_echoing and terminal.shown.endswith(b"\033[?1049l")


def test_top_waits_for_a_bearerd_that_comes_back(world):
    terminal = world.ctl.terminal("top", columns=120)
    at = terminal.expect(b"q quits")
    world.daemon.stop()
    at = terminal.expect(b"cannot reach bearerd", at)
    world.daemon.start()
    terminal.expect(b"q quits", at)
    terminal.type(b"q")
    assert terminal.end() == OK


def test_top_is_for_terminals(still):
    done = still.ctl("top")
    assert done.code == USAGE and "--json" in done.err
