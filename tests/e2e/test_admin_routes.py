"""What the routes of the admin API that are not about accounts say and do."""
import os
import re
import signal

import pytest

from lib.admin import document
from lib.daemon import account, wait_for_relay
from lib.util import wait_until

A = "a@example.com"


def good(name="a", **more):
    return account(name + "@example.com", 1, "https://localhost:1/token", **more)


# --- health -----------------------------------------------------------------


def test_healthy(start, provider, tokens):
    daemon = start([account(A, provider, tokens)])
    answer = daemon.admin.get("/health")
    assert answer.status == 200
    body = answer.json
    assert body["status"] == "healthy" and body["reasons"] == [] and body["live"] and body["ready"]
    assert body["accounts"] == 1 and body["relay"] == {"ready": True, "restarts": 0}
    assert daemon.admin.get("/health/live").status == 200
    assert daemon.admin.get("/health/ready").json == {"status": "ready"}


def reason(daemon, part):
    """The reason of /health that has this part, once there is one."""
    return wait_until(lambda: next((text for text in daemon.admin.get("/health")["reasons"]
                                    if part in text), None), 20, "a reason with " + part)


def test_degraded_by_accounts(start, provider, tokens):
    tokens.answer = lambda form, number: (400, {"error": "invalid_client"}, {})
    records = [account(A, provider, tokens), good("b", ip_address="203.0.113.99")]
    daemon = start(records + [{"email": "broken"}])
    assert "1;" in reason(daemon, "could not be used") or "1" in reason(daemon, "could not be used")
    assert "misconfigured" in reason(daemon, "misconfigured")
    answer = daemon.admin.get("/health")
    assert answer.status == 200 and answer["status"] == "degraded" and answer["ready"]
    daemon.write_accounts([])
    assert daemon.admin.post("/admin/reload", wait="true").status == 200
    wait_until(lambda: daemon.admin.get("/health")["status"] == "healthy", 10, "health")


def test_degraded_by_an_endpoint(start, provider, tokens):
    tokens.answer = lambda form, number: (503, "down", {})
    daemon = start([account("u%d@example.com" % i, provider, tokens) for i in range(12)])
    text = reason(daemon, "the token endpoint")
    assert tokens.url in text
    tokens.answer = None


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/proc/self/mountinfo"), reason="needs a file")
def test_degraded_by_a_refresh_token_that_is_not_saved(start, provider, tokens):
    """The folder's lock cannot be had: what the endpoint gave is in memory only."""
    tokens.answer = lambda form, number: (200, {"access_token": "T%d" % number, "expires_in": 3600,
                                                "refresh_token": "rotated"}, {})
    daemon = start([account(A, provider, tokens)], start=False)
    (daemon.dir / "accounts.json.lock").mkdir()
    daemon.start()
    assert "1" in reason(daemon, "in memory only")
    (daemon.dir / "accounts.json.lock").rmdir()
    wait_until(lambda: daemon.admin.get("/health")["status"] == "healthy", 30, "health")


def test_the_relay_dies(start):
    daemon = start()
    relay = wait_for_relay(daemon)
    os.kill(relay, signal.SIGKILL)
    wait_for_relay(daemon, other_than=relay)
    assert "relay_exited" in reason(daemon, "unexpectedly")
    body = wait_until(lambda: daemon.admin.get("/health").json if daemon.admin.get("/health")["ready"]
                      else None, 20, "another relay")
    assert body["status"] == "degraded" and body["relay"]["restarts"] == 1


def test_the_relay_is_gone_for_a_while(start):
    """503 while nobody relays. Stopped, so that there is such a while."""
    daemon = start()
    relay = wait_for_relay(daemon)
    for _ in range(3):  # the third start waits
        os.kill(relay, signal.SIGKILL)
        answer = wait_until(lambda: not_ready(daemon), 5, "an outage", every=0.001, fail=False)
        relay = wait_for_relay(daemon, other_than=relay)
        if answer:
            break
    assert answer.status == 503 and answer["status"] == "unhealthy" and not answer["ready"]
    wait_until(lambda: daemon.admin.get("/health").status == 200, 20, "another relay")


def not_ready(daemon):
    answer = daemon.owner.get("/health")
    return answer if answer.status == 503 else None


# --- status and metrics -----------------------------------------------------


