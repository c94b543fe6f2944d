"""Postfix as the distribution has it, as a relay to the simulator: verified TLS
by STARTTLS and a login. It has no XOAUTH2; the simulator takes the access token
as the password of AUTH PLAIN instead (the knob token_as_password), which is as
many round trips."""
import re

from lib.postfix import Postfix

SETTINGS = """
relayhost = [localhost]:{port}
smtp_sasl_password_maps = inline:{{ {{[localhost]:{port} = {user}:{token}}} }}
smtp_sasl_tls_security_options = noanonymous
smtp_tls_security_level = verify
smtp_tls_verify_cert_match = hostname
smtp_tls_CAfile = {ca}
smtp_tls_session_cache_database = btree:${{data_directory}}/sessions
"""
# Since 3.4 Postfix can keep a TLS connection for the next message, in a process
# of its own; it is off unless one asks for it.
REUSE = """
smtp_tls_connection_reuse = yes
smtp_connection_cache_destinations = localhost
"""
TLSPROXY = "tlsproxy unix - - n - 0 tlsproxy\n"


class Mta(Postfix):
    def __init__(self, sim, user, reuse):
        sim.knobs(token_as_password=1)
        values = dict(port=sim.smtp, user=user, token=sim.token(user, 86400), ca=sim.ca)
        settings = SETTINGS + (REUSE if reuse else "")
        super().__init__(sim.smtp, user, "", settings=settings.format(**values), services=TLSPROXY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def delays(self):
        """The median of what its log says a message took, in seconds."""
        found = sorted(map(float, re.findall(r" delay=([\d.]+),.* status=sent", self.log())))
        return found[len(found) // 2] if found else 0
