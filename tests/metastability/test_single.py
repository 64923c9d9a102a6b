"""One worker told in a loop, with the rules of the Markov chain put in one by one."""

import numpy as np
import pytest

from labkit.metastability import Clients, Service, theory
from labkit.metastability.single import RULES, time_to_collapse

SINGLE, CLIENTS = Service(0.1, 0, 1, times="exponential"), Clients(1, 2)


def mean(load, seeds, chain=()):
    times = [time_to_collapse(load, seed, chain=chain) for seed in range(seeds)]
    return np.mean(times), np.std(times) / seeds**0.5


@pytest.mark.parametrize(("load", "seeds"), [(8, 300), (7, 300), (6, 200)])
def test_with_all_its_rules_it_is_the_chain(load, seeds):
    simulated, error = mean(load, seeds, RULES)
    assert simulated == pytest.approx(theory.ctmc(SINGLE, CLIENTS, load).to_collapse, abs=4 * error)


def test_what_the_chain_forgets_and_what_that_costs():
    real, error = mean(5, 150)
    clocks, _ = mean(5, 150, ("clock",))
    tries, _ = mean(5, 150, ("retries",))
    work, _ = mean(5, 150, ("lateness",))
    assert clocks < real + 3 * error, "memoryless time-outs do not put the collapse off"
    assert 1.1 < tries / real < 2.2 and work / real > 2.5, "lateness drawn anew does"


def test_an_unknown_rule():
    with pytest.raises(ValueError, match="chain = 'memory': must be one of"):
        time_to_collapse(8, 0, chain=("memory",))
