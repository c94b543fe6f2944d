"""The fault grid: every phase of a provider's session times every misbehaviour,
for content by BDAT and by DATA, happening once and always.

What must hold in every cell:

  * the client hears 250 if and only if the provider has said 250; where the
    provider took the message and its word did not reach us, the log says so:
    outcome=unknown;
  * the content goes out whole at most once;
  * no AUTH without TLS;
  * another account does not notice.

All cells that were selected run side by side, each with a provider and an
account of its own, behind one bearerd; the tests then look at the results.
"""
import concurrent.futures
import threading
import time

import pytest

from lib.daemon import Bearerd, account
from lib.provider import BEHAVIOURS, DATA_ONLY, GMAIL, PHASES, STEPWISE, Fault, ScriptedProvider
from lib.tokens import TokenServer
from lib.util import PATIENCE, wait_until

CAPABILITIES = {"bdat": GMAIL, "data": DATA_ONLY, "step": STEPWISE}
CONTENT = b"Subject: grid\r\n\r\n" + b"".join(b".%d: %s\r\n" % (i, b"x" * (i % 90)) for i in range(600))
BEFORE_MAIL = ("connect", "greeting", "ehlo", "starttls", "auth")
SILENT = ("fin", "rst", "stall", "garbage", "partial")


def cells():
    for verb in CAPABILITIES:
        for phase in PHASES:
            for behaviour in BEHAVIOURS:
                for times in (("once", "always") if verb != "step" else ("always",)):
                    yield verb, phase, behaviour, times


pytestmark = pytest.mark.tsan
CELLS = ["-".join(cell) for cell in cells()]
CONF = {
    "upstream.connect_timeout": "%dms" % (1000 * PATIENCE),
    "upstream.command_timeout": "%dms" % (1000 * PATIENCE),
    "upstream.final_timeout": "%dms" % (1500 * PATIENCE),
    "upstream.queue_wait": "%ds" % (15 * PATIENCE),
    "upstream.logins_per_minute": 0,
    "oauth.concurrency": 20,
}


class Cell:
    """One run. `reply` is what the client heard last."""

    def __init__(self, name, certs):
        self.name = name
        self.verb, self.phase, self.behaviour, self.times = name.split("-")
        self.user = name + "@example.com"
        self.provider = ScriptedProvider(
            certs, tls="implicit" if self.phase == "connect" else "starttls",
            capabilities=CAPABILITIES[self.verb],
            faults=[Fault(self.phase, self.behaviour, 1 if self.times == "once" else None)])
        self.reply = self.error = self.log = None

    def run(self, bearerd):
        try:
            with bearerd.client(self.user, timeout=60) as client:
                client.mail(self.user, "b@example.net")
                self.reply = client.data(CONTENT)
        except Exception as error:
            self.error = error

    @property
    def acknowledged(self):
        return self.reply is not None and self.reply.code == 250


class Grid:
    def __init__(self, certs, names):
        self.tokens = TokenServer(certs)
        self.cells = {name: Cell(name, certs) for name in names}
        self.healthy = ScriptedProvider(certs)
        accounts = [account(cell.user, cell.provider, self.tokens,
                            tls="implicit" if cell.phase == "connect" else "starttls",
                            bdat="on" if cell.verb == "bdat" else "auto")
                    for cell in self.cells.values()]
        accounts.append(account("healthy@example.com", self.healthy, self.tokens))
        self.bearerd = Bearerd(certs, conf=CONF, accounts=accounts)
        self.latencies = []
        self.healthy_faults = []
        self.stopping = threading.Event()

    def bystander(self):
        """Mail of another account, all the time."""
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                reply = self.bearerd.send("healthy@example.com", "b@example.net")
                if reply.code != 250:
                    self.healthy_faults.append(reply)
            except Exception as error:
                self.healthy_faults.append(error)
            self.latencies.append(time.monotonic() - began)
            time.sleep(0.05)

    def run(self):
        thread = threading.Thread(target=self.bystander, daemon=True)
        thread.start()
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda cell: cell.run(self.bearerd), self.cells.values()))
        self.stopping.set()
        thread.join()
        # The log is written by a thread of its own.
        wait_until(lambda: len(self.bearerd.transactions()) >= len(self.cells), 2, "the log",
                   fail=False)
        for cell in self.cells.values():
            cell.log = self.bearerd.transactions(account="acc-" + cell.name)

    def stop(self):
        try:
            self.bearerd.stop()
        finally:
            self.bearerd.kill()
            for cell in self.cells.values():
                cell.provider.stop()
            self.healthy.stop()
            self.tokens.stop()


