"""Memory of the relay process: idle sessions, idle connections, many large messages at
once. What the kernel holds for sockets is not in it."""
import base64
import resource
import socket

from suite.accounts import memory_of
from suite.programs import Relay, Workplace, load, need, provider

SESSIONS, CONNECTIONS = 10000, 10000
MESSAGES, SIZE, BUDGET_MB = 1000, 10 * 1000 * 1000, 64
SPARE = 600
GROUP = "memory of the relay process"


def measure(report):
    need("bearerd", "bearer-sim", "bearer-load")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    with Workplace() as place:
        measure_sessions(report, place, min(SESSIONS, files))
        measure_connections(report, place, min(CONNECTIONS, files // 2))
        measure_bodies(report, place)


def measure_sessions(report, place, count):
    with provider(accounts=1) as sim, Relay(sim, place.dir, **{
            "limits.max_connections": 20000, "timeouts.command": "1h"}) as relay:
        user = sim.relayed()[0]["email"]
        clients = [session(relay.port, user) for _ in range(100)]
        before = memory_of(relay.pid)
        clients += [session(relay.port, user) for _ in range(count - 100)]
        report.add(GROUP, "an idle client's session, logged in, without TLS",
                   (memory_of(relay.pid) - before) / (count - 100), "KB", goal=4,
                   note="%d of them" % count)
        for client in clients:
            client.close()


def session(port, user):
    client = socket.create_connection(("127.0.0.1", port))
    answer(client)
    for line in ("EHLO bench.example", "AUTH PLAIN " + plain(user)):
        client.sendall(line.encode() + b"\r\n")
        answer(client)
    return client


def plain(user):
    return base64.b64encode(b"\0" + user.encode() + b"\0x").decode()


def answer(client):
    text = b""
    while not (text.endswith(b"\r\n") and text.splitlines()[-1][3:4] == b" "):
        text += client.recv(4096)


def measure_connections(report, place, count):
    """Each account's connection stays behind its message."""
    with provider(accounts=count) as sim, Relay(sim, place.dir, **{
            "providers.gmail.connection_idle": "1d", "limits.max_connections": 20000}) as relay:
        logins = place.login_file(sim)
        few = logins.with_name("few")
        few.write_text("".join(logins.read_text().splitlines(True)[:100]))
        load(relay.address, auth="plain", users=few, connections=100, messages=100)
        before = memory_of(relay.pid)
        load(relay.address, auth="plain", users=logins, connections=count, messages=count)
        used = memory_of(relay.pid) - before
    report.add(GROUP, "an idle connection to a provider, TLS 1.3", used / (count - 100), "KB",
               goal=35, note="%d of them; the sessions that sent the messages have ended" % count)


def measure_bodies(report, place):
    """Far more content than the budget: the rest lies in files."""
    with provider(accounts=4) as sim, Relay(sim, place.dir, **{
            "limits.memory": "%dM" % BUDGET_MB, "upstream.queue_wait": "10m",
            "spill.dir": str(place.dir)}) as relay:
        before = memory_of(relay.pid)
        load(relay.address, auth="plain", users=place.login_file(sim), connections=MESSAGES,
             messages=MESSAGES, size=SIZE, flight="bdat")
        report.add(GROUP, "%d messages of 10 MB at once: the most, beside limits.memory" % MESSAGES,
                   (memory_of(relay.pid, "VmHWM") - before) / 1024, "MB", "limits.memory",
                   BUDGET_MB, goal=1.5, note="buffers of connections are not counted there")
