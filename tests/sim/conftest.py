import pytest

from lib.sim import Sim


@pytest.fixture(scope="module")
def _sims():
    """One process per profile and module: starting one costs more than a test."""
    sims = {}
    yield sims
    for sim in sims.values():
        sim.stop()


@pytest.fixture
def get_sim(_sims):
    def get(profile="gmail"):
        if profile not in _sims:
            _sims[profile] = Sim(profile, keep_content=1 << 20)
        sim = _sims[profile]
        used.append(sim)
        return sim

    used = []
    yield get
    for sim in used:
        sim.reset_knobs()
        sim.reset_state()
        sim.forget_messages()


@pytest.fixture
def gmail(get_sim):
    return get_sim("gmail")


@pytest.fixture
def m365(get_sim):
    return get_sim("m365")