def test_status(start, provider, tokens):
    daemon = start([account(A, provider, tokens), good("b", disabled=True)])
    assert daemon.send(A, ["b@example.net"]).code == 250
    body = daemon.admin.get("/admin/status").json
    assert body["pid"] == daemon.broker_pid() and body["relay"]["pid"] == daemon.relay_pid()
    assert body["workers"] == 2 and body["store"] == str(daemon.accounts)
    assert body["listeners"] == "127.0.0.1:%d" % daemon.port
    assert body["accounts"]["total"] == 2 and body["accounts"]["disabled"] == 1
    assert body["accounts"]["active"] == 1
    assert body["counters"]["messages_delivered_total"] == 1
    assert body["tokens"]["requests"] == body["tokens"]["ok"] == 1


SAMPLE = re.compile(r'^([a-z_:][a-z0-9_:]*)(?:\{([a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*)\})? '
                    r"(-?[0-9.]+(?:e[+-]?\d+)?|\+Inf|NaN)$")


def parse_metrics(text):
    """Prometheus' text format: {name: type}, {(name, labels): value}. Strict."""
    types, helps, samples = {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in helps and words
            helps.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name in helps and name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in types or types.get(base) == "histogram", line
            assert (name, labels) not in samples, line
            samples[name, labels] = float(value)
    return types, samples


def test_metrics(start, provider, tokens):
    daemon = start([account(A, provider, tokens), good("b", disabled=True)])
    for _ in range(3):
        assert daemon.send(A, ["b@example.net"]).code == 250
    answer = daemon.admin.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    types, samples = parse_metrics(answer.text)
    for name in types:
        assert name.startswith("bearerd_")
        assert (types[name] == "counter") == name.endswith("_total"), name
        if types[name] == "histogram":
            check_histogram(samples, name)
    assert samples["bearerd_accounts", 'state="active"'] == 1
    assert samples["bearerd_accounts", 'state="disabled"'] == 1
    assert samples["bearerd_relay_messages_delivered_total", None] == 3
    assert samples["bearerd_relay_message_delivery_seconds_count", None] == 3
    assert samples["bearerd_token_ok_total", None] == 1
    assert samples["bearerd_ready", None] == 1
    assert samples["bearerd_start_time_seconds", None] > 1.7e9
    status = daemon.admin.get("/admin/status")["counters"]
    assert {"bearerd_relay_" + name for name in status} <= set(types)


def check_histogram(samples, name):
    buckets = [(float(labels[4:-1]), value) for (sample, labels), value in samples.items()
               if sample == name + "_bucket"]
    assert len(buckets) > 5 and buckets == sorted(buckets) and buckets[-1][0] == float("inf")
    counts = [value for _, value in buckets]
    assert counts == sorted(counts) and counts[-1] == samples[name + "_count", None]
    assert (name + "_sum", None) in samples


# --- configuration ----------------------------------------------------------


def options_of(daemon):
    return {option["name"]: option for option in daemon.admin.get("/admin/config")["options"]}


def test_config(start):
    daemon = start(raw_config="hostname: relay.example\nproviders:\n  mine:\n    max_connections: 4\n",
                   env={"XOAUTH2_GLOBAL_CONCURRENCY": "77"})
    body = daemon.admin.get("/admin/config").json
    assert body["file"] == str(daemon.config) and body["store"] == str(daemon.accounts)
    options = options_of(daemon)

    def told(name):
        option = options[name]
        return option["value"], option["origin"], option["line"]

    assert told("hostname") == ("relay.example", "file", 1)
    assert told("providers.mine.max_connections") == ("4", "file", 4)
    assert told("providers.gmail.max_connections") == ("10", "default", None)
    assert told("log.level") == ("debug", "flag", None)
    assert told("limits.global_concurrency") == ("77", "environment", None)
    assert told("listeners") == ("127.0.0.1:%d none" % daemon.port, "flag", None)
    assert told("backlog") == ("1024", "default", None)
    assert options["hostname"]["reloadable"] and not options["backlog"]["reloadable"]
    assert options["log.level"]["default"] == "info"


def test_config_follows_a_reload(start):
    daemon = start(conf={"timeouts.command": "4m", "backlog": 100})
    assert options_of(daemon)["timeouts.command"]["value"] == "4m"
    daemon.conf.update({"timeouts.command": "3m", "backlog": 200})
    daemon.write_config()
    answer = daemon.admin.post("/admin/reload", wait="true")
    assert answer.status == 200 and any("backlog" in note for note in answer["notes"])
    options = options_of(daemon)
    assert options["timeouts.command"]["value"] == "3m"
    assert options["backlog"]["value"] == "100"  # needs a restart


# --- reload, drain, log ------------------------------------------------------


def test_reload(start):
    daemon = start([good()])
    assert daemon.admin.post("/admin/reload").status == 202
    daemon.wait_event("reloaded")
    daemon.write_accounts([good(), good("b"), {"email": "broken"}])
    body = daemon.admin.post("/admin/reload", wait="true").json
    assert (body["total_accounts"], body["added"], body["skipped"]) == (2, 1, 1)
    assert any(problem["skipped"] and "record 3" in problem["text"] for problem in body["problems"])


def test_a_reload_that_fails(start):
    daemon = start([good()])
    daemon.config.write_text("limits:\n  max_recipient: 5\n")
    answer = daemon.admin.post("/admin/reload", wait="true")
    assert answer.status == 400
    assert all(word in answer["error"] for word in ("config.yaml:2", "max_recipient", "nothing was changed"))
    daemon.write_config()
    daemon.write_accounts("[{]")
    answer = daemon.admin.post("/admin/reload", wait="true")
    assert answer.status == 400 and "accounts.json" in answer["error"]
    assert daemon.admin.get("/health")["accounts"] == 1


def test_many_reloads_at_once(start):
    """Each is answered, by a reload that began after it was asked for."""
    import concurrent.futures
    daemon = start([good()])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: daemon.owner.post("/admin/reload", wait="true"), range(40)))
    assert {answer.status for answer in answers} == {200}
    assert daemon.admin.get("/admin/status").status == 200


