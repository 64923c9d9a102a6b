"""Types with one bug each, for the machine to find; two of them are in published packages."""

from labkit.crdt import ORSWOT, ORSet
from labkit.crdt.sets import Context


class Resurrecting:
    """A set of tags with no memory of removals: the union brings back what one side still has."""

    def __init__(self, replica):
        self.replica, self.tags, self.adds = replica, {}, 0

    def add(self, item):
        self.adds += 1
        self.tags.setdefault(item, set()).add((self.replica, self.adds))

    def remove(self, item):
        self.tags.pop(item, None)

    def merge(self, other):
        for item, tags in other.tags.items():
            self.tags[item] = self.tags.get(item, set()) | tags

    def value(self):
        return set(self.tags)


class NoVersionCheck(ORSWOT):
    """Keeps its own dots without asking whether the other has seen and removed them."""

    def merge(self, other):
        mine = self.dots
        super().merge(other)
        for item, dots in mine.items():
            self.dots[item] = self.dots.get(item, frozenset()) | dots


class Careless(Context):
    """Takes the newest dot of each replica for unseen."""

    def __contains__(self, dot):
        return dot[1] < self.vector.get(dot[0], 0)

    def copy(self):
        twin = Careless()
        twin.vector, twin.early = self.vector.copy(), self.early.copy()
        return twin


class WrongComparison(ORSWOT):
    """Compares with >= where > is meant."""

    def __init__(self, replica):
        super().__init__(replica)
        self.seen = Careless()


class SharedTags(Resurrecting):
    """Merging hands over the other's own tag set, so both edit one object (as in a package on PyPI)."""

    def __init__(self, replica):
        super().__init__(replica)
        self.buried = set()

    def remove(self, item):
        self.buried |= self.tags.get(item, set())
        self.tags.get(item, set()).clear()

    def merge(self, other):
        self.buried |= other.buried
        for item, tags in other.tags.items():
            if item in self.tags:
                self.tags[item] |= tags
            else:
                self.tags[item] = tags

    def value(self):
        return {item for item, tags in self.tags.items() if tags - self.buried}


class Forgets(ORSet):
    """Merges tombstones one way only: keeps the other's, loses its own."""

    def merge(self, other):
        super().merge(other)
        self.tombstones = set(other.tombstones)


class Handed(ORSet):
    """Takes over the other's dictionary instead of a copy, where the two are equal anyway."""

    def merge(self, other):
        super().merge(other)
        if self.live == other.live:
            self.live = other.live


class LargerTotal:
    """A counter that keeps the larger of two totals: every law holds, and counts are lost."""

    def __init__(self, replica):
        self.replica, self.total = replica, 0

    def increment(self, amount):
        self.total += amount

    def merge(self, other):
        self.total = max(self.total, other.total)

    def value(self):
        return self.total


class Summing:
    """A counter whose merge adds: right once, wrong the second time."""

    def __init__(self, replica):
        self.replica, self.counts = replica, {}

    def increment(self, amount):
        self.counts[self.replica] = self.counts.get(self.replica, 0) + amount

    def merge(self, other):
        for replica, count in other.counts.items():
            self.counts[replica] = self.counts.get(replica, 0) + count

    def value(self):
        return sum(self.counts.values())


class RiakDt(ORSWOT):
    """riak_dt before pull request 82: where both sides hold an item, all its dots are kept, removed ones too."""

    def merge(self, other):
        both = {item: self.dots[item] | other.dots[item] for item in self.dots.keys() & other.dots.keys()}
        super().merge(other)
        self.dots |= both


def forgetting(most):
    """An observed-remove set that keeps only so many tombstones, the newest: the more, the longer the script."""
    class Forgetting(ORSet):
        def remove(self, item):
            super().remove(item)
            mine = sorted(tag for tag in self.tombstones)
            self.tombstones = set(mine[-most:])

    Forgetting.__name__ = f"forgetting_{most}"
    return Forgetting
