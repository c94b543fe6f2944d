"""What bearerd adds to a message's time when it is busy: open loop, at half of what it
can do, beside the straight client at the same rate."""
from suite.machine import halves, pin
from suite.programs import Relay, Workplace, load, need, provider
from suite.result import alternate

CONNECTIONS = 20
CLIENTS = 60
GOALS = (("p50", 0.3), ("p99", 2.0))


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    measured, rest = halves()
    with Workplace() as place, provider(accounts=4) as sim:
        pin(sim.process.pid, rest)
        with Relay(sim, place.dir, **{"providers.gmail.max_connections": CONNECTIONS // 4}) as relay:
            relay.pin(measured)
            to_relay = dict(to=relay.address, auth="plain", users=place.login_file(sim),
                            flight="bdat", warm_up=500, cpus=rest)
            most = load(connections=CLIENTS, seconds=report.seconds, **to_relay)["rate"]
            common = dict(rate=int(most / 2), seconds=report.seconds)
            results = alternate(report.runs, {
                "straight": lambda: load("127.0.0.1:%d" % sim.smtps, tls="implicit", ca_file=sim.ca,
                                         auth="xoauth2", users=place.token_file(sim), flight="bdat",
                                         warm_up=500, connections=CONNECTIONS, cpus=measured,
                                         **common),
                "relay": lambda: load(connections=CLIENTS, **to_relay, **common)})
    group = "time added at half load: 2 KB, %d messages a second" % common["rate"]
    for name, goal in GOALS:
        own = [run["latency_us"][name] / 1000 for run in results["relay"]]
        straight = [run["latency_us"][name] / 1000 for run in results["straight"]]
        report.add(group, "added to the straight client's %s" % name,
                   [a - b for a, b in zip(own, straight)], "ms", goal=goal,
                   note="%.2f ms, straight %.2f ms" % (middle(own), middle(straight)))


def middle(values):
    return sorted(values)[len(values) // 2]
