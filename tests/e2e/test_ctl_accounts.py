"""bearerctl and accounts: list, show, add, set, enable, disable, remove, passwd."""
import json
import subprocess

import pytest

from lib.ctl import FAILED, OK, PARTLY, USAGE, World


@pytest.fixture
def world(certs):
    one = World(certs)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def still(certs):
    """For tests that change nothing."""
    one = World(certs)
    yield one
    one.stop()


def test_list_is_a_table_with_counts(still):
    done = still.ctl.ok("accounts", "list")
    assert done.lines[0].split() == ["EMAIL", "PROVIDER", "STATE", "FOR", "UNTIL", "PASSWORD", "WHY"]
    rows = done.table()
    assert [row["EMAIL"] for row in rows] == ["user%d@example.test" % n for n in (1, 2, 3)]
    assert {row["STATE"] for row in rows} == {"active"}
    assert done.lines[-1] == "3 accounts: 3 active"
    assert "\033" not in done.out


def test_list_as_json_is_what_the_api_says(still):
    answer = still.ctl.ok("accounts", "list", "--json").json()
    assert answer["success"] is True and answer["total_accounts"] == 3
    assert len(answer["accounts"]) == 3
    assert {"account_id", "email", "provider", "oauth_endpoint", "state"} <= set(answer["accounts"][0])


@pytest.mark.parametrize("args, count", [
    (["user2"], 1), (["nobody"], 0), (["--state", "active"], 3), (["--state", "blocked"], 0),
    (["--provider", "gmail"], 3), (["--provider", "outlook"], 0), (["--domain", "example.test"], 3),
    (["--domain", "test"], 0), (["--domain", "example.test", "user3"], 1)])
def test_list_filters(still, args, count):
    assert len(still.ctl.ok("accounts", "list", "--json", *args).json()["accounts"]) == count
    assert still.ctl.ok("accounts", "list", *args).lines[-1].startswith(
        "3 accounts" if count == 3 else "%d of 3 accounts" % count)


def test_show_tells_all_but_secrets(still):
    done = still.ctl.ok("accounts", "show", "user1@example.test")
    record = still.records[0]
    for word in ("active", "token", "settings", "gmail", record["client_id"], record["oauth_token_url"],
                 "refresh token, client secret"):
        assert word in done.out
    assert record["refresh_token"] not in done.out and record["client_secret"] not in done.out
    answer = still.ctl.ok("accounts", "show", "USER1@Example.Test", "--json").json()
    assert answer["account"]["email"] == "user1@example.test"


def test_show_nobody(still):
    done = still.ctl("accounts", "show", "nobody@example.test")
    assert done.code == FAILED and "nobody@example.test" in done.err and done.out == ""


def add_args(record, *more):
    return ["accounts", "add", record["email"], "--provider", record["provider"], "--client-id",
            record["client_id"], "--oauth-endpoint", record["oauth_endpoint"], "--oauth-token-url",
            record["oauth_token_url"], *more]


def test_add_takes_secrets_from_a_pipe(world):
    new = world.records[3]
    secrets = "%s\n%s\n" % (new["refresh_token"], new["client_secret"])
    done = world.ctl.ok(*add_args(new, "--max-connections", "2"), stdin=secrets.encode())
    assert new["refresh_token"] not in done.out + done.err
    assert new["email"] in world.emails()
    shown = world.ctl.ok("accounts", "show", new["email"], "--json").json()["account"]
    assert shown["connections"]["max"] == 2 and shown["has_client_secret"]
    assert world.daemon.send(new["email"], "x@example.net").code == 250


def test_add_takes_a_record_from_a_file(world, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(world.records[3]))
    done = world.ctl.ok("accounts", "add", "--from", path, "--no-verify", "--json")
    assert done.json()["account"]["email"] == "user4@example.test"
    again = world.ctl("accounts", "add", "--from", path, "--no-verify")
    assert again.code == FAILED and "already" in again.err
    world.ctl.ok("accounts", "add", "--from", "-", "--overwrite",
                 stdin=json.dumps([world.records[3]]).encode())


def test_add_verifies_first(world, tmp_path):
    world.sim.revoke("user4@example.test", "refresh")
    record = dict(world.records[3])
    done = world.ctl("accounts", "add", "--from", "-", stdin=json.dumps(record).encode())
    assert done.code == FAILED and done.err
    assert record["refresh_token"] not in done.err
    assert "user4@example.test" not in world.emails()


