"""The command line and the configuration: what an operator types and reads."""
import json
import re

import pytest

from lib.daemon import account, run_bearerd
from lib.util import wait_until


def check(start, accounts=(), conf=None, raw_config=None, raw_accounts=None, args=()):
    """bearerd --check with these files: (exit status, all that it said)."""
    daemon = start(accounts, conf, start=False, raw_config=raw_config)
    if raw_accounts is not None:
        daemon.write_accounts(raw_accounts)
    code, out, err = run_bearerd("--check", *daemon.args, *args)
    return code, out + err, daemon


def good(**more):
    return account("a@example.com", 587, "https://localhost:1/token", **more)


def test_version_and_help():
    code, out, _ = run_bearerd("--version")
    assert code == 0 and re.search(r"bearerd \d+\.\d+\.\d+", out)
    code, out, _ = run_bearerd("--help")
    assert code == 0
    for option in ("config", "accounts", "host", "port", "admin-host", "admin-port", "dry-run",
                   "global-concurrency", "check", "version", "help", "log-level", "workers", "ca-file"):
        assert "--" + option in out, option


def test_unknown_flag():
    code, out, err = run_bearerd("--no-such-flag")
    assert code not in (0, None) and "no-such-flag" in out + err


def test_check_good(start):
    code, said, _ = check(start, [good()])
    assert code == 0, said


def test_empty_configuration_is_valid(start):
    code, said, _ = check(start, [good()], raw_config="")
    assert code == 0, said


def test_missing_files(start):
    daemon = start([good()], start=False)
    code, _, err = run_bearerd("--check", "--config", daemon.dir / "none.yaml", "--accounts", daemon.accounts)
    assert code != 0 and "none.yaml" in err
    code, _, err = run_bearerd("--check", "--config", daemon.config, "--accounts", daemon.dir / "none.json")
    assert code != 0 and "none.json" in err


@pytest.mark.parametrize("text, words", [
    ("limits:\n  max_recipient: 5\n", ["config.yaml", "2", "max_recipient", "max_recipients"]),
    ("limits:\n  max_recipients: many\n", ["config.yaml", "2", "limits.max_recipients", "many"]),
    ("limits:\n  max_recipients: 0\n", ["config.yaml", "2", "limits.max_recipients", "0", "1"]),
    ("timeouts:\n  command: 5 parsecs\n", ["config.yaml", "2", "timeouts.command", "5 parsecs"]),
    ("upstream:\n\n  helo: x.example\n  probe_aftr: 1s\n", ["config.yaml", "4", "probe_after"]),
    ("log:\n  level: chatty\n", ["config.yaml", "2", "log.level", "chatty", "info"]),
    ("limits: [1, 2]\n", ["config.yaml", "1", "limits"]),
    ("a: {b\n", ["config.yaml"]),
    ("listeners:\n  - address: nowhere\n", ["config.yaml", "2", "nowhere"]),
], ids=lambda value: value.strip().split("\n")[-1].strip() if isinstance(value, str) else None)
def test_check_names_file_line_key_and_value(start, text, words):
    code, said, _ = check(start, [good()], raw_config=text)
    assert code != 0
    for word in words:
        assert word in said, (word, said)


def test_yaml_as_people_write_it(start):
    code, said, _ = check(start, [good()], raw_config="""\
# a comment
hostname: relay.example
listeners:
  - address: 127.0.0.1:2525
  - {address: "unix:/tmp/x.sock", tls: none}
limits:
  max_message_size: 35M
  max_recipients: 100
timeouts: {command: 5m, data: 90s}
trusted_clients: [127.0.0.0/8, "::1", unix]
providers:
  gmail:
    max_connections: 5
    retry: {max_attempts: 3, backoff: 1.5}
log: {format: json, level: warn}
""")
    assert code == 0, said


