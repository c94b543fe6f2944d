"""bearerctl login as people use it: with a browser that is scripted, with an address that is
pasted, by a code on another device; and what it says when it cannot go on."""
import os
import signal
import socket
import stat
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from lib.ctl import FAILED, OK, PARTLY, USAGE, FORBIDDEN, Ctl, Terminal
from lib.daemon import Bearerd
from lib.fakeapi import FakeApi
from lib.signin import app, places
from lib.sim import Sim
from lib.util import program, wait_until

A, B, C = ("user%d@example.test" % n for n in (1, 2, 3))


@pytest.fixture(scope="module")
def m365(certs):
    with Sim("m365", accounts=3, certs=certs) as sim:
        yield sim


@pytest.fixture(scope="module")
def gmail(certs):
    with Sim("gmail", accounts=3, certs=certs) as sim:
        yield sim


@pytest.fixture(autouse=True)
def clean(request):
    yield
    for name in ("m365", "gmail"):
        if name in request.fixturenames:
            request.getfixturevalue(name).reset_knobs()


@pytest.fixture
def google(certs, gmail):
    with Bearerd(certs, (), dict(places(gmail, "gmail"), **app(gmail, "gmail", "desktop"))) as one:
        yield one


@pytest.fixture
def microsoft(certs, m365):
    with Bearerd(certs, (), dict(places(m365, "outlook"), **app(m365, "outlook", "public"))) as one:
        yield one


def ctl_of(daemon, **env):
    return Ctl("http://127.0.0.1:%d" % daemon.admin_port, **env)


@pytest.fixture
def browser(tmp_path, certs):
    """browser(user): a program for BROWSER that visits the address, lets the user agree and goes
    where it is sent to; what it was sent lies in browser.pages."""
    script = tmp_path / "browser"

    def make(user, query=""):
        script.write_text("""#!/usr/bin/python3
import ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile=%r)
url = sys.argv[1] + "&auto=%s" + %r
try:
    page = urllib.request.urlopen(url, context=context, timeout=30).read().decode()
except urllib.error.HTTPError as error:
    page = error.read().decode()
open(%r, "a").write(page)
""" % (str(certs.ca), urllib.parse.quote(user), query, str(tmp_path / "page")))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return str(script)
    make.page = tmp_path / "page"
    return make


def relays(daemon, sim, email):
    before = len(sim.messages(user=email))
    assert daemon.send(email, "x@example.net").code == 250
    assert len(sim.messages(user=email)) == before + 1


class Running:
    """bearerctl login, while somebody signs in."""

    def __init__(self, daemon, *args, env=None):
        env = dict(env or {}, BEARERD_URL="http://127.0.0.1:%d" % daemon.admin_port)
        self.terminal = Terminal(("login",) + args, env=env, columns=4000)

    def address(self, after=0):
        self.terminal.expect(b"  https://", after)
        end = self.terminal.expect(b"press Enter.", after)
        line = next(one for one in self.terminal.shown[after:end].decode().splitlines()
                    if one.startswith("  https://"))
        return line.strip()

    def paste(self, text):
        self.terminal.type(text.encode() + b"\n")

    def end(self):
        code = self.terminal.end()
        return code, self.terminal.shown.decode()


def agree(sim, address, user):
    kind, where, _ = sim.visit(address + "&auto=" + urllib.parse.quote(user))
    assert kind == "redirect", where
    return where


# --- a browser on this machine ------------------------------------------------------


def test_a_browser(google, gmail, browser):
    done = ctl_of(google, BROWSER=browser(A)).ok("login", A)
    assert done.out == A + ": signed in, the account was added and is active\n"
    assert "Your browser should show" in done.err
    wait_until(browser.page.exists, 10, "the page that the browser got")
    wait_until(lambda: "Back to bearerctl" in browser.page.read_text(), 10, "a friendly page")
    relays(google, gmail, A)
    assert not gmail.state()["errors"]


