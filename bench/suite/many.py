"""Ten thousand accounts, each with a client's session and a connection at a provider
that is 30 ms away; 5,000 messages a second arrive for all of them in turn."""
import resource

from suite.programs import Relay, Workplace, load, need, provider

RTT_MS = 30
ACCOUNTS = 10000
RATE = 5000
SPARE = 600  # descriptors that are neither a client's nor a provider's


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    accounts = min(ACCOUNTS, (files - SPARE) // 2)
    with Workplace() as place, provider(accounts=accounts, knobs={"latency_ms": RTT_MS}) as sim:
        with Relay(sim, place.dir, admin=True,
                   **{"providers.gmail.connection_idle": "1d", "upstream.helo": "bench.example",
                      "limits.max_connections": 20000}) as relay:
            runs = [load(relay.address, auth="plain", users=place.login_file(sim), flight="bdat",
                         connections=accounts, warm_up=accounts, rate=RATE,
                         seconds=report.seconds * 2) for _ in range(report.runs)]
            waited = relay.counters()["token_wait_total"]
    add_rows(report, accounts, runs, waited)


def add_rows(report, accounts, runs, waited):
    group = "%d accounts, %d messages a second, a provider %d ms away" % (accounts, RATE, RTT_MS)
    for name, goal in (("p50", None), ("p99", 2)):
        report.add(group, "from the intended start to the reply: %s" % name,
                   [run["latency_us"][name] / 1000 / RTT_MS for run in runs], "RTT", goal=goal)
    report.add(group, "messages accepted a second", [run["rate"] for run in runs], "1/s",
               note="%d messages in all, none refused" % sum(run["accepted"] for run in runs))
    report.add(group, "messages that waited for a token", waited, "", goal=0)
