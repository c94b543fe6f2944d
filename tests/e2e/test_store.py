"""Where accounts are kept: files that others edit, databases, keys."""
import json
import os
import sqlite3
import stat
import subprocess

import pytest

from lib.daemon import account, run_bearerd
from lib.tokens import TokenServer
from lib.util import program

A, B = "a@example.com", "b@example.com"


def fill(location, records, path):
    """Puts records into a store."""
    path.write_text(json.dumps(records))
    subprocess.run(program("bearer-accounts") + [str(location), "import", str(path)], check=True,
                   timeout=60)


def database(start, records=None, key_file=None, **options):
    """A bearerd on a database, with these records in it; not started."""
    daemon = start((), start=False, **options)
    path = daemon.dir / "accounts.db"
    daemon.database = path
    if records is not None:
        fill("sqlite:%s" % path, records, daemon.dir / "records.json")
    at = daemon.args.index("--accounts")
    daemon.args[at + 1] = "sqlite:%s" % path
    if key_file:
        daemon.args += ["--key-file", key_file]
    return daemon


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_relaying_for_accounts_of_a_database(start, provider, tokens):
    daemon = database(start, [account(A, provider, tokens)]).start()
    assert daemon.wait_event("accounts_loaded")["accounts"] == 1
    assert daemon.send(A, "x@example.net").code == 250
    for name in ("accounts.db", "accounts.db.key"):
        assert mode(daemon.dir / name) == 0o600
    assert b"refresh-a" not in daemon.database.read_bytes()


def test_a_new_refresh_token_is_in_the_database_before_it_is_used(start, provider, certs):
    """The endpoint takes the newest one only, and we are killed after each."""
    tokens = TokenServer(certs, lifetime=5)  # so short that no start makes do with the last one
    valid = ["refresh-a"]

    def answer(form, number):
        assert form["refresh_token"] == valid[-1], "an old refresh token after %d" % len(valid)
        valid.append("rotated-%d" % len(valid))
        return 200, dict(tokens.good(form, number)[1], refresh_token=valid[-1]), {}

    tokens.answer = answer
    daemon = database(start, [account(A, provider, tokens, provider="outlook")])
    daemon.start()
    for _ in range(4):
        assert daemon.send(A, "x@example.net").code == 250
        daemon.kill()
        daemon.start()
    assert len(valid) >= 5
    tokens.stop()


def test_a_database_that_does_not_exist_is_made(start):
    daemon = database(start).start()
    assert daemon.wait_event("no_accounts")["accounts"] == "sqlite:%s" % daemon.database
    assert mode(daemon.database) == 0o600
    with daemon.client() as wire:
        assert wire.greeting.code == 220


def test_the_default_is_a_database_in_the_state_folder(start):
    daemon = start((), start=False)
    state = daemon.dir / "state/bearerd"
    at = daemon.args.index("--accounts")
    del daemon.args[at:at + 2]
    daemon.env = {"STATE_DIRECTORY": str(state), "HOME": str(daemon.dir)}
    code, out, err = run_bearerd("--check", *daemon.args, env=daemon.env)
    assert code == 0 and "a start makes it" in out, out + err
    assert not state.exists()
    daemon.start()
    assert daemon.wait_event("no_accounts")
    assert mode(state) == 0o700 and mode(state / "accounts.db") == 0o600


def test_check_reads_a_database(start, provider, tokens):
    daemon = database(start, [account(A, provider, tokens), account(B, provider, tokens)])
    code, out, err = run_bearerd("--check", *daemon.args)
    assert code == 0 and "2 valid" in out, out + err
    daemon.database.chmod(0o644)
    code, out, err = run_bearerd("--check", *daemon.args)
    assert "chmod 600" in out, out + err


def failing(daemon):
    code, out, err = run_bearerd(*daemon.args)
    checked, check_out, check_err = run_bearerd("--check", *daemon.args)
    assert code != 0 and checked != 0
    return err, check_err


def test_without_its_key_nothing_starts(start, provider, tokens):
    daemon = database(start, [account(A, provider, tokens)])
    key = daemon.dir / "accounts.db.key"
    key.rename(daemon.dir / "elsewhere")
    for said in failing(daemon):
        assert "accounts.db.key is missing" in said
    assert not key.exists()
    key.write_text("0" * 64 + "\n")
    for said in failing(daemon):
        assert "bring the right key back" in said
    daemon.args += ["--key-file", str(daemon.dir / "elsewhere")]
    daemon.start()
    assert daemon.send(A, "x@example.net").code == 250


def test_a_newer_database_is_refused(start, provider, tokens):
    daemon = database(start, [account(A, provider, tokens)])
    with sqlite3.connect(daemon.database) as db:
        db.execute("PRAGMA user_version = 77")
    for said in failing(daemon):
        assert "newer bearerd" in said and "77" in said


@pytest.mark.parametrize("way", ["in place", "renamed"])
def test_edits_of_the_file_need_no_signal(start, provider, tokens, way):
    daemon = start([account(A, provider, tokens)])
    text = json.dumps([account(A, provider, tokens), account(B, provider, tokens)])
    if way == "in place":
        daemon.accounts.write_text(text)
    else:
        (daemon.dir / "other").write_text(text)
        os.rename(daemon.dir / "other", daemon.accounts)
    daemon.wait_event("reloaded", added=1)
    assert daemon.send(B, "x@example.net").code == 250
    daemon.accounts.write_text("[")
    daemon.wait_event("reload_failed")
    assert daemon.send(B, "x@example.net").code == 250
