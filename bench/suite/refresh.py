"""Refreshes: 10,000 accounts get their first tokens from an endpoint that answers after 50 ms,
spread as after any start. Gmail's way keeps the refresh token; Microsoft's replaces it, and the
new one is on the disk before the token is used."""
import json
import subprocess
import time

from lib.util import wait_until
from suite.programs import Relay, Workplace, need, provider
from suite.verify import cpu_of

COUNT, DELAY_MS = 10000, 50
GROUP = "refreshes of %d accounts, the endpoint answers after %d ms" % (COUNT, DELAY_MS)


def measure(report):
    store = need("bearer-accounts", "bearerd", "bearer-sim")[0]
    for profile, name in (("gmail", "kept refresh tokens"), ("m365", "replaced refresh tokens")):
        with Workplace() as place, provider(profile=profile, accounts=COUNT,
                                            knobs={"token_delay_ms": DELAY_MS}) as sim:
            cpu, wall = run(store, place, sim)
        report.add(GROUP, "CPU of the broker for one, " + name, cpu * 1000 / COUNT, "ms", goal=1,
                   note="one run, %.0f s" % wall)


def run(store, place, sim):
    records, location = place.dir / "records.json", "sqlite:%s" % (place.dir / "accounts.db")
    records.write_text(json.dumps(sim.relayed()))
    subprocess.run([store, location, "import", str(records)], check=True)
    with Relay(sim, place.dir, accounts=location) as daemon:
        began, before = time.monotonic(), cpu_of(daemon.broker)
        wait_until(lambda: sim.state("")["totals"]["refreshes"] >= COUNT, 300, "all tokens",
                   every=1)
        return cpu_of(daemon.broker) - before, time.monotonic() - began
