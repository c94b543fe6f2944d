"""How long a message takes when the provider is 20 ms away, in round trips;
Postfix does the same beside it.

The simulator holds back its replies for one round trip; the client is near. Two
ways of looking:
- bearer-load: from the first octet of MAIL to the provider's 250 as bearerd's
  client gets it.
- "accepted": from the client's first octet to the 250 being back at whoever
  sends to the provider: the simulator's own time of acceptance plus the round
  trip of that reply. This is fair to Postfix, which answers its client before
  it sends."""
import smtplib
import time

from lib import postfix
from lib.util import wait_until
from suite.mta import Mta
from suite.programs import Relay, Workplace, load, need, provider
from suite.result import judge

RTT_MS = 20
MESSAGES = 30
BODY = "Subject: probe\r\n\r\n" + "A line of a message that has two kilobytes in all.\r\n" * 40
PAUSE = 0.05  # between looks for a message, so that looking does not disturb
GROUP = "a provider that is %d ms away: 2 KB, one connection, in round trips" % RTT_MS


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    with Workplace() as place, provider(accounts=1, keep_messages=4096,
                                        knobs={"latency_ms": RTT_MS}) as sim:
        with Relay(sim, place.dir) as relay:
            measure_load(report, place, sim, relay)
        measure_accepted(report, place, sim)


# --- as bearer-load sees it -----------------------------------------------------

def measure_load(report, place, sim, relay):
    to_sim = dict(to="127.0.0.1:%d" % sim.smtps, tls="implicit", ca_file=sim.ca, auth="xoauth2",
                  users=place.token_file(sim), flight="bdat")
    to_relay = dict(to=relay.address, auth="plain", users=place.login_file(sim))
    warm = dict(messages=MESSAGES, warm_up=3)
    cases = {
        "straight": lambda: load(**to_sim, **warm),
        "one": lambda: load(**to_relay, **warm),
        "five": lambda: load(**to_relay, rcpts=5, **warm),
        "cold": lambda: cold(sim, to_relay),
    }
    runs = {}
    for _ in range(report.runs):
        for name, case in cases.items():
            runs.setdefault(name, []).append(case()["latency_us"]["p50"] / 1000 / RTT_MS)
    one = report.add(GROUP, "bearerd, warm, 1 recipient: p50", runs["one"], "RTT",
                     "straight client, 1 flight", runs["straight"], note=added(runs["one"], 1))
    five = report.add(GROUP, "bearerd, warm, 5 recipients: p50", runs["five"], "RTT",
                      "straight client, 1 flight", runs["straight"], note=added(runs["five"], 2))
    # The goals are round trips, not ratios to the reference.
    judge(one, 1.1, by_ratio=False)
    judge(five, 2.1, by_ratio=False)
    report.add(GROUP, "bearerd, cold (STARTTLS): p50", runs["cold"], "RTT",
               "straight client, 1 flight", runs["straight"],
               note="TCP, greeting, EHLO, STARTTLS, TLS, EHLO, AUTH, flight = 8")


def cold(sim, to_relay):
    """The provider ends each connection behind its message."""
    sim.knobs(goodbye_after=1)
    try:
        return load(messages=10, warm_up=1, **to_relay)
    finally:
        sim.knobs(goodbye_after=None)


def added(runs, trips):
    middle = sorted(runs)[len(runs) // 2]
    return "%.2f ms above %d RTT" % ((middle - trips) * RTT_MS, trips)


# --- as the provider sees it ----------------------------------------------------

def measure_accepted(report, place, sim):
    user = sim.relayed()[0]["email"]
    mtas = {}
    with Relay(sim, place.dir) as relay:
        results = {"bearerd": probe(report.runs, sim, relay.port, user, login=True)}
    why = postfix.missing()
    if why:
        report.skip("latency: Postfix", why)
    for name, reuse in () if why else (("Postfix", False), ("Postfix, TLS reuse", True)):
        with Mta(sim, user, reuse) as mta:
            results[name] = probe(report.runs, sim, mta.port, user)
            mtas[name] = mta.delays()
    for name, result in results.items():
        note = "%.0f %% on a connection used before" % (100 * result["reused"])
        if name in mtas:
            note += "; its own log: delay %.2f s" % mtas[name]
        reference = None if name == "bearerd" else results["bearerd"]["runs"]
        report.add(GROUP, "%s: client's first octet to 250 accepted" % name, result["runs"], "RTT",
                   "bearerd" if reference else None, reference, note=note)


def probe(runs, sim, port, user, login=False):
    """Medians of runs of messages, one at a time."""
    medians, used_before = [], []
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo("probe.example")
        if login:
            client.login(user, "x")
        one_message(sim, client, user)
        for _ in range(runs):
            trips = []
            for _ in range(MESSAGES // 3):
                took, number = one_message(sim, client, user)
                trips.append(took / RTT_MS)
                used_before.append(number > 1)
            medians.append(sorted(trips)[len(trips) // 2])
    return {"runs": medians, "reused": sum(used_before) / len(used_before)}


def one_message(sim, client, user):
    """(milliseconds, which message of its connection it was)."""
    before = sim.state("")["last_seq"]
    began = time.time() * 1000
    client.sendmail(user, ["somebody@sink.example"], BODY)
    message = wait_until(lambda: next(iter(sim.messages(since=before)), None), 30,
                         "the message at the simulator", every=PAUSE)
    return message.record["at_ms"] + RTT_MS - began, message.number