@pytest.mark.parametrize("stdin, why", [
    (b"", "there is nothing in it"), (b"[{},{}]", "several records"), (b"{", "no end"),
    (b"[]", "holds no record"), (b"x" * 1100000, "more than 1 MiB")],
                         ids=["empty", "two", "half", "none", "large"])
def test_add_refuses_what_is_no_record(still, stdin, why):
    done = still.ctl("accounts", "add", "--from", "-", stdin=stdin)
    assert done.code == FAILED and why in done.err


def test_add_asks_on_a_terminal(world):
    new = world.records[3]
    terminal = world.ctl.terminal("accounts", "add", "--oauth-endpoint", new["oauth_endpoint"],
                                  "--oauth-token-url", new["oauth_token_url"],
                                  stdout=subprocess.DEVNULL)
    for prompt, answer in ((b"E-mail address: ", new["email"]), (b"Provider", "gmail"),
                           (b"Client id", new["client_id"])):
        terminal.expect(prompt)
        terminal.type(answer.encode() + b"\n")
    for prompt, answer in ((b"Client secret", new["client_secret"]),
                           (b"Refresh token", new["refresh_token"])):
        terminal.expect(prompt)
        terminal.type_unseen(answer.encode() + b"\n")
    assert terminal.end() == OK, terminal.shown
    assert terminal.left_echoing
    assert new["client_secret"].encode() not in terminal.shown
    assert new["refresh_token"].encode() not in terminal.shown
    assert new["email"] in world.emails()


def test_set_changes_what_is_named(world):
    done = world.ctl.ok("accounts", "set", "user1@example.test", "--max-connections", "4",
                        "--vmta-name", "pool-7")
    assert "user1@example.test" in done.out
    shown = world.ctl.ok("accounts", "show", "user1@example.test", "--json").json()["account"]
    assert (shown["connections"]["max"], shown["vmta_name"]) == (4, "pool-7")
    world.ctl.ok("accounts", "set", "user1@example.test", "--vmta-name", "")
    shown = world.ctl.ok("accounts", "show", "user1@example.test", "--json").json()["account"]
    assert (shown["connections"]["max"], shown["vmta_name"]) == (4, "")
    assert world.records[0]["refresh_token"] == world.daemon.stored_accounts()[0]["refresh_token"]


def test_set_takes_a_new_refresh_token_from_a_pipe(world):
    world.ctl.ok("accounts", "set", "user1@example.test", "--new-refresh-token",
                 stdin=b"1//a-new-one\n")
    assert world.daemon.stored_accounts()[0]["refresh_token"] == "1//a-new-one"


@pytest.mark.parametrize("args, why", [
    ([], "nothing to change"), (["--max-connections", "0"], "number from 1"),
    (["--max-connections", "x"], "number"), (["--tls", "no"], "none of")])
def test_set_refuses(still, args, why):
    done = still.ctl("accounts", "set", "user1@example.test", *args)
    assert done.code == USAGE and why in done.err


def test_disable_and_enable(world):
    done = world.ctl.ok("accounts", "disable", "user1@example.test", "user2@example.test")
    assert len(done.lines) == 2
    assert [world.states()["user%d@example.test" % n] for n in (1, 2, 3)] == \
        ["disabled", "disabled", "active"]
    assert world.daemon.send("user3@example.test", "x@example.net").code == 250
    world.ctl.ok("accounts", "enable", "user1@example.test")
    assert world.daemon.send("user1@example.test", "x@example.net").code == 250


def test_some_of_the_accounts_are_not_there(world):
    done = world.ctl("accounts", "disable", "nobody@example.test", "user1@example.test")
    assert done.code == PARTLY and "nobody@example.test" in done.err
    assert world.states()["user1@example.test"] == "disabled"
    assert world.ctl("accounts", "enable", "nobody@example.test").code == FAILED


def test_remove_named_ones(world):
    world.ctl.ok("accounts", "remove", "user1@example.test")
    done = world.ctl("accounts", "remove", "user1@example.test", "user2@example.test")
    assert done.code == PARTLY
    assert world.emails() == ["user3@example.test"]


@pytest.mark.parametrize("args", [[], ["a@b", "--all"], ["--all", "--invalid"],
                                  ["--all", "--dry-run"], ["--all"], ["--invalid", "x@y"]])
def test_remove_wants_to_know_what(still, args):
    done = still.ctl("accounts", "remove", *args)
    assert done.code == USAGE and done.err
    assert len(still.emails()) == 3


