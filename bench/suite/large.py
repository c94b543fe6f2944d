"""Messages of 35 MB, as large as Gmail takes them: octets a second, beside the same
octets straight over TLS."""
from suite.machine import halves, pin
from suite.programs import Relay, Sink, Workplace, load, need, provider
from suite.result import alternate

SIZE = 35 * 1000 * 1000
MESSAGES = 12
CONNECTIONS = 3
GROUP = "messages of 35 MB, %d at a time" % CONNECTIONS


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    measured, rest = halves()
    with Workplace() as place, provider(accounts=1) as sim, Sink(rest) as sink:
        pin(sim.process.pid, rest)
        with Relay(sim, place.dir, **{"providers.gmail.max_connections": CONNECTIONS}) as relay:
            relay.pin(measured)
            common = dict(size=SIZE, messages=MESSAGES, connections=CONNECTIONS, flight="bdat",
                          warm_up=CONNECTIONS)
            results = alternate(report.runs, {
                "straight": lambda: load("127.0.0.1:%d" % sim.smtps, tls="implicit", ca_file=sim.ca,
                                         auth="xoauth2", users=place.token_file(sim), cpus=measured,
                                         **common),
                "sink": lambda: load(sink.address, cpus=measured, **common),
                "relay": lambda: load(relay.address, auth="plain", users=place.login_file(sim),
                                      cpu_of=[relay.pid], cpus=rest, **common)})
    speed = {name: [run["rate"] * SIZE / 1e6 for run in runs] for name, runs in results.items()}
    # The goal is of the inverse: at least 70 % of the speed is at most 1 / 0.7 of the time.
    report.add(GROUP, "time for a megabyte", [1000 / one for one in speed["relay"]], "ms",
               "straight over TLS", [1000 / one for one in speed["straight"]], goal=1 / 0.7,
               note="%.0f MB/s, straight %.0f MB/s" % (middle(speed["relay"]),
                                                       middle(speed["straight"])))
    both = [(a["cpu_us_per_message"] + b["cpu_us_per_message"]) / 1000
            for a, b in zip(results["straight"], results["sink"])]
    report.add(GROUP, "CPU of the relay process for a message",
               [run["watched"][0]["cpu_us_per_message"] / 1000 for run in results["relay"]], "ms",
               "R", both, goal=1.3, note="in memory up to half of limits.memory, else in a file")


def middle(values):
    return sorted(values)[len(values) // 2]
