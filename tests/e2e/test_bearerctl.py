"""bearerctl, run as people run it: with a pipe and on a terminal."""
import ctypes
import ctypes.util
import os
import pty
import shutil
import subprocess
import termios

import pytest

from lib.util import is_built, program, wait_until

pytestmark = pytest.mark.skipif(not is_built("bearerctl"), reason="bearerctl is not built")


def bearerctl(*args, stdin=b""):
    return subprocess.run(program("bearerctl") + list(args), input=stdin, capture_output=True, timeout=60)


def verifies(password_hash, password):
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    assert sodium.sodium_init() >= 0
    return sodium.crypto_pwhash_str_verify(password_hash, password,
                                           ctypes.c_ulonglong(len(password))) == 0


class Terminal:
    """bearerctl with a pseudo-terminal as standard input and standard error."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(program("bearerctl") + list(args), stdin=slave,
                                        stdout=subprocess.PIPE, stderr=slave)
        self.slave = slave
        self.shown = b""

    def expect(self, text):
        while text not in self.shown:
            self.shown += os.read(self.master, 1024)

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def type(self, text):
        wait_until(lambda: not self.echoes(), what="a terminal that does not show what is typed")
        os.write(self.master, text)

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        os.set_blocking(self.master, False)
        try:
            self.shown += os.read(self.master, 65536)
        except BlockingIOError:
            pass
        echoes = self.echoes()
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode, out.strip(), echoes


def type_twice(first, second):
    terminal = Terminal("passwd")
    terminal.expect(b"Password: ")
    terminal.type(first + b"\n")
    if first:
        terminal.expect(b"Again: ")
        terminal.type(second + b"\n")
    return terminal, terminal.end()


@pytest.mark.parametrize("stdin, password", [
    (b"secret\n", b"secret"), (b"secret", b"secret"), (b"secret\r\n", b"secret"),
    (b"two words \n", b"two words "), (b"first\nsecond\n", b"first"),
    ("pässwörd\n".encode(), "pässwörd".encode()), (b"x" * 1023 + b"\n", b"x" * 1023)])
def test_passwd_hashes_one_line(stdin, password):
    done = bearerctl("passwd", stdin=stdin)
    assert done.returncode == 0
    assert done.stdout.startswith(b"$argon2id$v=19$m=65536,t=2,p=1$")
    assert done.stdout.count(b"\n") == 1
    assert verifies(done.stdout.strip(), password)
    assert not verifies(done.stdout.strip(), password + b"x")


def test_passwd_salts():
    first, second = (bearerctl("passwd", stdin=b"secret\n").stdout for _ in range(2))
    assert first != second


@pytest.mark.parametrize("stdin, why", [
    (b"", b"empty"), (b"\n", b"empty"), (b"\r\n", b"empty"), (b"a\0b\n", b"NUL"),
    (b"x" * 1024 + b"\n", b"at most 1023 octets")])
def test_passwd_refuses(stdin, why):
    done = bearerctl("passwd", stdin=stdin)
    assert done.returncode == 1
    assert done.stdout == b""
    assert why in done.stderr


def test_passwd_takes_no_password_as_argument():
    done = bearerctl("passwd", "secret", stdin=b"x\n")
    assert done.returncode == 2
    assert b"list of processes" in done.stderr
    assert b"secret" not in done.stderr


def test_passwd_asks_twice_and_shows_nothing():
    terminal, (code, out, echoes) = type_twice(b"secret", b"secret")
    assert code == 0
    assert verifies(out, b"secret")
    assert b"secret" not in terminal.shown
    assert echoes, "the terminal was left as it was not found"


def test_passwd_wants_the_same_twice():
    terminal, (code, out, _) = type_twice(b"secret", b"Secret")
    assert code == 1
    assert out == b""
    assert b"two different passwords" in terminal.shown


def test_passwd_refuses_nothing_on_a_terminal():
    terminal, (code, out, _) = type_twice(b"", b"")
    assert code == 1
    assert b"empty" in terminal.shown
    assert b"Again" not in terminal.shown


def test_passwd_leaves_the_terminal_when_killed():
    terminal = Terminal("passwd")
    terminal.expect(b"Password: ")
    wait_until(lambda: not terminal.echoes(), what="a silent terminal")
    terminal.process.terminate()
    code, _, echoes = terminal.end()
    assert code != 0
    assert echoes


def test_help_lists_and_explains():
    done = bearerctl("help")
    assert done.returncode == 0
    assert b"passwd" in done.stdout
    assert bearerctl("--help").stdout == done.stdout
    assert b"password_hash" in bearerctl("help", "passwd").stdout
    assert bearerctl("--version").stdout.startswith(b"bearerctl ")


def test_wrong_commands_are_told_the_nearest():
    nothing = bearerctl()
    assert nothing.returncode == 2
    assert b"Usage" in nothing.stdout + nothing.stderr
    done = bearerctl("passwrd")
    assert done.returncode == 2
    assert b'did you mean "passwd"' in done.stderr
    assert bearerctl("help", "nothing").returncode == 2


def test_help_of_groups_and_of_two_words():
    group = bearerctl("help", "accounts").stdout
    assert b"accounts list" in group and b"passwd" not in group
    two = bearerctl("help", "accounts", "list")
    assert b"--state" in two.stdout and two.stdout == bearerctl("accounts", "list", "--help").stdout
    for line in bearerctl("--help").stdout.splitlines():
        assert len(line) <= 80


COMPLETED = [
    (["acc"], {"accounts"}), (["accounts", "s"], {"show", "set"}), (["--url", "x", "lo"], {"log", "login"}),
    (["log", "d"], {"debug"}), (["accounts", "list", "--state", "d"], {"disabled"}),
    (["accounts", "list", "--st"], {"--state"}), (["api-token", "create", "--scope", ""], {"read", "write"}),
    (["accounts", "add", "--scope", ""], set()), (["completion", "z"], {"zsh"}),
    (["import", "/etc/host"], {"/etc/hosts"}), (["--token-file", "/etc/host"], {"/etc/hosts"}),
]


@pytest.mark.parametrize("words, wanted", COMPLETED)
def test_bash_completes(words, wanted):
    script = bearerctl("completion", "bash").stdout.decode() + """
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bearerctl; printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script, "bash", "bearerctl"] + words, capture_output=True,
                          text=True, timeout=60)
    assert done.stderr == ""
    found = set(done.stdout.split())
    assert wanted <= found if "/etc/hosts" in wanted else found == wanted


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
@pytest.mark.parametrize("words, wanted", COMPLETED)
def test_fish_completes(words, wanted):
    script = bearerctl("completion", "fish").stdout.decode() + "\ncomplete -C 'bearerctl %s'" % (
        " ".join(words) if words[-1] else " ".join(words[:-1]) + " ")
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60)
    found = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert wanted <= found if wanted else "read" not in found
