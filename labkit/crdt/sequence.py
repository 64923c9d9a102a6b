"""A long list that is quick in the middle: blocks of a few hundred items, each knowing how many of its items show."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
BLOCK = 256


class Sequence(Generic[Item]):
    """Items in order, some of them hidden. Finding, inserting and hiding take about the square root of the length."""

    def __init__(self) -> None:
        self.blocks: dict[int, list[Item]] = {0: []}
        self.order: list[int] = [0]
        self.home: dict[Item, int] = {}
        self.showing: dict[int, int] = {0: 0}
        self.hidden: set[Item] = set()

    def __len__(self) -> int:
        return sum(self.showing.values())

    def __iter__(self) -> Iterator[Item]:
        """All items, hidden ones too."""
        return (item for block in self.order for item in self.blocks[block])

    def visible(self) -> list[Item]:
        return [item for item in self if item not in self.hidden]

    def at(self, index: int) -> Item:
        """The visible item number `index`, from 0."""
        for block in self.order:
            if index < self.showing[block]:
                break
            index -= self.showing[block]
        items = self.blocks[block]
        if self.showing[block] == len(items):
            return items[index]
        return [item for item in items if item not in self.hidden][index]

    def put(self, item: Item, beside: Item | None, after: bool = True) -> None:
        """Insert `item` right after `beside`, or right before it; with None at the very beginning."""
        block = self.order[0] if beside is None else self.home[beside]
        items = self.blocks[block]
        place = 0 if beside is None else items.index(beside) + after
        items.insert(place, item)
        self.home[item] = block
        self.showing[block] += 1
        if len(items) > BLOCK:
            self._split(block)

    def hide(self, item: Item) -> None:
        if item not in self.hidden:
            self.hidden.add(item)
            self.showing[self.home[item]] -= 1

    def before(self, index: int) -> Item | None:
        """The item, hidden or not, right before visible item `index`; before the end if `index` is the length."""
        if index == len(self):
            last = self.blocks[self.order[-1]]
            return last[-1] if last else None
        item = self.at(index)
        block = self.home[item]
        place = self.blocks[block].index(item)
        if place:
            return self.blocks[block][place - 1]
        earlier = self.order.index(block) - 1               # no block is empty, except the only one
        return self.blocks[self.order[earlier]][-1] if earlier >= 0 else None

    def _split(self, block: int) -> None:
        new, items = len(self.order), self.blocks[block]
        self.blocks[block], self.blocks[new] = items[:BLOCK // 2], items[BLOCK // 2:]
        self.order.insert(self.order.index(block) + 1, new)
        for item in self.blocks[new]:
            self.home[item] = new
        self.showing[new] = sum(item not in self.hidden for item in self.blocks[new])
        self.showing[block] -= self.showing[new]

    def copy(self) -> Sequence[Item]:
        twin = Sequence[Item]()
        twin.blocks = {block: items.copy() for block, items in self.blocks.items()}
        twin.order, twin.home, twin.showing = self.order.copy(), self.home.copy(), self.showing.copy()
        twin.hidden = self.hidden.copy()
        return twin
