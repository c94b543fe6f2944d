"""Two workers against one. Where there are not four CPUs or more, the clients and the
provider take what the second worker would need; then what a message costs tells: twice
the workers do 1.8 times as much if it costs at most 1.11 times as much."""
import os

from suite.programs import Relay, Workplace, load, need, provider

ACCOUNTS = 8
CLIENTS = 60
GROUP = "two workers against one: 2 KB"


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    runs = {1: [], 2: []}
    with Workplace() as place, provider(accounts=ACCOUNTS) as sim:
        for _ in range(report.runs):
            for workers in runs:
                with Relay(sim, place.dir, workers=workers,
                           **{"providers.gmail.max_connections": 5}) as relay:
                    runs[workers].append(load(
                        relay.address, auth="plain", users=place.login_file(sim), flight="bdat",
                        connections=CLIENTS, seconds=report.seconds, warm_up=500,
                        cpu_of=[relay.pid]))
    report.add(GROUP, "CPU of the relay process for a message, two workers", spent(runs[2]), "us",
               "one worker", spent(runs[1]), goal=1.11)
    report.add(GROUP, "messages a second, two workers", [run["rate"] for run in runs[2]], "1/s",
               "one worker", [run["rate"] for run in runs[1]],
               note="%d CPUs for workers, clients and provider together" % os.cpu_count())


def spent(runs):
    return [run["watched"][0]["cpu_us_per_message"] for run in runs]
