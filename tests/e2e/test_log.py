"""The log: one line per transaction, parseable, and without a secret."""
import json

from lib.daemon import account, password_hash
from lib.provider import Fault
from lib.tokens import token_of
from lib.util import wait_until

A = "a@example.com"


def test_the_transaction_line(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], log_level="info")
    content = b"Subject: x\r\n\r\nbody\r\n"
    for _ in range(2):
        assert daemon.send(A, ["b@example.net", "c@example.net"], content).code == 250
    first, second = daemon.wait_event("transaction", count=1), daemon.wait_event("transaction", count=2)
    assert first["account"] in (A, "acc-a") and first["sender"] == A
    assert (first["rcpts"], first["size"], first["attempts"]) == (2, len(content), 1)
    assert first["outcome"] == second["outcome"] == "delivered"
    assert first["conn"] == second["conn"] and (first["conn_use"], second["conn_use"]) == (1, 2)
    assert first["reply"].startswith("250") and "scripted" in first["reply"]
    assert first["client_reply"].startswith("250")
    for key in ("wait_ms", "envelope_ms", "body_ms", "final_ms"):
        assert float(first[key]) >= 0, key


def test_refusals_are_logged_with_the_providers_words(start, make_provider, tokens):
    provider = make_provider(replies={"rcpt": "550-5.1.1 no such\r\n550 5.1.1 user"})
    daemon = start([account(A, provider, tokens)], log_level="info")
    daemon.send(A, "b@example.net")
    event = daemon.wait_event("transaction")
    assert event["outcome"] == "rejected"
    assert event["reply"].startswith("550") and "no such" in event["reply"] and "user" in event["reply"]


def test_json(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], {"log.format": "json"}, log_level="info")
    assert daemon.send(A, "b@example.net").code == 250
    daemon.wait_event("transaction")
    for line in daemon.process.lines:
        assert json.loads(line)["event"], line


def test_remote_octets_cannot_forge_a_line(start, make_provider, tokens):
    evil = "550 5.1.1 x\x1b[31m\x00\" event=transaction outcome=delivered \\"
    provider = make_provider(replies={"rcpt": evil})
    daemon = start([account(A, provider, tokens)])
    with daemon.client(A) as client:
        client.cmd('EHLO x"\\event=forged', (250, 501))
    daemon.send(A, "b@example.net")
    event = daemon.wait_event("transaction")
    assert event["outcome"] == "rejected"
    assert len(daemon.transactions()) == 1 and not daemon.events("forged")
    assert not any("\x1b" in line or "\0" in line for line in daemon.process.lines)


def test_no_secret_at_any_level(start, make_provider, tokens):
    """Tokens, refresh tokens, client secrets, passwords, and their base64."""
    import base64

    secret = "SecretWordOfTheClient"
    provider = make_provider(faults=[Fault("final", "rst", 1)],
                             check=lambda _, token: token != token_of("refresh-a", 1))
    daemon = start([account(A, provider, tokens, client_secret="SecretOfTheApplication",
                            password_hash=password_hash(secret))], log_level="trace")
    with daemon.client() as client:
        client.ehlo()
        client.auth(A, "wrong" + secret, 535)
        client.auth(A, secret)
        client.message(A, "b@example.net", b"x\r\n")
        client.message(A, "b@example.net", b"x\r\n")
    tokens.answer = lambda form, number: (400, {"error": "invalid_grant", "echo": form}, {})
    daemon.reload()
    daemon.wait_transactions(2)
    daemon.stop()
    text = daemon.process.text
    used = [login[1] for login in provider.logins]
    assert used and daemon.events("transaction")
    for word in used + [secret, "refresh-a", "SecretOfTheApplication", "$argon2id$"]:
        assert word not in text, word
        for skip in range(3):
            encoded = base64.b64encode((" " * skip + word).encode()).decode()[4:-4]
            assert encoded not in text, "base64 of " + word


def test_levels(start, provider, tokens):
    daemon = start([account(A, provider, tokens)], log_level="error", start=False)
    daemon.start(ready=False)
    from lib.util import connectable

    wait_until(lambda: connectable(daemon.port), 10, "the listener")
    assert daemon.send(A, "b@example.net").code == 250
    assert [e for e in daemon.events_seen if e["level"] != "error"] == []
