"""Every impossible parameter is refused with its name, its value and the allowed range."""

import math
import re
import subprocess
import sys

import pytest

from labkit.metastability import (
    AdaptiveConcurrency,
    Autoscaler,
    Backoff,
    Breaker,
    Clients,
    CoDel,
    Fifo,
    Lifo,
    Load,
    RetryBudget,
    Service,
    Trigger,
    assess,
    simulate,
    theory,
)
from labkit.metastability.described import read

NAN, INF = math.nan, math.inf
OK_SERVICE, OK_CLIENTS, OK_LOAD = Service(.5, .01, 50), Clients(3, 3), Load.constant(20)

BAD = [
    (lambda: Service(0, .01, 50), "Service.base_latency = 0: must be a number > 0"),
    (lambda: Service(NAN, .01, 50), "Service.base_latency = nan: must be a number > 0"),
    (lambda: Service(INF, .01, 50), "Service.base_latency = inf: must be a number > 0, finite"),
    (lambda: Service(.5, -1, 50), "Service.slope = -1: must be a number >= 0"),
    (lambda: Service(.5, .01, 0), "Service.workers = 0: must be a whole number >= 1"),
    (lambda: Service(.5, .01, 2.5), "Service.workers = 2.5: must be a whole number >= 1"),
    (lambda: Service(.5, .01, True), "Service.workers = True: must be a whole number >= 1"),
    (lambda: Service(.5, .01, 5, queue="fifo"),
     "Service.queue = 'fifo': must be of type Fifo or Lifo or CoDel or Priority"),
    (lambda: Service(.5, .01, 5, drop="late"), "Service.drop = 'late': must be one of 'never', 'expired', 'hopeless'"),
    (lambda: Fifo(-1), "Fifo.limit = -1: must be a whole number >= 0"),
    (lambda: Lifo(1.5), "Lifo.limit = 1.5: must be a whole number >= 0"),
    (lambda: CoDel(0, 1), "CoDel.target = 0: must be a number > 0"),
    (lambda: Clients(0, 3), "Clients.timeout = 0: must be a number > 0"),
    (lambda: Clients("3", 3), "Clients.timeout = '3': must be a number > 0"),
    (lambda: Clients(3, -1), "Clients.retries = -1: must be a whole number >= 0, or inf"),
    (lambda: Clients(3, 3, budget=.1), "Clients.budget = 0.1: must be of type RetryBudget or None"),
    (lambda: Clients(3, 3, population=0), "Clients.population = 0: must be a whole number >= 1"),
    (lambda: Backoff(0), "Backoff.base = 0: must be a number > 0"),
    (lambda: Backoff(1, .5), "Backoff.factor = 0.5: must be a number >= 1"),
    (lambda: Backoff(1, cap=.5), "Backoff.cap = 0.5: must be a number >= 1"),
    (lambda: RetryBudget(1.5), "RetryBudget.ratio = 1.5: must be a number > 0 and <= 1"),
    (lambda: RetryBudget(.1, 0), "RetryBudget.capacity = 0: must be a number >= 1"),
    (lambda: Breaker(1.1, 1, 1), "Breaker.failure_ratio = 1.1: must be a number > 0 and <= 1"),
    (lambda: Breaker(.5, 0, 1), "Breaker.window = 0: must be a number > 0"),
    (lambda: AdaptiveConcurrency(20, 0), "AdaptiveConcurrency.min_limit = 0: must be a whole number >= 1"),
    (lambda: AdaptiveConcurrency(2, 3), "AdaptiveConcurrency.initial = 2: must be a whole number >= 3"),
    (lambda: AdaptiveConcurrency(20, max_limit=19), "AdaptiveConcurrency.max_limit = 19: must be a whole number >= 20"),
    (lambda: Autoscaler(.5, 0, 9), "Autoscaler.min_workers = 0: must be a whole number >= 1"),
    (lambda: Autoscaler(.5, 4, 3), "Autoscaler.max_workers = 3: must be a whole number >= 4"),
    (lambda: Autoscaler(.5, 4, 8.5), "Autoscaler.max_workers = 8.5: must be a whole number >= 4"),
    (lambda: Load.constant(-1), "Load.rate = -1: must be a number >= 0"),
    (lambda: Load.spike(20, NAN, 1, 1), "Load.peak = nan: must be a number >= 0"),
    (lambda: Load.trace([2, 1]), "Load.times: must be in rising order"),
    (lambda: Trigger.slowdown(1, 1, .5), "Trigger.factor = 0.5: must be a number >= 1"),
    (lambda: simulate(OK_SERVICE, OK_CLIENTS, OK_LOAD, 0), "duration = 0: must be a number > 0"),
    (lambda: simulate(OK_SERVICE, OK_CLIENTS, OK_LOAD, 9, seed=-1), "seed = -1: must be a whole number >= 0"),
    (lambda: theory.erlang_c(0, 1), "workers = 0: must be a whole number >= 1"),
]


