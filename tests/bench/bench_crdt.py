"""Speed of part 3, for `make bench`: times beside their goals, ratios where two ways do the same work."""

import random

import pycrdt

from labkit.crdt import ORSWOT, GCounter, ORSet, Text, calendar, costs, gossip, laws, stock
from tests.bench.bench_consistency import cpu


def edits(insert, delete, count=3000):
    rng, length = random.Random(1), 0
    for _ in range(count):
        if length and rng.random() < 0.3:
            delete(rng.randrange(length))
            length -= 1
        else:
            insert(rng.randint(0, length), "x")
            length += 1


def ours():
    text = Text("a")
    edits(text.insert, text.delete)


def theirs():
    text = pycrdt.Doc().get("text", type=pycrdt.Text)
    edits(text.insert, text.__delitem__)


def together(count=3000):
    """Two writers, a merge every ten edits."""
    rng, texts = random.Random(1), [Text("a"), Text("b")]
    for i in range(count):
        one, other = texts if rng.random() < 0.5 else texts[::-1]
        if i % 10 == 0:
            one.merge(other)
        one.insert(rng.randint(0, len(one)), "x")


def filled(kind):
    one = kind("a")
    for i in range(750):
        one.add(i)
        one.remove(i - 375) if i % 2 else None
    return one


def merges(one, times=100):
    other = one.copy()
    for _ in range(times):
        one.merge(other)


def main():
    mine, real = cpu(ours), cpu(theirs)
    print(f"Text, 3,000 edits: {mine:.0f} ms (goal 1,000), pycrdt {real:.0f} ms: {mine / real:.1f} times as long")
    print(f"Text, 3,000 edits by two writers with merges: {cpu(together):.0f} ms")
    for kind in (ORSet, ORSWOT):
        print(f"{kind.__name__}, merging 750 adds: {cpu(lambda k=kind: merges(filled(k))) / 100:.2f} ms a merge")
    print(f"counterexample search, 500 scripts: {cpu(lambda: laws.find_counterexample(ORSet), 2):.0f} ms")
    counter = cpu(lambda: gossip.simulate(GCounter, 4, 20, 0.5, 0.5, (6, 16)))
    print(f"gossip panel step {counter:.0f} ms; growth {cpu(lambda: costs.growth(320, 5)):.0f} ms; stock "
          f"{cpu(lambda: stock.simulate('escrow')):.0f} ms; calendar {cpu(calendar.simulate):.0f} ms (goal 100, drawn)")


if __name__ == "__main__":
    main()
