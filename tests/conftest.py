"""Fixtures of the black-box tests. BEARERD_BUILD names the build directory
(default build), BEARERD_WRAP what to put in front of the programs."""
import signal

import pytest

from lib.certs import Certs
from lib.daemon import Bearerd
from lib.provider import ScriptedProvider
from lib.tokens import TokenServer
from lib.util import PATIENCE


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails, instead of holding everything up."""
    marker = item.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else 60) * PATIENCE

    def too_long(*_):
        raise TimeoutError("the test took more than %g s" % seconds)

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def provider(certs):
    """A ScriptedProvider that behaves."""
    server = ScriptedProvider(certs)
    yield server
    server.stop()
    assert server.errors == []


@pytest.fixture
def make_provider(certs):
    servers = []

    def make(**options):
        servers.append(ScriptedProvider(certs, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    assert [error for server in servers for error in server.errors] == []


@pytest.fixture
def tokens(certs):
    server = TokenServer(certs)
    yield server
    server.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call":
        item.failed = report.failed


@pytest.fixture
def start(request, certs):
    """Starts bearerd: start(accounts, conf, ...) as Bearerd takes them. Each is
    stopped at the end, and must end well."""
    daemons = []

    def make(accounts=(), conf=None, **more):
        daemons.append(Bearerd(certs, accounts, conf, **more))
        return daemons[-1]

    yield make
    failed = getattr(request.node, "failed", True)
    try:
        for daemon in daemons:
            if failed and daemon.process:
                print("--- bearerd's log\n" + daemon.log_tail(150))
            daemon.stop()
    finally:
        for daemon in daemons:
            daemon.kill()
