"""Keys and values in pages: blocks of a few tokens, shared when equal, found again by the hash of what they hold.

This is the memory of vLLM's scheduler in small. Paging: Kwon et al., "Efficient memory management for large language
model serving with PagedAttention", SOSP 2023, section 4. Finding blocks by hash and the order of eviction: vLLM's
documentation, "Automatic prefix caching" (design, version 1).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from labkit import ranges


def block_hashes(tokens: Sequence[int], block_size: int, salt: str = "") -> list[str]:
    """The hash of each full block: of the hash before it and its own tokens, so that it stands for the whole prefix.

    salt: starts the chain, so that tenants with different salts never share a block.

    >>> a, b = block_hashes([1, 2, 3, 4, 5], 2), block_hashes([1, 2, 9, 4], 2)
    >>> len(a), a[0] == b[0], a[1] == b[1]
    (2, True, False)
    """
    hashes, parent = [], salt
    for start in range(0, len(tokens) - block_size + 1, block_size):
        parent = hashlib.sha256(repr((parent, *tokens[start:start + block_size])).encode()).hexdigest()[:16]
        hashes.append(parent)
    return hashes


class BlockPool:
    """A fixed number of blocks; each is in use by some sequences, or free. A free one keeps its content until reused.

    blocks: how many (>= 1). block_size: tokens each holds (>= 1). caching: whether contents are found again.
    """

    def __init__(self, blocks: int, block_size: int = 16, caching: bool = True):
        ranges.whole("BlockPool.blocks", blocks, 1)
        ranges.whole("BlockPool.block_size", block_size, 1)
        self.size, self.block_size, self.caching = blocks, block_size, caching
        self.users = [0] * blocks
        self.holds: list[str | None] = [None] * blocks
        self.where: dict[str, int] = {}
        self.free = OrderedDict.fromkeys(range(blocks))         # the first is the next to be reused

    @property
    def usage(self) -> float:
        """Share of the blocks in use."""
        return 1 - len(self.free) / self.size

    def find(self, hashes: Sequence[str]) -> list[int]:
        """The blocks that hold the longest known prefix of `hashes`."""
        found: list[int] = []
        for digest in hashes:
            block = self.where.get(digest)
            if block is None:
                break
            found.append(block)
        return found

    def share(self, blocks: Sequence[int]) -> None:
        """One more sequence uses each of these."""
        for block in blocks:
            self.users[block] += 1
            self.free.pop(block, None)

    def available(self, blocks: int, keeping: Sequence[int] = ()) -> bool:
        """Whether that many can be had while the free ones among `keeping` are kept."""
        return blocks <= len(self.free) - sum(self.users[block] == 0 for block in keeping)

    def take(self, blocks: int) -> list[int]:
        """That many free blocks, the ones unused for longest, emptied; MemoryError if there are not enough."""
        if blocks > len(self.free):
            raise MemoryError(f"{blocks} blocks wanted, {len(self.free)} free")
        taken = [self.free.popitem(last=False)[0] for _ in range(blocks)]
        for block in taken:
            self.users[block] = 1
            self._forget(block)
        return taken

    def name(self, block: int, digest: str) -> None:
        """The block now holds the full block of that hash; the first to hold it is the one that is found."""
        if self.caching and self.holds[block] is None and digest not in self.where:
            self.holds[block], self.where[digest] = digest, block

    def give_back(self, blocks: Sequence[int]) -> None:
        """A sequence is done with these. Its last block is reused first: the beginning is what others may share."""
        for block in reversed(blocks):
            self.users[block] -= 1
            if self.users[block] == 0:
                self.free[block] = None

    def _forget(self, block: int) -> None:
        digest = self.holds[block]
        if digest is not None:
            del self.where[digest]
            self.holds[block] = None
