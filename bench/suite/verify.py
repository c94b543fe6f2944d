"""Batches of accounts through the admin API: each record is verified at its token
endpoint, which takes 200 ms for an answer.

The reference is one token answer as a plain HTTPS client gets it, connection
included: no batch can be faster. Cold is a bearerd that was just started; then
each record needs a TLS connection, or with HTTP/2 (nginx before the simulator)
all share one."""
import json
import os
import time
import urllib.parse
import urllib.request

from lib import nginx
from lib.nginx import Nginx
from suite.programs import Relay, Workplace, need, provider

DELAY_MS = 200
BATCH, STREAM = 100, 10000
GROUP = "accounts added with verification, the endpoint answers after %d ms" % DELAY_MS


def measure(report):
    need("bearerd", "bearer-sim")
    with Workplace() as place:
        measure_batch(report, place, "HTTP/1.1", None)
        if nginx.missing():
            report.skip("verify", "HTTP/2: " + nginx.missing())
        else:
            measure_batch(report, place, "HTTP/2", Nginx)
        measure_stream(report, place)


def measure_batch(report, place, name, front_of):
    """Cold and warm batches, and single answers beside them."""
    walls = {"cold": [], "warm": []}
    cpus, singles = {"cold": [], "warm": []}, []
    with provider(accounts=BATCH, knobs={"token_delay_ms": DELAY_MS}) as sim:
        front = front_of(sim) if front_of else None
        try:
            records = [dict(one, oauth_token_url=front.url if front else sim.url, overwrite=True)
                       for one in sim.relayed()]
            if front:  # its own connections to the simulator are not what is measured
                with relay(sim, place) as first:
                    post(first, records)
            for _ in range(report.runs):
                with relay(sim, place) as daemon:
                    singles.append(single(sim, records[0]))
                    for temperature in ("cold", "warm"):
                        wall, cpu = timed(daemon, lambda: post(daemon, records))
                        walls[temperature].append(wall * 1000)
                        cpus[temperature].append(cpu * 1000 / BATCH)
        finally:
            if front:
                front.__exit__()
    for temperature in ("warm", "cold"):
        report.add(GROUP, "%d at once, %s, %s" % (BATCH, name, temperature), walls[temperature],
                   "ms", reference="one answer", reference_runs=[s * 1000 for s in singles],
                   goal=1.3)
        report.add(GROUP, "its CPU of the broker for an account", cpus[temperature], "ms", goal=2)


def measure_stream(report, place):
    with provider(accounts=STREAM, knobs={"token_delay_ms": DELAY_MS}) as sim:
        records = sim.relayed()
        with relay(sim, place) as daemon:
            wall, cpu = timed(daemon, lambda: post(daemon, records, stream=True))
    report.add(GROUP, "%d as a stream, 100 at once" % STREAM, wall, "s", goal=30,
               note="one run; the least possible is %.0f s" % (STREAM / 100 * DELAY_MS / 1000))
    report.add(GROUP, "its CPU of the broker for an account", cpu * 1000 / STREAM, "ms", goal=2)


def relay(sim, place):
    return Relay(sim, place.dir, accounts="sqlite", admin=True)


def timed(daemon, work):
    before, began = cpu_of(daemon.broker), time.monotonic()
    work()
    return time.monotonic() - began, cpu_of(daemon.broker) - before


def cpu_of(pid):
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as stat:
        main = int(stat.read().split()[0])
    threads = sum(int(open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii")
                      .read().split()[0]) for task in os.listdir("/proc/%d/task" % pid)
                  if int(task) != pid)
    return (main + threads) / 1e9


def post(daemon, records, stream=False):
    if stream:
        body = "".join(json.dumps(one) + "\n" for one in records).encode()
        kind = "application/x-ndjson"
    else:
        body, kind = json.dumps(records).encode(), "application/json"
    request = urllib.request.Request("http://127.0.0.1:%d/admin/accounts/batch" % daemon.admin_port,
                                     body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=300) as answer:
        text = answer.read().decode()
    result = json.loads(text.splitlines()[-1])
    result = result.get("summary", result)
    if result.get("success") is not True:
        raise AssertionError("not all were added: %s" % text[-500:])


def single(sim, record):
    """One token answer, as a client with a connection of its own gets it."""
    form = urllib.parse.urlencode({
        "grant_type": "refresh_token", "client_id": record["client_id"],
        "client_secret": record.get("client_secret", ""),
        "refresh_token": record["refresh_token"]}).encode()
    began = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(record["oauth_token_url"], form),
                                context=sim.context, timeout=30) as answer:
        answer.read()
    return time.monotonic() - began

