"""Dovecot's submission service as a provider: its own configuration, its own
ports; it checks tokens by introspection and relays to a Sink."""
import getpass
import os
import pathlib
import shutil
import tempfile

from lib.util import Process, connectable, free_port, wait_until

PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin:/usr/bin")

CONFIG = """\
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
auth_verbose = yes
protocols = submission
listen = 127.0.0.1
hostname = localhost
ssl = required
ssl_cert = <{certs.cert}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
default_process_limit = 200
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%u
passdb {{
  driver = oauth2
  mechanisms = {mechanisms}
  args = {dir}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={mail_user} gid={mail_group} home={dir}/mail/%u
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
  inet_listener submissions {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {sink.port}
submission_relay_ssl = no
submission_max_mail_size = 100M
"""

OAUTH2 = """\
introspection_mode = post
introspection_url = {introspection}
tls_ca_cert_file = {certs.ca}
username_attribute = {attribute}
active_attribute = active
active_value = true
"""


def missing():
    """Why Dovecot cannot run here, or None."""
    if not PROGRAM:
        return "dovecot is not installed"
    if not pathlib.Path("/usr/lib/dovecot/submission").exists():
        return "dovecot-submissiond is not installed"
    return None


class Dovecot:
    def __init__(self, certs, introspection, sink, mechanisms="xoauth2 oauthbearer",
                 attribute="username"):
        # Below /tmp itself: Dovecot's own users must be able to get there.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.dir.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port()
        for name in ("run", "mail"):
            (self.dir / name).mkdir()
        (self.dir / "mail").chmod(0o777)
        shutil.copy(certs.key, self.dir / "key.pem")
        cert = self.dir / "cert.pem"
        shutil.copy(certs.cert, cert)
        (self.dir / "ca.pem").write_bytes(certs.ca.read_bytes())
        if os.geteuid() == 0:
            users = dict(internal="dovecot", group="dovecot", login="dovenull",
                         mail_user="nobody", mail_group="nogroup")
        else:
            me = getpass.getuser()
            users = dict(internal=me, group=str(os.getegid()), login=me,
                         mail_user=str(os.geteuid()), mail_group=str(os.getegid()))

        class here:
            pass

        here.cert, here.ca = cert, self.dir / "ca.pem"
        (self.dir / "dovecot.conf").write_text(CONFIG.format(
            dir=self.dir, certs=here, key=self.dir / "key.pem", mechanisms=mechanisms,
            port=self.port, tls_port=self.tls_port, sink=sink, **users))
        (self.dir / "oauth2.conf").write_text(OAUTH2.format(
            introspection=introspection, certs=here, attribute=attribute))
        self.process = Process([PROGRAM, "-F", "-c", self.dir / "dovecot.conf"], stream="both")
        try:
            wait_until(lambda: connectable(self.port) and connectable(self.tls_port), 15, "Dovecot")
        except AssertionError:
            problem = self.process.text + self.log()
            self.stop()
            raise AssertionError("Dovecot did not start: " + problem) from None

    def log(self):
        try:
            return (self.dir / "log").read_text(errors="replace")
        except OSError:
            return ""

    def stop(self):
        self.process.signal(15)
        try:
            self.process.wait(10)
        except Exception:
            pass
        self.process.kill_all()
        shutil.rmtree(self.dir, ignore_errors=True)


def strip_received(content):
    """Dovecot puts one Received field in front; without it the content is ours."""
    assert content.startswith(b"Received: "), content[:200]
    offset = content.index(b"\r\n") + 2
    while content[offset:offset + 1] in (b" ", b"\t"):
        offset = content.index(b"\r\n", offset) + 2
    return content[offset:]
