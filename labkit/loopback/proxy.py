"""The wire between real programs: a TCP proxy that delays, cuts, balances and counts. No root, no docker, no tc.

    with Proxy([server.port], delay=0.025) as wire:     # s, each way
        requests.get(f"http://127.0.0.1:{wire.port}")
        wire.total                                      # Counts(connections=1, refused=0, bursts=1, there=146, ...)

A server that others dial advertises a port of the proxy instead of its own. etcd peers say who they are in the header
`X-Server-From`, so that one directed link can be told from another.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import astuple
from functools import partial
from typing import Any, Self

from labkit import ranges
from labkit.loopback.connection import Connection, Counts, Wire

BALANCES = ("connection", "request")
DROPS = ("reset", "silence")
LONGEST = 3600.0            # s a delay may be
BACKLOG = 4096              # dials that may wait to be taken

Link = int | tuple[int, int]


class Proxy:
    """Ports of 127.0.0.1 in front of `targets`, other ports there: `ports`, in their order; `port` is the first.

    targets: at least one; from here on they are known by their place in this list.
    balance: None for a port each. One port for all with "connection", which gives each connection to the next target,
        or "request", which gives it each burst of bytes from a client (see `Counts`), whatever connection it is on:
        for clients that speak, then listen. That is HTTP/1.1 without pipelining and `100 Continue`; not HTTP/2, not
        WebSocket, nothing that logs in. A target that is down gets its turn like the others.
    delay: one way, s, 0 to 3,600: a number, or (there, back). Can be set at any time; bytes keep their order, and
        those under way obey the new delay.

    At most 1 MiB waits in each direction of a connection, so a slow reader slows its writer down.
    """

    def __init__(self, targets: Sequence[int], balance: str | None = None, delay: float | tuple[float, float] = 0.0):
        ranges.whole("len(Proxy.targets)", len(targets), 1)
        for target in targets:
            ranges.whole("Proxy.targets", target, 1, 65535)
        if balance is not None:
            ranges.one_of("Proxy.balance", balance, BALANCES)
        self.targets, self.balance = list(targets), balance
        self.ports: list[int] = []
        self._wire = Wire(self.targets, balance == "request", _each_way(delay))
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="labkit.loopback.Proxy", daemon=True)
        self._thread.start()
        self._run(self._listen())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and end all connections; thread and loop are gone when it returns."""
        if not self._loop.is_closed():
            self._run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def port(self) -> int:
        """The first of `ports`: the only one of a single target, or of a balance."""
        return self.ports[0]

    # ------------------------------------------------------------------------------------------ faults
    @property
    def delay(self) -> tuple[float, float]:
        """One way, s: (there, back)."""
        return self._wire.delay

    @delay.setter
    def delay(self, delay: float | tuple[float, float]) -> None:
        self._do(self._wire.set_delay, _each_way(delay))

    @property
    def names(self) -> dict[str, int]:
        """For `cut`: what a peer calls itself in `X-Server-From` -> its place in `targets`."""
        return self._wire.names

    def cut(self, *links: Link) -> None:
        """Cut links until `heal`; what is under way on them, and who dials meanwhile, meets a reset.

        A number is all that goes to this target; a pair, what these two targets send each other, where they say who
        they are (`names`); no argument, everything.
        """
        self._do(self._wire.cut, self._keys(links or range(len(self.targets))))

    def heal(self, *links: Link) -> None:
        """Mend these links, or all; clients have to dial again."""
        self._do(self._wire.heal, self._keys(links))

    def drop_replies(self, count: float = math.inf, how: str = "reset") -> None:
        """Let the next `count` requests reach their target and do their work there, but not the replies their client.

        count: whole, >= 0, or inf; 0 ends it. how: "reset" ends the client's connection, "silence" swallows all that
        comes until the client speaks again. The target never learns.
        """
        ranges.whole("drop_replies.count", count, 0, infinite=True)
        ranges.one_of("drop_replies.how", how, DROPS)
        self._do(self._wire.drop_replies, count, how)

    # ------------------------------------------------------------------------------------------ counts
    @property
    def counts(self) -> tuple[Counts, ...]:
        """What crossed since the start or `reset_counts`, by target; readable at any time, also after `close`."""
        return tuple(Counts(**tally) for tally in self._wire.tallies)

    @property
    def total(self) -> Counts:
        """The sum of `counts`."""
        return Counts(*map(sum, zip(*map(astuple, self.counts), strict=True)))

    def reset_counts(self) -> None:
        """Count from zero."""
        self._do(self._wire.reset_counts)

    # ------------------------------------------------------------------------------------------ the loop's thread
    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _do(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do it in the loop's thread, between two of its steps."""
        async def step() -> None:
            act(*arguments)

        self._run(step())

    def _keys(self, links: Sequence[Link]) -> set[int | frozenset[int]]:
        for link in links:
            for target in link if isinstance(link, tuple) else (link,):
                ranges.whole("link", target, 0, len(self.targets) - 1)
        return {frozenset(link) if isinstance(link, tuple) else link for link in links}

    async def _listen(self) -> None:
        for target in [None] if self.balance else range(len(self.targets)):
            server = await asyncio.start_server(partial(self._accept, target), "127.0.0.1", 0, backlog=BACKLOG)
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    def _accept(self, target: int | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        Connection(self._wire, reader, writer, target)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self._wire.connections):
            connection.reset()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _each_way(delay: float | tuple[float, float]) -> tuple[float, float]:
    there, back = delay if isinstance(delay, tuple) else (delay, delay)
    for way in (there, back):
        ranges.number("Proxy.delay", way, 0, LONGEST)
    return there, back
