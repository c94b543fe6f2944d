"""What a message costs bearerd, beside what its two halves cost alone.

The reference R is a client that speaks TLS + BDAT straight to the simulator,
plus a client that speaks plain SMTP to a sink: the provider's side and the
client's side of a relay, each done by a program that does nothing else."""
from suite.machine import halves, pin
from suite.programs import Relay, Sink, Workplace, load, need, provider
from suite.result import alternate

ACCOUNTS = 4
CONNECTIONS = 20 # of the straight client; bearerd may have as many upstream
CLIENTS = 40     # so that messages wait for connections, not the other way round

SIZES = {
    # size: (name, goal of R, share of --seconds)
    2048: ("2 KB", 1.5, 1.0),
    102400: ("100 KB", 1.3, 1.0),
}


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    measured, rest = halves()
    with Workplace() as place, provider(accounts=ACCOUNTS) as sim, Sink(rest) as sink:
        pin(sim.process.pid, rest)
        with Relay(sim, place.dir,
                   **{"providers.gmail.max_connections": CONNECTIONS // ACCOUNTS}) as relay:
            relay.pin(measured)
            for size, (name, goal, share) in SIZES.items():
                one_size(report, place, sim, sink, relay, size, name, goal,
                         report.seconds * share)


def variants(place, sim, sink, relay, size, seconds):
    """Closed loops at full speed; what is measured has a CPU for itself."""
    measured, rest = halves()
    straight = dict(to="127.0.0.1:%d" % sim.smtps, tls="implicit", ca_file=sim.ca, auth="xoauth2",
                    users=place.token_file(sim), connections=CONNECTIONS, cpus=measured)
    through = dict(to=relay.address, auth="plain", users=place.login_file(sim),
                   connections=CLIENTS, cpu_of=[relay.pid, relay.broker, sim.process.pid],
                   cpus=rest)
    common = dict(size=size, seconds=seconds, warm_up=500 if size < 10000 else 100)

    def relayed(flight):
        relay.forget_log()
        return load(flight=flight, **through, **common)

    return {
        "straight": lambda: load(flight="bdat", **straight, **common),
        "sink, DATA": lambda: load(sink.address, cpus=measured, connections=CLIENTS, flight="data",
                                   **common),
        "relay, DATA": lambda: relayed("data"),
        "sink, BDAT": lambda: load(sink.address, cpus=measured, connections=CLIENTS, flight="bdat",
                                   **common),
        "relay, BDAT": lambda: relayed("bdat"),
    }


def one_size(report, place, sim, sink, relay, size, name, goal, seconds):
    results = alternate(report.runs, variants(place, sim, sink, relay, size, seconds))
    group = "CPU of the relay process for a message of %s: TLS upstream, plain client" % name
    own = {key: [run["cpu_us_per_message"] for run in runs] for key, runs in results.items()}
    for flight in ("DATA", "BDAT"):
        runs = results["relay, %s" % flight]
        both = [a + b for a, b in zip(own["straight"], own["sink, %s" % flight])]
        spent = [run["watched"][0]["cpu_us_per_message"] for run in runs]
        report.add(group, "client sends %s" % flight, spent, "us", "R", both, goal,
                   note="R = straight %.1f + sink %.1f" % (middle(own["straight"]),
                                                           middle(own["sink, %s" % flight])))
        report.add(group, "broker process meanwhile", watched(runs, 1), "us")
        report.add(group, "simulator meanwhile", watched(runs, 2), "us")
        report.add(group, "bearer-load meanwhile", own["relay, %s" % flight], "us")
        report.add(group, "messages a second", [run["rate"] for run in runs], "1/s", "straight",
                   [run["rate"] for run in results["straight"]],
                   note="relay process busy %.0f %%" % (100 * busy(runs)))


def watched(runs, index):
    return [run["watched"][index]["cpu_us_per_message"] for run in runs]


def busy(runs):
    return middle([run["watched"][0]["cpu_s"] / run["seconds"] for run in runs])


def middle(values):
    return sorted(values)[len(values) // 2]
