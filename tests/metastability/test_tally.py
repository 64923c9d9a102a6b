"""Counting as it goes gives the table of the record that is kept, and keeps next to nothing."""

import random
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from labkit.metastability import Clients, Load, Pool, Service, Trigger, simulate, tally
from labkit.metastability.tally import Window
from tests.metastability.test_two_engines import scenario, wide

MODULE = sys.modules["labkit.metastability.tally"]      # the package hands on the function of that name
SERVICE, CLIENTS = Service(0.5, 0.01, 50), Clients(3, 3)


def test_the_same_table_to_the_last_bit(monkeypatch):
    monkeypatch.setattr(MODULE, "PIECE", 16)     # so that small worlds are forgotten often, too
    for seed in range(60):
        for world in (scenario(seed), wide(seed)):
            world["clients"] = replace(world["clients"], pool=None)
            pd.testing.assert_frame_equal(tally(**world), simulate(**world).per_second)


def test_arrivals_in_pieces_are_the_same_arrivals():
    for seed in range(20):
        load = Load.spike(random.Random(seed).uniform(0, 50), 100, 3, 5)
        whole = load.arrivals(20, np.random.default_rng(seed))
        pieces = list(load.arrivals_in_pieces(20, np.random.default_rng(seed), size=7))
        assert np.concatenate(pieces).tolist() == whole.tolist()


def test_it_keeps_only_what_is_still_there(monkeypatch):
    kept = []
    forget = Window.forget

    def watched(self, stop):
        forget(self, stop)
        kept.append(len(self.data))

    monkeypatch.setattr(Window, "forget", watched)
    monkeypatch.setattr(MODULE, "PIECE", 256)
    table = tally(SERVICE, CLIENTS, Load.constant(40), 1000, 1)
    assert table["attempts"].sum() > 30_000 and kept and max(kept) < 1500


def test_a_pool_is_refused_by_name():
    with pytest.raises(ValueError, match="Clients.pool"):
        tally(SERVICE, Clients(3, 0, pool=Pool(5, 0)), Load.constant(1), 9, trigger=Trigger.pause(1, 1))