@pytest.fixture(scope="module")
def grid(request, certs):
    names = [item.callspec.params["cell"] for item in request.session.items
             if item.module is request.module and "cell" in getattr(item, "callspec", _None).params]
    grid = Grid(certs, names)
    try:
        grid.run()
    except BaseException:
        grid.stop()
        raise
    yield grid
    grid.stop()


class _None:
    params = ()


def check_truth(cell):
    """The client's truth is the provider's truth."""
    accepted, received = cell.provider.accepted, cell.provider.received
    assert cell.error is None, "the client got no reply: %r" % cell.error
    assert len(received) <= 1, "content went out %d times" % len(received)
    assert all(message.content == CONTENT for message in received)
    assert len(cell.log) == 1, cell.log
    outcome = cell.log[0]["outcome"]
    if cell.acknowledged:
        assert len(accepted) == 1 and outcome == "delivered"
    else:
        assert outcome != "delivered"
        assert not accepted or outcome == "unknown"
    if received and not accepted and cell.behaviour in SILENT:
        assert outcome == "unknown" and cell.reply.code == 451
    if outcome == "unknown":
        assert cell.reply.code == 451


def check_verdict(cell):
    """What the client must hear, where there is one right answer."""
    code, behaviour = cell.reply.code, cell.behaviour
    if behaviour == "early":
        return
    if cell.phase in BEFORE_MAIL:
        if cell.times == "once" and behaviour in ("fin", "rst", "partial", "garbage"):
            assert code == 250, "one silent retry would have done: %r" % cell.reply
        if cell.times == "always":
            assert code != 250 and (code < 500 or behaviour == "5xx"), cell.reply
        return
    if behaviour == "4xx":
        assert code == 451 and "scripted" in cell.reply.text, cell.reply
        assert cell.log[0]["outcome"] == "deferred"
    elif behaviour == "5xx":
        assert code in (550, 554) and "scripted" in cell.reply.text, cell.reply
        assert cell.log[0]["outcome"] == "rejected"
    elif cell.times == "always":
        assert 400 <= code < 500, cell.reply
    elif cell.phase == "final":
        assert 400 <= code < 500, cell.reply


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("cell", CELLS)
def test_cell(grid, cell):
    cell = grid.cells[cell]
    assert [e for e in cell.provider.errors if "AUTH in plaintext" in e] == []
    check_truth(cell)
    check_verdict(cell)


@pytest.mark.timeout(400)
def test_the_other_account_did_not_notice(grid):
    assert grid.healthy_faults == []
    assert len(grid.healthy.accepted) == len(grid.latencies) > 0
    assert max(grid.latencies) < 2 * PATIENCE, sorted(grid.latencies)[-5:]


@pytest.mark.timeout(400)
def test_unknowns_are_counted_in_the_log(grid):
    unknown = [cell for cell in grid.cells.values() if cell.log and cell.log[0]["outcome"] == "unknown"]
    assert len(grid.bearerd.transactions(outcome="unknown")) == len(unknown)


@pytest.mark.timeout(400)
def test_no_connection_is_left_with_a_provider_that_failed(grid):
    wait_until(lambda: not any(cell.provider.open for cell in grid.cells.values()
                               if cell.times == "always" and cell.behaviour in SILENT),
               20, "the end of connections to failed providers")
