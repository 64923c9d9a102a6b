"""Selling the last piece: shops that share a stock, over a network that is cut. Who oversells, who refuses in vain?"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import simpy

from labkit import ranges
from labkit.crdt.counters import BoundedCounter, PNCounter
from labkit.crdt.network import Faults, HostileNetwork, isolate

POLICIES = ("count what you see", "escrow", "ask the owner")


@dataclass
class Sales:
    """How the day went, as an observer sees it who knows the true stock of all shops together.

    sold, refused: customers served and sent away    in_vain: of the refused, those who came while there was stock
    stock: (time in s, true stock) after each sale; lowest and left are its smallest and its last value
    vain: (time in s, number in vain so far)
    """

    policy: str
    sold: int = 0
    refused: int = 0
    in_vain: int = 0
    stock: list[tuple[float, int]] = field(default_factory=list)
    vain: list[tuple[float, int]] = field(default_factory=list)

    @property
    def lowest(self) -> int:
        return min(count for _, count in self.stock)

    @property
    def left(self) -> int:
        return self.stock[-1][1]

    def summary(self) -> str:
        """One line with the numbers."""
        return (f"{self.policy}: {self.sold} sold, {self.refused} sent away, {self.in_vain} of them although there was "
                f"stock; lowest stock {self.lowest}")


def simulate(policy: str, pieces: int = 60, shops: int = 4, customers: float = 2.0, gossip: float = 1.0,
             partition: tuple[float, float] | None = (10, 25), duration: float = 60.0, seed: int = 0,
             share: bool = True) -> Sales:
    """`shops` sell one piece to each customer; `customers` come a second in all; each shop gossips every `gossip` s.

    policy: "count what you see" (a PN-counter: sell while its value here is positive), "escrow" (a BoundedCounter: sell
    while there are rights here), "ask the owner" (shop 0 holds the number; others must reach it)
    partition: from when to when (s) the second half of the shops is cut off, or None
    share: with escrow, a shop that merges with one that holds fewer rights sends half of the difference

    Raises ValueError naming the parameter that is out of range.
    """
    ranges.one_of("stock.simulate: policy", policy, POLICIES)
    ranges.whole("stock.simulate: pieces", pieces, 0)
    ranges.whole("stock.simulate: shops", shops, 2)
    ranges.number("stock.simulate: customers", customers, 0, above=True)
    ranges.number("stock.simulate: gossip", gossip, 0, above=True)
    ranges.number("stock.simulate: duration", duration, 0, above=True)
    cuts = () if partition is None else (isolate(*partition, range(shops // 2, shops)),)
    return _Shops(policy, pieces, shops, customers, gossip, Faults(0.1, partitions=cuts), seed, share).run(duration)


class _Shops:
    def __init__(self, policy: str, pieces: int, shops: int, customers: float, gossip: float, faults: Faults, seed: int,
                 share: bool):
        self.env, self.outcome = simpy.Environment(), Sales(policy)
        self.names = range(shops)
        self.network = HostileNetwork(self.env, self.names, self.receive, faults, seed)
        kind = BoundedCounter if policy == "escrow" else PNCounter
        self.counters: list[Any] = [kind(name) for name in self.names]
        self.counters[0].increment(pieces)
        self.stock, self.customers, self.period, self.share = pieces, customers, gossip, share
        self.arrivals, self.contacts = random.Random(2 * seed), random.Random(2 * seed + 1)
        if policy == "escrow":
            for name in self.names[1:]:
                self.counters[0].transfer(pieces // shops, name)
        for counter in self.counters[1:]:
            counter.merge(self.counters[0])
        self.note()

    def run(self, duration: float) -> Sales:
        self.env.process(self.come())
        for name in self.names:
            self.env.process(self.gossip(name))
        self.env.run(duration)
        self.note()
        return self.outcome

    def note(self) -> None:
        self.outcome.stock.append((self.env.now, self.stock))

    def come(self) -> Any:
        while True:
            yield self.env.timeout(self.arrivals.expovariate(self.customers))
            self.serve(self.arrivals.choice(self.names))

    def serve(self, shop: int) -> None:
        policy = self.outcome.policy
        if policy == "escrow":
            self.done(self.counters[shop].decrement(1))
        elif policy == "count what you see":
            sells = self.counters[shop].value() > 0
            self.counters[shop].decrement(int(sells))
            self.done(sells)
        elif shop == 0:
            self.answer(None)
        elif any(cut.cuts(self.env.now, 0, shop) for cut in self.network.faults.partitions):
            self.done(False)                                # no answer in time
        else:
            self.network.send(shop, 0, None)

    def answer(self, _: object) -> None:
        self.done(self.stock > 0)

    def done(self, sold: bool) -> None:
        if sold:
            self.outcome.sold += 1
            self.stock -= 1
            self.note()
        else:
            self.outcome.refused += 1
            if self.stock > 0:
                self.outcome.in_vain += 1
                self.outcome.vain.append((self.env.now, self.outcome.in_vain))

    def gossip(self, shop: int) -> Any:
        yield self.env.timeout(self.contacts.random() * self.period)
        while self.outcome.policy != "ask the owner":
            self.network.send(shop, self.contacts.choice(self.network.others(shop)), self.counters[shop].copy())
            yield self.env.timeout(self.period)

    def receive(self, source: Any, target: Any, counter: Any) -> None:
        if counter is None:
            self.answer(counter)
            return
        mine = self.counters[target]
        mine.merge(counter)
        if self.outcome.policy == "escrow" and self.share:
            spare = (mine.rights() - mine.rights(source)) // 2
            if spare > 0:
                mine.transfer(spare, source)
