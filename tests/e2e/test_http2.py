"""Token requests over HTTP/2, with nginx as the server: many at once on few connections."""
import json
import urllib.request

import pytest

from lib import nginx
from lib.daemon import Bearerd
from lib.nginx import Nginx
from lib.sim import Sim
from lib.util import wait_until

pytestmark = pytest.mark.skipif(nginx.missing() is not None, reason=str(nginx.missing()))


def post(daemon, path, records):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (daemon.admin_port, path),
                                     json.dumps(records).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_a_batch_is_verified_on_one_connection(tmp_path):
    with Sim("gmail", accounts=100, knobs={"token_delay_ms": 50}) as sim, Nginx(sim) as front:
        records = [dict(a, oauth_token_url=front.url) for a in sim.accounts()]
        with Bearerd(certs=sim) as daemon:
            assert post(daemon, "/admin/accounts/batch", records)["added_count"] == 100
            requests = front.requests()
            assert len(requests) == 100
            assert {protocol for _, protocol, _ in requests} == {"HTTP/2.0"}
            assert len({connection for connection, _, _ in requests}) <= 2


def test_more_than_the_server_takes_at_once():
    """The server's limit of streams is obeyed: nothing is refused, nothing is lost."""
    with Sim("gmail", accounts=60, knobs={"token_delay_ms": 20}) as sim, \
            Nginx(sim, streams=4) as front:
        records = [dict(a, oauth_token_url=front.url) for a in sim.accounts()]
        with Bearerd(certs=sim) as daemon:
            assert post(daemon, "/admin/accounts/batch", records)["added_count"] == 60
            assert {status for _, _, status in front.requests()} == {"200"}


def test_refreshes_share_a_connection():
    with Sim("gmail", accounts=20) as sim, Nginx(sim) as front:
        records = [dict(a, oauth_token_url=front.url) for a in sim.accounts()]
        with Bearerd(certs=sim, accounts=records):
            wait_until(lambda: len(front.requests()) >= 20, 20, "20 refreshes")
            assert len({connection for connection, _, _ in front.requests()}) <= 2
