"""bearer-load: what it says it did is what the simulator saw."""
import json
import subprocess

import pytest

from lib.sim import Sim
from lib.util import PATIENCE, Process, program

pytestmark = pytest.mark.timeout(60)


def load(to, **options):
    args = program("bearer-load") + ["--to", to, "--json", "-"]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        args += [option] if value is True else [option, str(value)]
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=30 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sim():
    with Sim(accounts=3) as sim:
        yield sim


@pytest.fixture
def straight(sim, tmp_path):
    """Options for going straight to the simulator, whose counters start anew."""
    sim.reset_knobs()
    sim.reset_state()
    sim.forget_messages()
    users = tmp_path / "users"
    users.write_text("".join("user%d@example.test %s\n" % (n, sim.token("user%d@example.test" % n))
                             for n in (1, 2, 3)))
    return dict(to="127.0.0.1:%d" % sim.smtps, tls="implicit", ca_file=sim.ca, users=users,
                auth="xoauth2")


@pytest.fixture
def sink():
    process = Process(program("bearer-load") + ["--sink", "127.0.0.1:0"], stream="stdout")
    line = process.wait_for(lambda: next(iter(process.lines), None), 10, "ready")
    yield line.split()[1]
    process.kill_all()


@pytest.mark.parametrize("flight", ["data", "bdat", "lockstep"])
def test_each_flight_delivers_exactly(sim, straight, flight):
    result = load(flight=flight, messages=30, connections=6, rcpts=2, size=5000, **straight)
    assert (result["sent"], result["accepted"], result["lost"]) == (30, 30, 0)
    messages = sim.messages()
    assert len(messages) == 30
    assert {one.size for one in messages} == {5000}
    assert len({rcpt for one in messages for rcpt in one.rcpts}) == 60
    assert {one.verb for one in messages} == {"BDAT" if flight == "bdat" else "DATA"}
    state = sim.state()
    assert state["errors"] == []
    assert all(user["accepted"] for user in state["users"].values())


def test_starttls_and_oauthbearer(sim, straight):
    straight.update(to="127.0.0.1:%d" % sim.smtp, tls="starttls", auth="oauthbearer")
    result = load(messages=3, **straight)
    assert result["accepted"] == 3 and result["tls"].startswith("TLSv1.3")
    assert sim.state()["errors"] == []


@pytest.mark.parametrize("size", [0, 1, 2, 3, 300, 16384, 3000000])
def test_sizes_are_exact(sim, straight, size):
    load(messages=1, size=size, flight="bdat", **straight)
    load(messages=1, size=size, flight="data", **straight)
    by_bdat, by_data = sim.messages()
    assert by_bdat.size == size
    # DATA cannot say less than a line.
    assert by_data.size == (size if size == 0 or size > 1 else 3)


def test_warm_up_does_not_count(sim, straight):
    result = load(messages=5, warm_up=7, **straight)
    assert result["sent"] == 5 and len(sim.messages()) == 12


def test_new_connections(sim, straight):
    result = load(messages=10, messages_per_connection=4, **straight)
    assert result["accepted"] == 10
    assert [one.number for one in sim.messages()] == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]


def test_refusals_are_counted_by_code(sim, straight):
    sim.knobs(reply_mail="452 4.3.1 not now", count=2)
    sim.knobs(reply_rcpt="550 5.1.1 nobody", count=3)
    for flight in ("data", "lockstep"):
        sim.knobs(reply_final="554 5.0.0 no", count=1)
        result = load(messages=10, flight=flight, **straight)
        assert result["accepted"] + result["refused"] == 10
    assert len(sim.messages()) + 7 == 20


def test_lost_connections_are_counted(sim, straight):
    sim.knobs(fault_final="reset", count=2)
    result = load(messages=10, **straight)
    assert (result["accepted"], result["lost"]) == (8, 2)


def test_open_loop_keeps_its_rate(sink):
    result = load(sink, rate=200, seconds=1, connections=4)
    assert 180 <= result["sent"] <= 201 and result["accepted"] == result["sent"]


def test_open_loop_counts_from_the_intended_start(sim, straight):
    """One connection, 50 ms a message, 100 of them a second: the queue grows."""
    sim.knobs(final_delay_ms=50)
    result = load(messages=20, rate=100, flight="bdat", **straight)
    assert result["latency_us"]["max"] >= 19 * 40 * 1000


def test_cpu_of_another_process(sink, sim):
    result = load(sink, messages=10, cpu_of=sim.process.pid)
    assert result["watched"][0]["pid"] == sim.process.pid
    assert 0 <= result["watched"][0]["cpu_s"] < 1


def test_no_server():
    done = subprocess.run(program("bearer-load") + ["--to", "127.0.0.1:1"], stderr=subprocess.PIPE,
                          timeout=60 * PATIENCE)
    assert done.returncode == 1 and b"Connection refused" in done.stderr