@pytest.mark.parametrize("make, message", BAD, ids=[message[:40] for _, message in BAD])
def test_refused_with_name_value_and_range(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_refused_together():
    with pytest.raises(ValueError, match="N serial clients make their own arrivals"):
        simulate(OK_SERVICE, Clients(3, 3, population=5), Load.trace([1]), 9)
    with pytest.raises(ValueError, match="give a Backoff"):
        simulate(Service(.5, .01, 5, Fifo(3)), Clients(3, INF), OK_LOAD, 9)


SAMPLE = ("[service]\nbase_latency = 0.5\nslope = 0.01\nworkers = 50\n"
          "[clients]\ntimeout = 3.0\nretries = 3\n[load]\nrate = 20.0\n")


@pytest.mark.parametrize("change, line", [
    (("workers = 50", "worker = 50"), "service.worker: unknown"),
    (("workers = 50\n", ""), "service.workers: is missing"),
    (("workers = 50", "workers = 0"), "Service.workers = 0: must be a whole number >= 1"),
    (("[load]\nrate = 20.0\n", ""), "[load]: this table is missing"),
    (("rate = 20.0", ""), "load.rate: is missing"),
    (("retries = 3", "retries = "), "is not TOML"),
    (("workers = 50", "workers = 50\nqueue = { kind = 'fifi' }"), "service.queue.kind = 'fifi': must be one of"),
    (("retries = 3", "retries = 3\nbudget = 0.1"), "clients.budget = 0.1: must be a table"),
    (("[load]", "[[tier]]\n[load]"), "service: unknown; must be one of tier, load"),
])
def test_a_wrong_file_is_one_clear_line_and_code_2(tmp_path, change, line):
    file = tmp_path / "service.toml"
    file.write_text(SAMPLE.replace(*change))
    done = subprocess.run([sys.executable, "-m", "labkit.metastability", str(file)], capture_output=True, text=True)
    assert done.returncode == 2
    assert line in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_a_missing_file():
    with pytest.raises(ValueError, match="cannot be read"):
        read("nowhere.toml")


def test_the_assessment_of_the_sample(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text(SAMPLE)
    (tier,), load = read(file)
    found = assess(tier.service, tier.clients, load)
    assert (found.state, found.hidden_capacity, found.safe_queue) == ("vulnerable", 12.5, 100)
    assert found.shed == pytest.approx(0.375)
    assert assess(Service(.5, .01, 50, Fifo(80)), OK_CLIENTS, OK_LOAD).state == "healthy"
    assert assess(OK_SERVICE, OK_CLIENTS, 60).state == "overloaded"
    with_breaker = assess(OK_SERVICE, Clients(3, 3, breaker=Breaker(.5, 1, 5)), 20)
    assert "the breaker  only in the simulation" in str(with_breaker)


TIERS = """
[[tier]]
[tier.service]
base_latency = 0.05
slope = 0
workers = 4000
[tier.clients]
timeout = 3
retries = 3
[[tier]]
propagate_deadline = true
[tier.service]
base_latency = 0.5
slope = 0.01
workers = 50
error_rate = 0.01
[tier.clients]
timeout = 3
retries = 3
throttle = { k = 2 }
[load]
rate = 10
"""


def test_tiers_in_a_file(tmp_path, capsys):
    from labkit.metastability.__main__ import main
    file = tmp_path / "tiers.toml"
    file.write_text(TIERS)
    (_, back), load = read(file)
    assert back.propagate_deadline and back.clients.throttle.k == 2 and load.rate(0) == 10
    assert main([str(file)]) == 0
    assert re.search(r"tier 2: attempts per request, collapsed +16\.00", capsys.readouterr().out)
    file.write_text(TIERS.replace("retries = 3\nthrottle", "retires = 3\nthrottle"))
    with pytest.raises(ValueError, match="tier 2: clients.retires: unknown; must be one of"):
        read(file)