def test_drain(start, provider, tokens):
    """As SIGTERM: what runs is finished, and the API answers to the end."""
    daemon = start([account(A, provider, tokens)])
    answer = daemon.admin.post("/admin/drain")
    assert answer.status == 202 and "raining" in answer["message"]
    assert daemon.process.wait() == 0
    daemon.check_alarms()
    assert daemon.events("admin_request", path="/admin/drain")[0]["status"] == 202
    daemon.process = None


def test_while_draining(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], conf={"drain_timeout": "60s"})
    with daemon.client(A) as wire:
        wire.mail(A, ["b@example.net"])
        wire.cmd("DATA", 354)
        assert daemon.admin.post("/admin/drain").status == 202
        answer = daemon.admin.get("/health")
        assert answer.status == 503 and answer["status"] == "unhealthy" and "ending" in answer["reasons"][0]
        assert daemon.admin.get("/health/ready").status == 503
        assert daemon.admin.get("/health/live").status == 200
        assert daemon.admin.get("/admin/status")["draining"] is True
        assert daemon.admin.put("/admin/log", {"level": "info"}).status == 503
        assert daemon.admin.post("/admin/drain").status == 202
        wire.send(b"Subject: x\r\n\r\nbody\r\n.\r\n")
        assert wire.reply().code == 250
    assert daemon.process.wait() == 0
    daemon.process = None


def test_the_log_level(start):
    daemon = start(log_level=None)
    assert daemon.admin.get("/admin/log")["level"] == "info"
    assert daemon.admin.put("/admin/log", {"level": "debug"})["level"] == "debug"
    daemon.admin.get("/admin/status")
    daemon.wait_event("admin_request", path="/admin/status")
    with daemon.client():
        pass
    daemon.wait_event("client_disconnected", level="debug")
    assert daemon.admin.post("/admin/reload", wait="true").status == 200
    assert daemon.admin.get("/admin/log")["level"] == "info"
    for body in ({"level": "loud"}, {"level": None}, {}, []):
        answer = daemon.admin.put("/admin/log", body)
        assert answer.status == 400 and answer["field"] == "level"


# --- the rest ----------------------------------------------------------------


def test_addresses(start):
    daemon = start([good(ip_address="127.0.0.1"), good("b", ip_address="203.0.113.7")])
    body = daemon.admin.get("/admin/addresses").json
    by_address = {item["address"]: item for item in body["addresses"] + body["missing"]}
    assert by_address["127.0.0.1"]["accounts"] == 1
    assert [(item["address"], item["accounts"]) for item in body["missing"]] == [("203.0.113.7", 1)]


def test_openapi_is_the_document(start):
    daemon = start()
    assert daemon.admin.get("/openapi.json").json == document()


def test_changes_are_logged_with_who_made_them(start):
    from lib.admin import make_token
    daemon = start(log_level="info")
    token = make_token(daemon, "robot")
    daemon.admin.using(token=token).put("/admin/log", {"level": "info"})
    daemon.admin.put("/admin/log", {"level": "info"})
    daemon.owner.put("/admin/log", {"level": "loud"})
    daemon.admin.get("/admin/status")
    events = daemon.wait_event("admin_request", count=3, path="/admin/log") and daemon.events(
        "admin_request", path="/admin/log")
    assert [event["client"] for event in events] == ["token:robot", "127.0.0.1", "uid:%d" % os.geteuid()]
    assert [event["status"] for event in events] == [200, 200, 400]
    assert not daemon.events("admin_request", path="/admin/status")
