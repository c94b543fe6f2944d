"""Dovecot's submission service takes the simulator's word on tokens."""
import pytest

from lib import dovecot
from lib.sim import Sim
from lib.sink import Sink
from lib.wire import Wire
from simclient import CONTENT, USER, oauthbearer, xoauth2


@pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
def test_dovecot_asks_the_simulator(certs):
    sink = Sink()
    with Sim(certs=certs) as sim:
        peer = dovecot.Dovecot(certs, sim.introspection, sink)
        try:
            token = sim.refresh(sim.account(USER))["access_token"]
            for mech, blob, good in (("XOAUTH2", xoauth2(USER, token), True),
                                     ("OAUTHBEARER", oauthbearer(USER, token), True),
                                     ("XOAUTH2", xoauth2(USER, "wrong"), False),
                                     ("XOAUTH2", xoauth2("user2@example.test", token), False)):
                with Wire(peer.port) as wire:
                    wire.ehlo()
                    wire.starttls(certs.client_context())
                    wire.ehlo()
                    wire.cmd("AUTH " + mech, 334)
                    assert (wire.cmd(blob).code == 235) is good
                    if good:
                        assert wire.message(USER, "a@b.example", CONTENT).code == 250
        finally:
            peer.stop()
            sink.stop()
    assert [dovecot.strip_received(one.content) for one in sink.messages] == [CONTENT] * 2