def test_remove_all_asks(world):
    terminal = world.ctl.terminal("accounts", "remove", "--all")
    terminal.expect(b"Remove ALL 3 accounts")
    terminal.type(b"no\n")
    assert terminal.end() == FAILED
    assert len(world.emails()) == 3
    terminal = world.ctl.terminal("accounts", "remove", "--all")
    terminal.expect(b"[y/N]")
    terminal.type(b"y\n")
    assert terminal.end() == OK
    assert world.emails() == []
    assert world.ctl.ok("accounts", "list").out == "0 accounts\n"


def test_remove_all_with_yes(world):
    world.ctl.ok("accounts", "remove", "--all", "--yes")
    assert world.emails() == []


def test_remove_invalid(world):
    assert world.ctl.ok("accounts", "remove", "--invalid", "--yes").out.strip() == "no account is invalid"
    world.sim.revoke("user2@example.test", "refresh")
    world.ctl("accounts", "verify", "user2@example.test")
    done = world.ctl("accounts", "remove", "--invalid", "--dry-run")
    assert done.code == OK and [row["EMAIL"] for row in done.table()] == ["user2@example.test"]
    assert len(world.emails()) == 3
    assert world.ctl("accounts", "remove", "--invalid").code == USAGE
    world.ctl.ok("accounts", "remove", "--invalid", "--yes")
    assert world.emails() == ["user1@example.test", "user3@example.test"]


def test_passwd_of_an_account(world):
    done = world.ctl.ok("passwd", "user1@example.test", stdin=b"open sesame\n")
    assert done.out == "" and "open sesame" not in done.err
    stored = world.daemon.stored_accounts()[0]
    assert stored["password_hash"].startswith("$argon2id$")
    with world.daemon.client() as client:
        client.ehlo()
        client.auth("user1@example.test", "wrong", 535)
        client.auth("user1@example.test", "open sesame")
    shown = world.ctl.ok("accounts", "show", "user1@example.test", "--json").json()["account"]
    assert shown["has_password"]
    world.ctl.ok("passwd", "user1@example.test", "--remove")
    assert "password_hash" not in world.daemon.stored_accounts()[0]


def test_passwd_of_nobody(still):
    assert still.ctl("passwd", "nobody@example.test", stdin=b"x\n").code == FAILED
    assert still.ctl("passwd", "--remove").code == USAGE


def test_verify_streams_verdicts(world):
    world.sim.revoke("user2@example.test", "refresh")
    done = world.ctl("accounts", "verify", "--all", "--smtp")
    assert done.code == PARTLY, done
    assert {line.split()[1]: line.split()[0] for line in done.lines[:3]} == {
        "user1@example.test": "ok", "user2@example.test": "consent", "user3@example.test": "ok"}
    assert done.lines[-1] == "2 ok, 1 failed"
    assert done.lines[3] == "1 with cause grant_dead" and "sign in again" in done.lines[4]
    assert len(world.emails()) == 3


def test_verify_one(world):
    done = world.ctl.ok("accounts", "verify", "user1@example.test", "--smtp")
    assert done.lines[0].startswith("ok") and [line.split()[0] for line in done.lines[1:]] == \
        ["token", "smtp"]
    world.sim.revoke("user2@example.test", "refresh")
    done = world.ctl("accounts", "verify", "user2@example.test")
    assert done.code == FAILED
    assert done.lines[-2].split() == ["cause", "grant_dead"] and "what to do" in done.lines[-1]


def test_verify_names_cause_and_cure_of_a_login(world):
    world.sim.knobs("user1@example.test", reply_auth="454 4.7.0 Too many login attempts")
    done = world.ctl("accounts", "verify", "user1@example.test", "--smtp")
    assert done.code == FAILED and "too_many_logins" in done.out
    assert "lower upstream.logins_per_minute" in done.lines[-1]
    world.sim.reset_knobs()


def test_verify_as_json(still):
    done = still.ctl.ok("accounts", "verify", "--domain", "example.test", "--json")
    results = done.ndjson()
    assert len(results) == 4 and results[-1]["summary"]["ok"] == 3
    assert all(one["success"] and one["verdict"] == "ok" for one in results[:3])


@pytest.mark.parametrize("args", [[], ["--all", "a@b"], ["--all", "--state", "active"]])
def test_verify_wants_to_know_which(still, args):
    assert still.ctl("accounts", "verify", *args).code == USAGE
