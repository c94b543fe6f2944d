"""bearerctl import and export."""
import json
import os
import stat

import pytest

from lib.ctl import FAILED, FORBIDDEN, OK, PARTLY, USAGE, World


@pytest.fixture
def world(certs):
    one = World(certs, known=1)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def still(certs):
    one = World(certs, known=2)
    yield one
    one.stop()


def written(tmp_path, text):
    path = tmp_path / "accounts.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text, indent=2))
    return path


SHAPES = {
    "list": lambda records: json.dumps(records, indent=1),
    "object": lambda records: json.dumps({"_note": "x", "accounts": records}),
    "ndjson": lambda records: "\n".join(map(json.dumps, records)),
    "mark": lambda records: "\ufeff" + json.dumps([{"_comment": "no account"}] + records),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("piped", [False, True])
def test_import_takes_any_shape(world, tmp_path, shape, piped):
    text = SHAPES[shape](world.records[1:])
    done = world.ctl.ok("import", "-", stdin=text.encode()) if piped else \
        world.ctl.ok("accounts", "import", written(tmp_path, text))
    assert done.lines[-1].startswith("3 added, 0 updated, 0 failed")
    assert world.emails() == ["user%d@example.test" % n for n in (1, 2, 3, 4)]
    assert "not verified" in done.out


def test_import_reports_each_failure(world, tmp_path):
    bad = dict(world.records[2], oauth_token_url="http://in.clear/")
    done = world.ctl("import", written(tmp_path, [world.records[0], bad, world.records[3]]))
    assert done.code == PARTLY
    assert done.lines[0].startswith("record 1 (line 2) user1@example.test: ")
    assert done.lines[1].startswith("record 2 (line ") and "oauth_token_url" in done.lines[1]
    assert done.lines[2].startswith("1 added, 0 updated, 2 failed")
    assert world.emails() == ["user1@example.test", "user4@example.test"]
    assert bad["refresh_token"] not in done.out + done.err


def test_import_of_nothing_but_known_ones(world, tmp_path):
    path = written(tmp_path, world.records[:1])
    assert world.ctl("import", path).code == FAILED
    assert world.ctl.ok("import", path, "--overwrite").lines[-1].startswith("0 added, 1 updated")


def test_import_as_json(world, tmp_path):
    done = world.ctl("import", written(tmp_path, world.records), "--json")
    lines = done.ndjson()
    assert done.code == PARTLY
    assert [line["record"] for line in lines[:-1]] == [1, 2, 3, 4]
    assert [line["ok"] for line in lines[:-1]] == [False, True, True, True]
    assert lines[-1]["summary"]["success"] == "partial"
    assert lines[-1]["summary"]["added_count"] == 3


def test_import_verifies_when_told(world, tmp_path):
    world.sim.revoke("user3@example.test", "refresh")
    done = world.ctl("import", written(tmp_path, world.records[1:]), "--verify")
    assert done.code == PARTLY and "not verified" not in done.out
    assert world.emails() == ["user1@example.test", "user2@example.test", "user4@example.test"]


@pytest.mark.parametrize("text, line", [
    ('[{"email": "a@b"},\n{"email": ]', "line 2"), ("[{}\n\n", "line 3"), ("{}\n{}\nx", "line 3"),
    ("", "nothing in it"), ("<html>", "line 1")])
def test_a_broken_file_changes_nothing(world, tmp_path, text, line):
    path = written(tmp_path, text)
    done = world.ctl("import", path)
    assert done.code == FAILED and line in done.err and "nothing was imported" in done.err
    assert str(path) in done.err
    assert world.emails() == ["user1@example.test"]


def test_a_broken_pipe_tells_how_far_it_came(world):
    text = json.dumps(world.records[1])[:-1] + "}\n{"
    done = world.ctl("import", "-", stdin=text.encode())
    assert done.code == FAILED and "standard input: line 2" in done.err


def test_import_dry_run(world, tmp_path):
    records = [world.records[1], world.records[1], dict(world.records[2], client_id=""), {"_x": 1},
               dict(world.records[3], email="nobody")]
    done = world.ctl("import", written(tmp_path, records), "--dry-run")
    assert done.code == PARTLY
    assert "record 1 has this address" in done.lines[0]
    assert "client_id must be" in done.lines[1]
    assert "no address" in done.lines[2]
    assert done.lines[3].startswith("1 records look right, 3 do not")
    assert world.emails() == ["user1@example.test"]


def test_import_of_what_is_not_there(still, tmp_path):
    done = still.ctl("import", tmp_path / "none.json")
    assert done.code == FAILED and "none.json" in done.err
    assert still.ctl("import").code == USAGE


def many(world, count):
    model = world.records[0]
    for number in range(count):
        name = "many%05d" % number
        yield dict(model, email=name + "@example.test", account_id=name)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_import_and_list_thousands(world, tmp_path):
    """More than one batch up, more than one page down."""
    done = world.ctl.ok("import", written(tmp_path, list(many(world, 5500))))
    assert done.lines[-1].startswith("5,500 added")
    assert len(world.emails()) == 5501
    assert len(set(world.emails())) == 5501
    listed = world.ctl.ok("accounts", "list", "many024")
    assert listed.lines[-1].startswith("100 of 5,501 accounts")
    assert len(world.ctl.ok("export", "--format", "ndjson").ndjson()) == 5501


def test_import_shows_progress_on_a_terminal(world, tmp_path):
    terminal = world.ctl.terminal("import", written(tmp_path, list(many(world, 300))))
    assert terminal.end() == OK
    assert b"\rimport [" in terminal.shown and b"/300" in terminal.shown
    assert terminal.shown.rstrip().splitlines()[-1].split(b"\033[K")[-1].startswith(b"300 added")


# --- export -----------------------------------------------------------------


def test_export_has_no_secrets(still):
    records = still.ctl.ok("export").json()
    assert [one["email"] for one in records] == ["user1@example.test", "user2@example.test"]
    assert not any({"refresh_token", "client_secret", "password_hash"} & set(one) for one in records)
    assert still.ctl.ok("accounts", "export", "--format", "ndjson").ndjson() == records


def test_export_of_secrets_is_for_the_owner(still):
    done = still.ctl("export", "--secrets")
    assert done.code == FORBIDDEN and done.out == ""
    assert "--token-file" in done.err


def test_exported_secrets_come_back(world, tmp_path):
    path = tmp_path / "backup.json"
    done = world.owner.ok("export", "--secrets", "-o", path)
    assert done.out == "" and "backup.json" in done.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())[0]["refresh_token"] == world.records[0]["refresh_token"]
    world.ctl.ok("accounts", "remove", "--all", "--yes")
    world.ctl.ok("import", path)
    assert world.daemon.send("user1@example.test", "x@example.net").code == 250


def test_export_replaces_a_file_as_a_whole(still, tmp_path):
    path = tmp_path / "backup.json"
    path.write_text("old")
    path.chmod(0o644)
    still.ctl.ok("export", "-o", path)
    assert len(json.loads(path.read_text())) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert still.ctl("export", "--secrets", "-o", path).code == FORBIDDEN
    assert len(json.loads(path.read_text())) == 2
    assert os.listdir(tmp_path) == ["backup.json"]


def test_export_writes_devices_as_they_are(still):
    assert still.ctl.ok("export", "-o", "/dev/stdout").json()
    assert still.ctl.ok("export", "-o", "/dev/null").out == ""
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    done = still.ctl("export", "-o", "/nonexistent/x")
    assert done.code == FAILED and "/nonexistent/x" in done.err


def test_a_full_disk_is_a_failure(still):
    done = still.ctl("export", "-o", "/dev/full")
    assert done.code == FAILED and "No space left" in done.err


def test_no_secrets_on_a_terminal(still):
    terminal = still.owner.terminal("export", "--secrets")
    assert terminal.end() == USAGE
    assert b"-o FILE" in terminal.shown
