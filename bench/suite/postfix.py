"""Postfix as a relay on the same load: as many messages from as many clients over as many
connections, to a provider next door and to one that is 20 ms away. Postfix has the
responsibility meanwhile, and its disk writes are part of that."""
import os
import pathlib
import time

from lib import postfix
from lib.util import wait_until
from suite.mta import Mta
from suite.programs import Relay, Workplace, load, need, provider
from suite.result import Skip

MESSAGES, CLIENTS, CONNECTIONS = 400, 20, 10


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    if postfix.missing():
        raise Skip(postfix.missing())
    for rtt in (0, 20):
        group = "%d messages of 2 KB from %d clients, %d connections, a provider %d ms away" % (
            MESSAGES, CLIENTS, CONNECTIONS, rtt)
        with Workplace() as place, provider(accounts=1, knobs={"latency_ms": rtt}) as sim:
            ours = [one_of_ours(place, sim) for _ in range(report.runs)]
            theirs = [one_of_theirs(sim) for _ in range(report.runs)]
        for name, unit, index in (("until the provider has all", "s", 0),
                                  ("CPU of all its processes for a message", "ms", 1)):
            report.add(group, "bearerd: " + name, [run[index] for run in ours], unit,
                       "Postfix, TLS reuse", [run[index] for run in theirs])


def one_of_ours(place, sim):
    with Relay(sim, place.dir, **{"providers.gmail.max_connections": CONNECTIONS}) as relay:
        seconds = send(sim, relay.address, auth="plain", users=place.login_file(sim))
        return seconds, cpu_ms(relay.broker) / MESSAGES


def one_of_theirs(sim):
    with Mta(sim, sim.straight()[0]["email"], True) as mta:
        seconds = send(sim, "127.0.0.1:%d" % mta.port)
        master = int((mta.dir / "queue/pid/master.pid").read_text())
        return seconds, cpu_ms(master) / MESSAGES


def send(sim, to, **options):
    sim.reset_state()
    began = time.monotonic()
    load(to, connections=CLIENTS, messages=MESSAGES, **options)
    wait_until(lambda: sum(user["accepted"] for user in sim.state()["users"].values()) >= MESSAGES,
               120, "all messages at the provider", every=0.02)
    return time.monotonic() - began


def cpu_ms(pid):
    """Of a process and all below it, those that have ended too."""
    total = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == pid:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13]))
    return 1000 * total / os.sysconf("SC_CLK_TCK")
