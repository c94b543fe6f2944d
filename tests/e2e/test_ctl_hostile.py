"""bearerctl against an API that is broken, slow or malicious: no real bearerd can
be made to answer like this."""
import json
import os
import re
import resource
import subprocess

import pytest

from lib.ctl import Ctl, FAILED, FORBIDDEN, OK, PARTLY, UNREACHABLE, environment
from lib.fakeapi import FakeApi, silence, stream
from lib.util import SANITIZED, program

EVIL = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202eevil\r\nbearerctl: all is well\x7f"


@pytest.fixture
def fake():
    servers = []

    def make(answers, **options):
        servers.append(FakeApi(answers, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def harmless(done):
    for text in (done.out, done.err):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202e]", text), repr(text)
    return done


ITEM = {"account_id": EVIL, "email": EVIL, "provider": EVIL, "state": EVIL, "state_text": EVIL,
        "state_since": EVIL, EVIL: EVIL, "state_detail": {"by": EVIL, "text": EVIL, "hint": EVIL},
        "token": {"phase": EVIL, "error": EVIL, "expires_at": EVIL},
        "pool": {"endpoint": EVIL, "last_delivery": EVIL}}
LISTS = {"accounts list": ("/admin/accounts", "accounts"), "pools": ("/admin/pools", "pools"),
         "tokens": ("/admin/tokens", "tokens"), "limits": ("/admin/limits", "limits"),
         "api-token list": ("/admin/api-tokens", "tokens")}


@pytest.mark.parametrize("command", LISTS)
def test_control_characters_never_reach_the_terminal(fake, command):
    path, key = LISTS[command]
    api = fake({"GET " + path: {"success": True, key: [ITEM, {}, 7, None, "x", []], "next": None}})
    assert "\\x1b[2J" in harmless(Ctl(api.url).ok(*command.split())).out or command == "api-token list"
    Ctl(api.url).ok(*command.split(), "--json")
    terminal = Ctl(api.url).terminal(*command.split(), "--json")
    assert terminal.end() == OK
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x80-\xff]", terminal.shown)


@pytest.mark.parametrize("command, answers", [
    (["accounts", "show", "a@b"], {"GET /admin/accounts/a%40b": {"account": ITEM}}),
    (["status"], {"GET /admin/status": {"version": EVIL, "started_at": EVIL, "store": EVIL,
                                        "accounts": {EVIL: 1}, "counters": {EVIL: 2},
                                        "tokens": {"x": EVIL}, "relay": EVIL}}),
    (["config"], {"GET /admin/config": {"file": EVIL, "options": [
        {"name": EVIL, "value": EVIL, "origin": EVIL}, {"value": {EVIL: EVIL}}, 1]}}),
    (["addresses"], {"GET /admin/addresses": {"addresses": [{"address": EVIL, "why": EVIL}, 3],
                                              "missing": EVIL}}),
    (["health"], {"GET /health": {"status": "healthy", "reasons": [EVIL, 7]}}),
    (["log"], {"GET /admin/log": {"level": EVIL}}),
    (["reload"], {"POST /admin/reload": {"message": EVIL}}),
    (["check", "a@b"], {"POST /admin/accounts/a%40b/check": stream(
        {"step": EVIL, "result": EVIL, "detail": EVIL, "cause": EVIL, "cure": EVIL, "ms": 7},
        {"summary": {"state": EVIL}})}),
    (["accounts", "verify", "--all"], {"POST /admin/accounts/verify": stream(
        {"email": EVIL, "verdict": EVIL, "success": True, "error": EVIL, "cause": EVIL, "cure": EVIL,
         "steps": [{"step": EVIL, "text": EVIL}]}, {"summary": {}})}),
    (["accounts", "verify", "a@b"], {"POST /admin/accounts/verify": stream(
        {"success": True, "cause": EVIL, "cure": EVIL, "steps": [5, {}]}, {"summary": {}})})])
