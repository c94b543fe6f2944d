"""System calls of the relay process for a message, counted by strace."""
import re
import shutil
import subprocess

from suite.programs import Relay, Workplace, load, need, provider
from suite.result import Skip

MESSAGES = 3000
GOAL = 6


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    with Workplace() as place, provider(accounts=1) as sim, Relay(sim, place.dir) as relay:
        for flight, goal in (("data", None), ("bdat", GOAL)):
            count, names = traced(place, sim, relay, flight)
            report.add("system calls of the relay process for a message of 2 KB",
                       "client sends %s" % flight.upper(), count, "calls", goal=goal,
                       note=", ".join("%s %.2f" % pair for pair in names[:7]))


def traced(place, sim, relay, flight):
    """Under strace everything is slow, but what is called stays the same."""
    options = dict(to=relay.address, auth="plain", users=place.login_file(sim), connections=8,
                   flight=flight)
    load(messages=200, **options)
    tracer = subprocess.Popen(["strace", "-c", "-f", "-p", str(relay.pid)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    tracer.stderr.readline()  # "Process ... attached"
    try:
        load(messages=MESSAGES, **options)
    finally:
        tracer.send_signal(2)
        text = tracer.communicate(timeout=30)[0 if tracer.stderr is None else 1].decode()
    return summary(text)


def summary(text):
    """(calls a message, [(name, calls a message)...] most frequent first)."""
    found = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", text, re.M)
    names = sorted(((name, int(calls) / MESSAGES) for calls, name in found if name != "total"),
                   key=lambda pair: -pair[1])
    if not names:
        raise Skip("strace could not attach: " + text.strip()[:200])
    return sum(calls for _, calls in names), names