def test_a_browser_as_json(microsoft, m365, browser):
    done = ctl_of(microsoft, BROWSER=browser(A) + " %s:never-run").ok("login", A, "--json")
    answer = done.json()
    assert answer["state"] == "done" and answer["signed_in_as"] == A
    relays(microsoft, m365, A)


def test_a_browser_that_does_not_start(google, gmail):
    """The address is there to be opened by hand."""
    running = Running(google, A, env={"BROWSER": "/nonexistent/browser"})
    address = running.address()
    assert b"Open this page in a browser" in running.terminal.shown
    running.paste(agree(gmail, address, A))
    assert running.end()[0] == OK


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_what_is_not_opened(tmp_path, flow):
    """A bearerd that is somebody else's has nothing run on this machine: what is no plain address
    of the web is shown, and not handed to a program."""
    script, opened = tmp_path / "browser", tmp_path / "opened"
    script.write_text("#!/bin/sh\nprintf '%%s\\n' \"$@\" >>%s\n" % opened)
    script.chmod(0o755)
    key = {"browser": "authorize_url", "device": "verification_uri"}[flow]
    more = ("--device",) if flow == "device" else ()

    def show(address):
        login = {"success": True, "id": "x", "email": A, "provider": "p", "flow": flow,
                 "state": "pending", "user_code": "CODE", "oauth_state": "s", key: address}
        failed = dict(login, state="failed", error="no", hint="none")
        fake = FakeApi({"POST /admin/logins": (201, login), "GET /admin/logins/x": failed})
        done = Ctl(fake.url, BROWSER=str(script))("login", A, *more)
        fake.stop()
        return done
    for address in ("--help", "file:///etc/passwd", "http://id.example/", "javascript:alert(1)",
                    "https://id.example/$(id)", "https://id.example/'", "https://id.example/ -x",
                    "HTTPS://id.example/;id", "https://id.example/\x1b[2J\n", ""):
        done = show(address)
        assert done.code == FAILED and "should show" not in done.err, address
        assert "\x1b" not in done.err
    assert "should show" in show("https://id.example/a?b=c%20d&e=f").err
    wait_until(opened.exists, 10, "the address that is opened")
    assert opened.read_text() == "https://id.example/a?b=c%20d&e=f\n"


def test_a_browser_gets_no_token(tmp_path):
    """Whoever gave it by the environment gave it to bearerctl."""
    script, seen = tmp_path / "browser", tmp_path / "seen"
    script.write_text("#!/bin/sh\nenv >%s.new && mv %s.new %s\n" % (seen, seen, seen))
    script.chmod(0o755)
    login = {"success": True, "id": "x", "email": A, "provider": "p", "flow": "browser",
             "state": "pending", "oauth_state": "s", "authorize_url": "https://id.example/"}
    failed = dict(login, state="failed", error="no", hint="none")
    fake = FakeApi({"POST /admin/logins": (201, login), "GET /admin/logins/x": failed})
    Ctl(fake.url, BROWSER=str(script), BEARERD_TOKEN="brd_secret")("login", A)
    fake.stop()
    assert fake.seen[0][2]["Authorization"] == "Bearer brd_secret"
    wait_until(seen.exists, 10, "the browser")
    assert "BROWSER=" in seen.read_text() and "brd_secret" not in seen.read_text()


def test_bearerd_is_asked_too_often():
    """By others at the same address; whoever types a code elsewhere must not lose it for that."""
    login = {"success": True, "id": "x", "email": A, "provider": "p", "flow": "device",
             "state": "pending", "user_code": "CODE", "verification_uri": "https://id.example/"}
    done = dict(login, state="done", action="added", account_state="active")
    answers = [(429, {"success": False, "error": "too often"}), (200, login), (200, done)]
    fake = FakeApi({"POST /admin/logins": (201, login),
                    "GET /admin/logins/x": lambda handler: FakeApi.say(handler, answers.pop(0))})
    over = Ctl(fake.url)("login", A, "--device", "--no-browser")
    fake.stop()
    assert over.code == OK and "signed in" in over.out and not answers, over


