"""Collaborative text: the Fugue list (Weidner & Kleppmann, "The Art of the Fugue", 2023, algorithm 1).

Every character is a node of a tree, hung to the left or to the right of the character it was typed next to, and never
moved. Reading the tree from left to right gives the text. Because a run that somebody types hangs together in one
branch, two runs typed at the same place end up one after the other and never character by character.

Where deleted characters lie at the place of an insert, one may choose on which side of them the new one goes; here it
is after them, as in yrs and pycrdt, so that two replicas get the same text from all three.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Self

from labkit import ranges
from labkit.crdt.sequence import Sequence
from labkit.crdt.state import Replica, Replicated, rank

Id = tuple[int, Replica]                # Lamport time and replica: later than all that its writer had seen


class Edit(NamedTuple):
    """One character typed beside `parent` (None: the beginning), on its left or right; or `parent` deleted."""

    id: Id
    parent: Id | None
    right: bool
    character: str | None               # None: a delete


class Node(NamedTuple):
    """A character in the tree, and what it hangs from (None: the beginning)."""

    id: Id
    parent: Id | None
    character: str
    deleted: bool


class Text(Replicated):
    """A text that many people edit at once. Positions count characters (code points), as in a Python str.

    >>> ann, ben = Text("ann"), Text("ben")
    >>> ann.insert(0, "tea"); ben.merge(ann)
    >>> ann.insert(0, "hot "); ben.delete(0); ben.insert(0, "p")
    >>> ann.merge(ben); ben.merge(ann); (ann.value(), ann == ben)
    ('hot pea', True)
    """

    def __init__(self, replica: Replica, replicas: Collection[Replica] | None = None):
        super().__init__(replica, replicas)
        self.log: dict[Replica, list[Edit]] = {}          # per replica, in the order it made them
        self.clock = 0
        self._characters: dict[Id, str] = {}
        self._branches: dict[tuple[Id | None, bool], tuple[Id, ...]] = {}
        self._order: Sequence[Id] = Sequence()

    # ------------------------------------------------------------------------------------------------ editing
    def insert(self, index: int, text: str) -> None:
        """Insert `text` before character `index` (0 to the length, else ValueError)."""
        ranges.whole("Text.insert: index", index, 0, len(self))
        ranges.instance("Text.insert: text", text, str)
        left = self._order.before(index)
        for character in text:
            if (left, True) in self._branches:              # then something follows, and that has nothing to its left
                left = self._record(self._order.at(index), False, character)
            else:
                left = self._record(left, True, character)

    def delete(self, index: int, count: int = 1) -> None:
        """Delete `count` characters from `index` on (ValueError if there are not that many)."""
        ranges.whole("Text.delete: index", index, 0, len(self))
        ranges.whole("Text.delete: count", count, 0, len(self) - index)
        for target in [self._order.at(index + i) for i in range(count)]:
            self._record(target, False, None)

    def _record(self, parent: Id | None, right: bool, character: str | None) -> Id:
        change = Edit((self.clock + 1, self.replica), parent, right, character)
        self._apply(change)
        return change.id

    # ------------------------------------------------------------------------------------------------ merging
    def merge(self, other: Self) -> None:
        self._mergeable(other)
        news = [change for replica, changes in other.log.items() for change in changes[len(self.log.get(replica, ())):]]
        for change in sorted(news, key=lambda change: change.id[0]):    # by Lamport time: nothing before what it needs
            self._apply(change)

    def _apply(self, change: Edit) -> None:
        self.log.setdefault(change.id[1], []).append(change)
        self.clock = max(self.clock, change.id[0])
        if change.character is None:
            assert change.parent is not None
            self._order.hide(change.parent)
        else:
            self._characters[change.id] = change.character
            self._hang(change.id, change.parent, change.right)

    def _hang(self, node: Id, parent: Id | None, right: bool) -> None:
        """Put the node among its siblings, smaller replica first, and find its place in the reading order."""
        siblings = self._branches.get((parent, right), ())
        before = sum(rank(sibling[1]) < rank(node[1]) or (sibling[1] == node[1] and sibling < node)
                     for sibling in siblings)
        if before:
            self._order.put(node, self._end(siblings[before - 1], right=True))
        elif right:
            self._order.put(node, parent)
        else:
            self._order.put(node, self._end(siblings[0], right=False) if siblings else parent, after=False)
        self._branches[parent, right] = (*siblings[:before], node, *siblings[before:])

    def _end(self, node: Id, right: bool) -> Id:
        """The first or the last (`right`) character of the branch that starts with `node`."""
        while (node, right) in self._branches:
            node = self._branches[node, right][-1 if right else 0]
        return node

    # ------------------------------------------------------------------------------------------------ reading
    def value(self) -> str:
        return "".join([self._characters[node] for node in self._order.visible()])

    def __len__(self) -> int:
        return len(self._order)

    def state(self) -> dict[Replica, list[Edit]]:
        return self.log

    def copy(self) -> Self:
        twin = super().copy()
        twin.log = {replica: changes.copy() for replica, changes in self.log.items()}
        return twin

    def tombstones(self) -> int:
        """Characters that are deleted and still kept, because others may hang from them."""
        return len(self._order.hidden)

    def nodes(self) -> list[Node]:
        """The whole tree in reading order, deleted characters too."""
        parents = {child: parent for (parent, _), children in self._branches.items() for child in children}
        return [Node(node, parents[node], self._characters[node], node in self._order.hidden) for node in self._order]