def test_nor_from_other_answers(fake, command, answers):
    done = harmless(Ctl(fake(answers).url)(*command))
    assert done.code == OK, done


def test_nor_from_errors(fake):
    api = fake({"GET /admin/status": (400, {"success": False, "error": EVIL}),
                "GET /admin/config": (502, EVIL.encode()), "GET /admin/log": (403, {"error": EVIL})})
    assert harmless(Ctl(api.url)("status")).code == FAILED
    assert harmless(Ctl(api.url)("config")).code == FAILED
    assert harmless(Ctl(api.url)("log")).code == FORBIDDEN


ANSWERS = {
    "nothing": b"", "text": b"hello", "half": b'{"success": tr', "list": b"[]", "null": b"null",
    "deep": b"[" * 100000, "not utf-8": b'{"a":"\xff"}', "html": b"<html>" * 1000,
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("command", ["status", "accounts list", "health", "config", "top"])
def test_answers_that_are_none(fake, answer, command):
    paths = ["/admin/status", "/admin/accounts", "/health", "/admin/config"]
    api = fake({"GET " + path: ANSWERS[answer] for path in paths})
    if command == "top":
        terminal = Ctl(api.url).terminal("top")
        assert terminal.end() == FAILED
        return
    done = Ctl(api.url)(*command.split())
    assert done.code == FAILED and done.err
    assert len(done.err) < 1000


@pytest.mark.parametrize("wrong", [{}, {"accounts": {}}, {"accounts": "x"}, {"pools": []}])
def test_lists_that_are_none(fake, wrong):
    done = Ctl(fake({"GET /admin/accounts": wrong}).url)("accounts", "list")
    assert done.code == FAILED and '"accounts"' in done.err


def test_a_cursor_that_stays_ends(fake):
    api = fake({"GET /admin/accounts": {"accounts": [{"email": "a@b"}], "next": "again"}})
    assert len(Ctl(api.url).ok("accounts", "list").table()) == 2
    assert len(api.seen) == 2


def test_server_that_is_silent(fake):
    api = fake({"GET /admin/status": silence, "POST /admin/accounts/verify": silence})
    done = Ctl(api.url)("status", "--timeout", "1")
    assert done.code == UNREACHABLE and "nothing came for 1 s" in done.err
    assert Ctl(api.url)("accounts", "verify", "--all", "--timeout", "1").code == UNREACHABLE


def test_server_that_hangs_up(fake):
    api = fake({"GET /admin/status": lambda handler: None})
    assert Ctl(api.url)("status").code == UNREACHABLE


def test_no_redirect_is_followed(fake):
    api = fake({"GET /admin/status": (302, b"", ("Location", "/admin/elsewhere")),
                "GET /admin/elsewhere": {"version": "x"}})
    assert Ctl(api.url, BEARERD_TOKEN="brd_x")("status").code == FAILED
    assert [seen[1] for seen in api.seen] == ["/admin/status"]


@pytest.mark.parametrize("parts, why", [
    ([{"email": "a@b", "success": True}], "ended before all"),
    ([b"hello\n"], "no JSON object"), ([b"[]\n"], "no JSON object"),
    ([b"x" * 100000] * 12, "longer than")])
def test_streams_that_are_none(fake, parts, why):
    done = Ctl(fake({"POST /admin/accounts/verify": stream(*parts)}).url)("accounts", "verify", "--all")
    assert done.code == FAILED and why in done.err


STEP = {"step": "account", "result": "ok", "detail": "x", "cause": None, "cure": None, "ms": 1}


@pytest.mark.parametrize("parts, why", [
    ([STEP], "ended before all"), ([], "ended before all"),
    ([STEP, b'{"step": "token", "resu'], "no JSON object"),
    ([STEP, b'["summary"]\n'], "no JSON object"), ([STEP, b"<html>\n"], "no JSON object")])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_check_that_breaks_off_is_no_good_one(fake, parts, why, more):
    done = Ctl(fake({"POST /admin/accounts/a%40b/check": stream(*parts)}).url)("check", "a@b", *more)
    assert done.code == FAILED and why in done.err, done
    assert "all is well" not in done.out


def test_a_stream_that_breaks_off_is_no_backup(fake, tmp_path):
    record = {"email": "a@b"}
    api = fake({"GET /admin/accounts/export": stream(record, record, cut=True)})
    path = tmp_path / "backup.json"
    done = Ctl(api.url)("export", "-o", path)
    assert done.code == FAILED and "broke off" in done.err
    assert os.listdir(tmp_path) == []
    assert Ctl(api.url)("export").code == FAILED


def test_import_answers_that_do_not_fit(fake):
    records = b'{"email":"a@b"}\n{"email":"c@d"}\n'
    for parts, why in (([{"record": 1, "ok": True}], "1 of 2 records only"),
                       ([{"record": 3, "ok": True}], "was not sent"),
                       ([{"record": -1, "ok": True}], "was not sent"),
                       ([{"record": 1, "ok": True}] * 3, "was not sent"),
                       ([], "0 of 2 records only")):
        api = fake({"POST /admin/accounts/batch": stream(*parts)})
        done = Ctl(api.url)("import", "-", stdin=records)
        assert done.code == FAILED and why in done.err, done


def test_import_goes_in_batches(fake):
    def answer(handler):
        lines = handler_body(handler).splitlines()
        stream(*[{"record": n + 1, "ok": n % 2 == 0, "email": EVIL, "error": EVIL}
                 for n in range(len(lines))], {"summary": {}})(handler)

    api = fake({"POST /admin/accounts/batch": answer})

    def handler_body(_):
        return api.seen[-1][3]

    records = b"".join(b'{"email":"a%d@b"}\n' % n for n in range(11000))
    done = harmless(Ctl(api.url)("import", "-", stdin=records))
    assert done.code == PARTLY
    assert [len(seen[3].splitlines()) for seen in api.seen] == [5000, 5000, 1000]
    assert "record 11000 (line 11000)" in done.out
    sent = json.loads(api.seen[0][3].splitlines()[0])
    assert sent == {"email": "a0@b", "verify": False, "overwrite": False}


def test_interrupted_import_tells_so(fake):
    api = fake({"POST /admin/accounts/batch": silence})
    terminal = Ctl(api.url).terminal("import", "-")
    terminal.type(b'{"email":"a@b"}\n\x04')
    while not api.seen:
        terminal.read(0.05)
    terminal.process.send_signal(2)
    assert terminal.end() == FAILED
    assert b"interrupted" in terminal.shown


@pytest.mark.timeout(180)
@pytest.mark.skipif(SANITIZED, reason="sanitizers need the address space")
def test_memory_is_bounded(fake):
    """An endless answer, and lists longer than memory, in 300 MiB."""
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    def limited(*args, stdout=subprocess.PIPE):
        limit = 300 << 20
        return subprocess.run(program("bearerctl") + list(args), env=environment({"BEARERD_URL": api.url}),
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
                              stdout=stdout, stderr=subprocess.PIPE, timeout=150)

    line = b'{"email":"a@b","x":"%s"}\n' % (b"x" * 50000) * 100
    api = fake({"GET /admin/status": endless, "GET /health": lambda h: (
        h.send_response(500), h.end_headers(), endless_body(h)),
        "GET /admin/accounts/export": stream(*[line] * 65)})

    def endless_body(handler):
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    assert b"longer than" in limited("status").stderr
    assert b"longer than" in limited("health").stderr
    done = limited("export", stdout=subprocess.DEVNULL)
    assert done.returncode == OK, done.stderr


def test_a_check_that_is_cut_short(fake):
    """What is missing is no success."""
    line = {"step": "account", "result": "ok", "detail": "", "cause": None, "cure": None, "ms": 0}
    done = Ctl(fake({"POST /admin/accounts/a%40b/check": stream(line)}).url)("check", "a@b")
    assert done.code == FAILED and "ended before" in done.err