def test_consent_is_refused(google, gmail, browser):
    gmail.knobs(authorize_error="access_denied")
    done = ctl_of(google, BROWSER=browser(A))("login", A)
    assert done.code == FAILED and "access_denied" in done.err and "allow the access" in done.err
    assert not google.stored_accounts()


def test_the_wrong_user(microsoft, browser):
    done = ctl_of(microsoft, BROWSER=browser(B))("login", A)
    assert done.code == FAILED
    assert "%s has signed in, not %s" % (B, A) in done.err and "private window" in done.err
    assert not microsoft.stored_accounts()


def test_strangers_at_the_loopback_address(google, gmail):
    """Icons, other sign-ins, nonsense and connections that say nothing change nothing."""
    running = Running(google, A)
    address = running.address()
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    base = query["redirect_uri"]
    port = int(base.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]

    def get(path):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=10)
        except urllib.error.HTTPError as error:
            return error.code
        raise AssertionError(path)
    assert get("/favicon.ico") == 404 and get("/") == 404
    assert get("/?code=x&state=forged") == 400 and get("/?code=x") == 400
    assert get("/other?code=x&state=" + query["state"]) == 404
    with socket.create_connection(("127.0.0.1", port)) as odd:
        odd.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert odd.recv(100).startswith(b"HTTP/1.1 400")
    # Only this machine is heard.
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", port))
    where = agree(gmail, address, A)
    assert urllib.request.urlopen(where, timeout=10).status == 200
    assert running.end()[0] == OK
    for one in silent:
        one.close()
    relays(google, gmail, A)


# --- a machine without a screen -----------------------------------------------------


def test_a_pasted_address(google, gmail):
    running = Running(google, A)
    address = running.address()
    running.paste("")
    running.paste("http://localhost:1/?code=x&state=y")
    running.terminal.expect(b"Not taken:")
    running.paste(agree(gmail, address, A))
    code, shown = running.end()
    assert code == OK and "the account was added" in shown
    relays(google, gmail, A)


def test_a_line_that_the_terminal_cuts(google, gmail):
    """It takes 4095 octets of a line, whatever is pasted."""
    running = Running(google, A)
    address = running.address()
    running.paste("http://localhost:1/?code=" + 5000 * "x")
    running.terminal.expect(b"has cut this line")
    where = agree(gmail, address, A)
    running.paste(urllib.parse.parse_qs(urllib.parse.urlsplit(where).query)["code"][0])
    assert running.end()[0] == OK


def test_a_registered_redirect_address(google, gmail):
    """Where the registration allows none on this machine there is no listener."""
    uri = "https://relay.example.com/signed-in"
    client = gmail.client("desktop")
    gmail.set_client(client_id=client["client_id"], redirect_uris=[uri])
    running = Running(google, A, "--redirect-uri", uri)
    where = agree(gmail, running.address(), A)
    assert where.startswith(uri)
    running.paste(where)
    assert running.end()[0] == OK
    gmail.set_client(client_id=client["client_id"], redirect_uris=[])