ORIGINAL_CONFIG = {
    "_comment": "as the original's example has it",
    "global": {
        "concurrency": {"global_concurrency_limit": 100, "backpressure_queue_size": 1000,
                        "connection_backlog": 100},
        "timeouts": {"oauth2_timeout": 10, "connection_acquire_timeout": 5,
                     "smtp_command_timeout": 30, "smtp_data_timeout": 60},
        "oauth2": {"token_refresh_buffer_seconds": 300, "token_cache_ttl_seconds": 60,
                   "token_default_lifetime_seconds": 3600},
        "http_pool": {"total_connections": 500, "connections_per_host": 100,
                      "dns_cache_ttl_seconds": 300, "connect_timeout_seconds": 5, "max_retries": 3},
        "smtp": {"use_source_ip_binding": True, "validate_source_ip": True, "use_ipv6": False,
                 "server_hostname": "relay.example", "max_message_size": 52428800,
                 "max_recipients": 1000, "max_line_length": 1000},
        "logging": {"level": "INFO", "format": "%(message)s", "log_file_override": "",
                    "console_output": True},
    },
    "providers": {
        name: {
            "oauth_token_url": "https://oauth2.googleapis.com/token",
            "smtp_endpoint": "smtp.gmail.com:587",
            "max_concurrent_messages": 10,
            "connection_pool": {
                "_note": "comments may be anywhere",
                "max_connections_per_account": 40, "max_messages_per_connection": 50,
                "connection_max_age_seconds": 300, "connection_idle_timeout_seconds": 60,
                "idle_connection_reuse_timeout": 120, "adaptive_prewarm_enabled": True,
                "prewarm_min_connections": 1, "prewarm_max_connections": 10,
                "prewarm_min_message_threshold": 100, "prewarm_messages_per_connection": 10,
                "prewarm_concurrent_tasks": 100, "connection_acquire_timeout_seconds": 5},
            "rate_limiting": {"enabled": True, "messages_per_hour": 10000,
                              "messages_per_minute_per_connection": 25, "burst_size": 50},
            "retry": {"max_attempts": 2, "backoff_factor": 2.0, "max_delay_seconds": 30,
                      "jitter_enabled": True},
            "circuit_breaker": {"enabled": True, "failure_threshold": 5,
                                "recovery_timeout_seconds": 60, "half_open_max_calls": 2},
        } for name in ("gmail", "outlook", "default")},
}
ORIGINAL_ACCOUNT = {
    "_comment": "and its account", "account_id": "gmail_a_example_com", "email": "a@example.com",
    "ip_address": "", "vmta_name": "vmta-gmail-a", "provider": "gmail",
    "client_id": "1-x.apps.googleusercontent.com", "client_secret": "GOCSPX-x",
    "refresh_token": "1//0x", "oauth_endpoint": "smtp.gmail.com:587",
    "oauth_token_url": "https://oauth2.googleapis.com/token", "max_concurrent_messages": 10,
    "max_messages_per_hour": 10000, "token": None, "messages_this_hour": 0,
    "concurrent_messages": 0, "active_connections": 0,
    "connection_settings": {"max_connections_per_account": 5}, "rate_limiting": {"enabled": True},
}


@pytest.mark.parametrize("wrap", [lambda accounts: accounts, lambda accounts: {"accounts": accounts}],
                         ids=["array", "object"])
def test_the_originals_files_load_unchanged(start, wrap):
    code, said, _ = check(start, raw_config=json.dumps(ORIGINAL_CONFIG, indent=2),
                          raw_accounts=json.dumps(wrap([ORIGINAL_ACCOUNT])))
    assert code == 0, said


def test_invalid_records_are_reported_and_skipped(start, provider, tokens):
    bad = [{"email": "no-provider@example.com"}, dict(good(), email="not an address"),
           dict(good(), email="http@example.com", account_id="h", oauth_token_url="http://x/token"),
           "not even an object"]
    daemon = start(bad + [account("ok@example.com", provider, tokens)])
    assert daemon.send("ok@example.com", "b@example.net").code == 250
    text = daemon.process.text
    for word in ("no-provider@example.com", "not an address", "http@example.com"):
        assert word in text, word
    with daemon.client() as client:
        client.ehlo()
        client.auth("http@example.com", code=535)
    code, out, err = run_bearerd("--check", *daemon.args)
    assert code != 0 and "http@example.com" in out + err


def test_broken_accounts_file_stops_the_start(start):
    code, said, daemon = check(start, raw_accounts='[{"email": ')
    assert code != 0 and "accounts.json" in said
    code, _, err = run_bearerd(*daemon.args)
    assert code != 0 and "accounts.json" in err
    assert daemon.accounts.read_text() == '[{"email": '


def test_dry_run(start, provider, tokens):
    """Connects, authenticates, sends nothing, says 250 and that it is dry."""
    daemon = start([account("a@example.com", provider, tokens)], args=["--dry-run"])
    reply = daemon.send("a@example.com", "b@example.net")
    assert reply.code == 250 and reply.enhanced == "2.0.0" and "dry" in reply.text.lower()
    assert provider.logins and provider.received == []
    assert daemon.wait_event("transaction")["outcome"] == "dry_run"


def test_port_in_use_is_an_error_with_a_name(start, provider, tokens):
    first = start([account("a@example.com", provider, tokens)])
    code, _, err = run_bearerd(*first.args)
    assert code != 0 and str(first.port) in err
    code, _, err = run_bearerd(*first.args, "--port", "0")
    assert code != 0 and str(first.admin_port) in err and "admin.port" in err
    assert first.send("a@example.com", "b@example.net").code == 250


def test_workers_flag(start, provider, tokens):
    daemon = start([account("a@example.com", provider, tokens)], {"workers": None}, args=["--workers", 3])
    for _ in range(6):
        assert daemon.send("a@example.com", "b@example.net").code == 250


def test_readiness_by_sd_notify(start, provider, tokens, tmp_path):
    import socket

    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(10)
        start([account("a@example.com", provider, tokens)], env={"NOTIFY_SOCKET": str(path)})
        said = []

        def ready():
            said.append(notify.recv(4096).decode())
            return any("READY=1" in text for text in said)

        wait_until(ready, 10, "READY=1")
