"""Accounts in SQLite, through bearerd: moving there from the original's file, rotation,
sealed secrets, kills, another hand on the same database."""
import json
import os
import sqlite3
import stat

import pytest

from lib.admin import Admin
from lib.ctl import environment
from lib.daemon import Bearerd, run_bearerd
from lib.sim import Sim
from lib.util import program, wait_until

import subprocess


@pytest.fixture
def sim():
    with Sim("m365", accounts=4, knobs={"token_rotation": "revoke"}) as sim:
        yield sim


class OnSqlite(Bearerd):
    """With an empty database beside its accounts.json, which it does not read."""

    def __init__(self, *args, **options):
        super().__init__(*args, start=False, **options)
        self.database = self.dir / "accounts.db"
        self.args += ["--accounts", "sqlite:%s" % self.database]
        self.start()


def bearerctl(daemon, *args, code=0):
    done = subprocess.run(program("bearerctl") + [str(a) for a in args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=environment({"BEARERD_URL": "unix:%s" % (daemon.dir / "bearerd.sock")}))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.decode()


def files_of(daemon):
    return [path for path in daemon.dir.iterdir() if path.name.startswith("accounts.db")]


def test_from_the_originals_file_and_never_back(sim):
    """His files, his port; then import; then the file is gone and everything goes on."""
    accounts = sim.accounts()
    with Bearerd(certs=sim, accounts=accounts) as original:
        for one in accounts:
            assert original.send(one["email"], "b@example.net").code == 250
        rotated = original.stored_accounts()
        original.stop()
    assert rotated != accounts
    with OnSqlite(certs=sim, accounts=rotated) as daemon:
        assert daemon.admin.get("/admin/accounts")["total_accounts"] == 0
        bearerctl(daemon, "import", daemon.accounts)
        daemon.accounts.unlink()
        for one in accounts:
            assert daemon.send(one["email"], "b@example.net").code == 250
        daemon.stop()
        daemon.start()
        assert daemon.admin.get("/admin/accounts")["total_accounts"] == 4
        for one in accounts:  # with the refresh tokens that came meanwhile
            assert daemon.send(one["email"], "b@example.net").code == 250
        out = daemon.dir / "backup.json"
        bearerctl(daemon, "export", "--secrets", "-o", out)
        assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
        assert [r["email"] for r in json.loads(out.read_text())] == [a["email"] for a in accounts]


def test_secrets_are_sealed(sim):
    accounts = sim.accounts()
    with OnSqlite(certs=sim) as daemon:
        assert daemon.admin.post("/admin/accounts/batch", accounts).status == 200
        for one in accounts:
            assert daemon.send(one["email"], "b@example.net").code == 250
        daemon.stop()
        octets = b"".join(path.read_bytes() for path in files_of(daemon))
        assert accounts[0]["email"].encode() in octets, "the search itself must work"
        for one in accounts + sim.accounts():
            assert one["refresh_token"].encode() not in octets
            if one.get("client_secret"):
                assert one["client_secret"].encode() not in octets
        for path in files_of(daemon):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
        # A sealed value serves its own account only.
        with sqlite3.connect(str(daemon.database)) as database:
            table, column = sealed_column(database)
            values = database.execute("SELECT rowid, %s FROM %s" % (column, table)).fetchall()
            database.execute("UPDATE %s SET %s = ? WHERE rowid = ?" % (table, column),
                             (values[1][1], values[0][0]))
        daemon.start()
        assert daemon.admin.get("/admin/accounts")["total_accounts"] == 3
        assert daemon.events("account_skipped")


def sealed_column(database):
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in database.execute("PRAGMA table_info(%s)" % table)]
        for column in columns:
            if "refresh" in column:
                return table, column
    raise AssertionError("no column of refresh tokens")


def test_kill_at_any_moment(sim):
    """What was answered with 200 is there; a rotated token is not lost."""
    accounts = sim.accounts()
    with OnSqlite(certs=sim) as daemon:
        for n, one in enumerate(accounts):
            assert daemon.admin.post("/admin/accounts", one).status == 200
            daemon.kill()
            daemon.start()
            assert daemon.admin.get("/admin/accounts")["total_accounts"] == n + 1
        for one in accounts:
            assert daemon.send(one["email"], "b@example.net").code == 250


def test_a_wrong_key_is_told(sim):
    with OnSqlite(certs=sim) as daemon:
        daemon.admin.post("/admin/accounts", sim.accounts()[0])
        daemon.stop()
        key = next(path for path in files_of(daemon) if path.name.endswith(".key"))
        good = key.read_text()
        key.write_text("ab" * 32 + "\n")
        code, out, err = run_bearerd("--check", "--config", daemon.config, "--ca-file", sim.ca,
                                     "--accounts", "sqlite:%s" % daemon.database)
        assert code != 0 and "key" in out + err
        assert "ab" * 32 not in out + err
        key.write_text(good)
        daemon.start()
        assert daemon.send(sim.accounts()[0]["email"], "b@example.net").code == 250


def test_rekey(sim):
    accounts = sim.accounts()
    with OnSqlite(certs=sim) as daemon:
        daemon.admin.post("/admin/accounts/batch", accounts)
        key = next(path for path in files_of(daemon) if path.name.endswith(".key"))
        before = key.read_text()
        assert daemon.admin.post("/admin/rekey").status == 403
        assert "4" in bearerctl(daemon, "rekey")
        assert key.read_text() != before and before.strip() not in key.read_text()
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
        daemon.stop()
        daemon.start()
        for one in accounts:
            assert daemon.send(one["email"], "b@example.net").code == 250


def test_another_hand_on_the_database(sim):
    """A second bearerd, as in an update that overlaps: each sees the other's changes."""
    with OnSqlite(certs=sim) as daemon, OnSqlite(certs=sim) as second:
        second.stop()
        second.args[-1] = "sqlite:%s" % daemon.database
        second.start()
        other = Admin(second.admin_port)
        assert daemon.admin.post("/admin/accounts", sim.accounts()[0]).status == 200
        wait_until(lambda: other.get("/admin/accounts")["total_accounts"] == 1, 15, "the account")
        assert other.delete("/admin/accounts/" + sim.accounts()[0]["email"]).status == 200
        wait_until(lambda: daemon.admin.get("/admin/accounts")["total_accounts"] == 0, 15, "its end")
