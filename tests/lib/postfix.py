"""Postfix as the client MTA, in directories of its own: takes mail on a port on
loopback and relays all of it to bearerd with SASL PLAIN."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from lib.util import connectable, free_port, wait_until

PROGRAM = shutil.which("postfix", path="/usr/sbin:/usr/local/sbin")

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = mta.client.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{relay}
smtp_host_lookup = native
smtp_tls_security_level = none
smtp_sasl_auth_enable = yes
smtp_sasl_mechanism_filter = plain
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = inline:{{ {{[127.0.0.1]:{relay} = {user}:{password}}} }}
message_size_limit = 60000000
mailbox_size_limit = 0
queue_run_delay = 2s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
maximal_queue_lifetime = 1h
notify_classes =
import_environment = MAIL_CONFIG
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def missing():
    """Why Postfix cannot run here, or None."""
    if not PROGRAM:
        return "postfix is not installed"
    if os.geteuid() != 0:
        return "postfix must be started by root"
    try:
        pwd.getpwnam("postfix")
    except KeyError:
        return "there is no user postfix"
    return None


def merged(*texts):
    """Each parameter once: of two, Postfix takes the last with a warning, and its
    log daemon's own warnings can fill the queue that only it empties."""
    lines = [line for text in texts for line in text.splitlines() if line]
    return "\n".join({line.split("=")[0].strip(): line for line in lines}.values()) + "\n"


class Postfix:
    """`settings` are lines of main.cf, more or in the place of ours; `services`
    more lines of master.cf."""

    def __init__(self, relay, user, password, settings="", services=""):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postfix-"))
        self.dir.chmod(0o755)
        self.port = free_port()
        for name in ("conf", "queue", "data"):
            (self.dir / name).mkdir(mode=0o755)
        shutil.chown(self.dir / "data", "postfix")
        daemons = subprocess.run(["postconf", "-d", "-h", "daemon_directory"], check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        values = dict(dir=self.dir, daemons=daemons.decode().strip(), relay=relay, user=user,
                      password=password, port=self.port)
        (self.dir / "conf/main.cf").write_text(merged(MAIN.format(**values), settings))
        (self.dir / "conf/master.cf").write_text(MASTER.format(**values) + services)
        try:
            self._postfix("start", check=True)
            wait_until(lambda: connectable(self.port), 15, "Postfix")
        except (AssertionError, subprocess.CalledProcessError) as error:
            problem = "%s\n%s" % (error, self.log())
            self.stop()
            raise AssertionError("Postfix did not start: " + problem) from None

    def _postfix(self, command, check=False):
        return subprocess.run([PROGRAM, "-c", str(self.dir / "conf"), command], check=check,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)

    def log(self):
        try:
            return (self.dir / "log").read_text(errors="replace")
        except OSError:
            return ""

    def sent(self):
        return [line for line in self.log().splitlines() if "status=sent" in line]

    def queue(self):
        """What waits: the output of postqueue -j, one JSON object a line."""
        done = subprocess.run(["postqueue", "-c", str(self.dir / "conf"), "-j"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return done.stdout.decode().splitlines()

    def flush(self):
        subprocess.run(["postqueue", "-c", str(self.dir / "conf"), "-f"], timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        try:
            self._postfix("stop")
        finally:
            pid_file = self.dir / "queue/pid/master.pid"
            if pid_file.exists():
                try:
                    os.kill(int(pid_file.read_text()), 9)
                except (OSError, ValueError):
                    pass
            shutil.rmtree(self.dir, ignore_errors=True)