def test_an_address_from_a_pipe(google, gmail):
    """Scripts may drive it."""
    url = "http://127.0.0.1:%d" % google.admin_port
    process = subprocess.Popen(program("bearerctl") + ["login", A, "--url", url, "--no-browser"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={"HOME": "/nonexistent"})
    address = None
    while not address:
        line = process.stderr.readline().decode()
        assert line
        address = line.strip() if line.startswith("  https://") else None
    out, err = process.communicate(agree(gmail, address, A).encode(), timeout=60)
    assert process.returncode == OK and b"was added" in out, err


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_standard_file_is_closed(google, browser, closed):
    """No connection gets its number: what is said for people would go there."""
    env = {"HOME": "/nonexistent", "BROWSER": browser(A),
           "BEARERD_URL": "http://127.0.0.1:%d" % google.admin_port}
    done = subprocess.run(program("bearerctl") + ["login", A], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, preexec_fn=lambda: os.close(closed))
    assert google.stored_accounts(), done
    assert done.returncode == (FAILED if closed == 1 else OK), done


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_interrupted(request, flow):
    """bearerd waits no longer then."""
    daemon = request.getfixturevalue("google" if flow == "browser" else "microsoft")
    running = Running(daemon, A, *(("--device",) if flow == "device" else ()))
    running.terminal.expect(b"press Enter." if flow == "browser" else b"Waiting until")
    os.kill(running.terminal.process.pid, signal.SIGINT)
    code, shown = running.end()
    assert code == FAILED and "the login was given up" in shown
    daemon.wait_event("login_given_up", email=A)


def test_interrupted_with_bearerd_gone(google):
    running = Running(google, A)
    running.address()
    google.process.signal(signal.SIGSTOP)
    os.kill(running.terminal.process.pid, signal.SIGINT)
    code, shown = running.end()
    google.process.signal(signal.SIGCONT)
    assert code == FAILED and "given up" not in shown


def test_nobody_can_bring_the_address(google):
    """Neither a listener nor an input: to wait for the end of the login helps nobody."""
    done = ctl_of(google)("login", A, "--redirect-uri", "https://relay.example.com/", "--no-browser")
    assert done.code == FAILED and "standard input has ended" in done.err
    google.wait_event("login_given_up", email=A)


# --- by a code on another device -----------------------------------------------------


def test_a_device(microsoft, m365):
    m365.knobs(device_interval=1)
    running = Running(microsoft, A, "--device")
    end = running.terminal.expect(b"type the code  ")
    running.terminal.expect(b"Waiting until")
    code = running.terminal.shown[end:].split()[0].decode()
    assert b"https://" in running.terminal.shown
    m365.answer_device("allow", A, code)
    assert running.end()[0] == OK
    relays(microsoft, m365, A)


@pytest.mark.parametrize("polls, words", [
    ("pending slow_down", None), ("pending declined", "allow the access"),
    ("expired", "Begin again")])
def test_what_becomes_of_a_device(microsoft, m365, polls, words):
    m365.knobs(device_interval=1, device_polls=polls, device_auto=A)
    done = ctl_of(microsoft)("login", A, "--device")
    assert done.code == (FAILED if words else OK), done
    assert not words or words in done.err
    assert bool(microsoft.stored_accounts()) != bool(words)


def test_google_has_no_device_flow_for_mail(google):
    done = ctl_of(google)("login", A, "--device")
    assert done.code == FAILED and "use a browser" in done.err


# --- what it cannot know ----------------------------------------------------------------


def test_questions(certs, gmail, browser):
    """A new user with nothing but an account is asked for the provider and the client."""
    conf = places(gmail, "gmail")
    del conf["providers.gmail.domains"]
    client = gmail.client("desktop")
    with Bearerd(certs, (), conf) as daemon:
        running = Running(daemon, A, env={"BROWSER": browser(A)})
        end = running.terminal.expect(b"Provider (")
        running.terminal.type(b"gmail\n")
        running.terminal.expect(b"Client id: ", end)
        running.terminal.type(client["client_id"].encode() + b"\n")
        running.terminal.expect(b"Client secret", end)
        running.terminal.type_unseen(client["client_secret"].encode() + b"\n")
        code, shown = running.end()
        assert code == OK, shown
        assert client["client_secret"] not in shown + daemon.process.text
        relays(daemon, gmail, A)


def test_no_questions_without_a_terminal(certs, gmail, tmp_path, browser):
    conf = places(gmail, "gmail")
    del conf["providers.gmail.domains"]
    client = gmail.client("desktop")
    secret = tmp_path / "secret"
    secret.write_text(client["client_secret"] + "\n")
    with Bearerd(certs, (), conf) as daemon:
        ctl = ctl_of(daemon, BROWSER=browser(A))
        done = ctl("login", A)
        assert done.code == FAILED and "--provider can be:" in done.err and "gmail" in done.err
        done = ctl("login", A, "--provider", "gmail")
        assert done.code == FAILED and "--client-id names it" in done.err
        ctl.ok("login", A, "--provider", "gmail", "--client-id", client["client_id"],
               "--client-secret-file", secret)
        relays(daemon, gmail, A)


@pytest.mark.parametrize("args", [
    [], [A, "--all-needing-consent"], ["--all-needing-consent", "--provider", "gmail"],
    [A, "--client-secret-file", "x"], [A, "--device", "--redirect-uri", "https://x.example/"],
    [A, B]])
def test_wrong_command_lines(args):
    assert Ctl("http://127.0.0.1:1")("login", *args).code == USAGE


def test_a_secret_file_that_is_not_there(google):
    done = ctl_of(google)("login", A, "--client-id", "x", "--client-secret-file", "/nonexistent")
    assert done.code == FAILED and "/nonexistent" in done.err


# --- many ---------------------------------------------------------------------------------


def test_all_that_wait_for_their_owners(certs, gmail, browser):
    """One after the other; one that fails stops none, and the others come back at once."""
    records = [gmail.account(email) for email in (A, B, C)]
    for record in records[:2]:
        record["refresh_token"] = "is-dead-long-since"
    with Bearerd(certs, records, places(gmail, "gmail")) as daemon:
        ctl = ctl_of(daemon, BROWSER=browser(A))

        def waiting():
            return [one["email"] for one in daemon.admin.request(
                "GET", "/admin/accounts?state=needs_consent").json["accounts"]]
        wait_until(lambda: waiting() == [A, B], 20, "two accounts that need consent")
        done = ctl("login", "--all-needing-consent")
        assert done.code == PARTLY, done
        assert "1 of 2" in done.err and "2 of 2" in done.err and C not in done.err + done.out
        assert waiting() == [B]
        relays(daemon, gmail, A)
        running = Running(daemon, "--all-needing-consent")
        running.address()
        running.paste("skip")
        assert running.end()[0] == FAILED and waiting() == [B]
        ctl_of(daemon, BROWSER=browser(B)).ok("login", "--all-needing-consent")
        relays(daemon, gmail, B)
        done = ctl.ok("login", "--all-needing-consent")
        assert "No account waits" in done.err


# --- another host ----------------------------------------------------------------------------


def test_a_bearerd_elsewhere(certs, gmail, tmp_path, browser):
    """Over TLS and with a token; the application's secret and all tokens stay over there."""
    conf = dict(places(gmail, "gmail"), **app(gmail, "gmail", "desktop"))
    conf.update({"tls.certificate": str(certs.cert), "tls.key": str(certs.key), "admin.tls": "on",
                 "admin.require_token": "true"})
    with Bearerd(certs, (), conf) as daemon:
        def token(name, scope):
            made = daemon.owner.request("POST", "/admin/api-tokens", {"name": name, "scope": scope})
            file = tmp_path / name
            file.write_text(made.json["token"] + "\n")
            return file
        far = Ctl("https://localhost:%d" % daemon.admin_port, BROWSER=browser(A))
        options = ["--ca-file", certs.ca, "--token-file"]
        done = far("login", A, *options, token("reader", "read"))
        assert done.code == FORBIDDEN
        done = far.ok("login", A, *options, token("writer", "write"))
        for secret in (gmail.client("desktop")["client_secret"],
                       daemon.stored_accounts()[0]["refresh_token"]):
            assert secret not in done.out + done.err
        relays(daemon, gmail, A)
    clear = Ctl("http://192.0.2.1:1")("login", A)
    assert clear.code == USAGE and "https://" in clear.err
