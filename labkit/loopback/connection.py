"""One connection through a proxy, and what holds for all of them. Lives in the thread of the proxy's loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from dataclasses import dataclass, fields

FROM = b"X-Server-From:"
CHUNK, WAITING = 4096, 256  # bytes a piece, pieces that may wait in one direction of one connection: 1 MiB
RESET = struct.pack("ii", 1, 0)     # SO_LINGER: no goodbye, the other side sees a reset
THERE, BACK = 0, 1          # the ways, of a pair of delays
NOBODY = -1

Item = tuple[float, bytes, int]     # when it came, the bytes (none: the end), which target it goes to or comes from


@dataclass(frozen=True)
class Counts:
    """What crossed a proxy.

    connections: that were put through to a target.
    refused: dials that were not, because the target is down or the link is cut.
    bursts: times a client began to speak, at the start or after its target had spoken: in HTTP/1.1, the requests.
    there, back: bytes passed on to a target, to a client.
    dropped: replies a target gave and the client did not get.
    """

    connections: int = 0
    refused: int = 0
    bursts: int = 0
    there: int = 0
    back: int = 0
    dropped: int = 0


class Wire:
    """What holds for all connections of a proxy: its targets, its faults and its counts."""

    def __init__(self, targets: list[int], each_request: bool, delay: tuple[float, float]):
        self.targets, self.each_request = targets, each_request
        self.delay, self.new_delay = delay, asyncio.Event()
        self.tallies = [dict.fromkeys((each.name for each in fields(Counts)), 0) for _ in targets]
        self.turn = itertools.cycle(range(len(targets)))
        self.names: dict[str, int] = {}
        self.cuts: set[int | frozenset[int]] = set()
        self.drops, self.drop_how = 0.0, "reset"
        self.connections: set[Connection] = set()

    def is_cut(self, name: str, target: int) -> bool:
        """Whether the link to `target` is cut for a dialler of this name."""
        return bool(self.cuts) and not self.cuts.isdisjoint((target, frozenset((self.names.get(name), target))))

    def cut(self, links: set[int | frozenset[int]]) -> None:
        """Cut links, and end what is under way on them."""
        self.cuts |= links
        for connection in list(self.connections):
            if self.is_cut(connection.name, connection.target):
                connection.reset()

    def heal(self, links: set[int | frozenset[int]]) -> None:
        """Mend links, all if none is named."""
        self.cuts = self.cuts - links if links else set()

    def drop_replies(self, count: float, how: str) -> None:
        """The next `count` replies are to be dropped."""
        self.drops, self.drop_how = count, how

    def set_delay(self, delay: tuple[float, float]) -> None:
        """A new delay, also for what is under way."""
        self.delay, old, self.new_delay = delay, self.new_delay, asyncio.Event()
        old.set()

    def reset_counts(self) -> None:
        """Count from zero."""
        for tally in self.tallies:
            tally.update(dict.fromkeys(tally, 0))

    async def due(self, came: float, way: int) -> None:
        """Wait until what came then is to be passed on."""
        while (wait := came + self.delay[way] - now()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.new_delay.wait()


class Connection:
    """A client and what it is put through to: one target, or with balance "request" any. `target` gets what it says
    now; `name` is what it calls itself, once that is known."""

    def __init__(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int | None):
        self.wire, self.reader, self.writer, self.name = wire, reader, writer, ""
        self.pinned = not wire.each_request
        self.target = target if target is not None else next(wire.turn) if self.pinned else NOBODY
        self.far: dict[int, asyncio.StreamWriter] = {}
        self.asking = self.dropping = False         # who spoke last; is what the target says now thrown away?
        wire.connections.add(self)
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self.group:
                if self.pinned:
                    await self.dial(self.target)
                await self.hear_client()
            for writer in (self.writer, *self.far.values()):
                writer.close()
                await writer.wait_closed()          # until the last bytes are out
        except* OSError:
            pass                                    # one side broke, or the link is cut: the other side sees it too
        finally:
            self.wire.connections.discard(self)
            self.reset()

    def reset(self) -> None:
        for writer in (self.writer, *self.far.values()):
            _reset(writer)
        if self.task is not asyncio.current_task():
            self.task.cancel()

    async def dial(self, target: int) -> None:
        tally = self.wire.tallies[target]
        try:
            self.check(target)
            reader, self.far[target] = await asyncio.open_connection("127.0.0.1", self.wire.targets[target])
        except OSError:
            tally["refused"] += 1
            raise
        tally["connections"] += 1
        self.group.create_task(self.hear_target(target, reader))

    def check(self, target: int) -> None:
        if self.wire.is_cut(self.name, target):
            raise ConnectionResetError("cut")

    async def hear_client(self) -> None:
        line: asyncio.Queue[Item] = asyncio.Queue(WAITING)
        self.group.create_task(self.speak(line, THERE))
        while chunk := await self.reader.read(CHUNK):
            if not self.asking:                     # a burst begins
                self.asking, self.dropping = True, False
                self.target = self.target if self.pinned else next(self.wire.turn)
                self.wire.tallies[self.target]["bursts"] += 1
            if (at := chunk.find(FROM)) >= 0:       # in any chunk: peers keep a connection that began without a name
                self.name = chunk[at + len(FROM):].partition(b"\r")[0].strip().decode(errors="replace")
            self.check(self.target)
            await line.put((now(), chunk, self.target))
        await line.put((now(), b"", THERE))

    async def hear_target(self, target: int, reader: asyncio.StreamReader) -> None:
        line: asyncio.Queue[Item] = asyncio.Queue(WAITING)
        self.group.create_task(self.speak(line, BACK))
        while chunk := await reader.read(CHUNK):
            if self.asking:                         # a reply begins
                self.asking = False
                self.drop(target)
            if not self.dropping:
                await line.put((now(), chunk, target))
        heard = not self.dropping and (self.pinned or target == self.target)
        if not self.pinned and not heard:
            self.far.pop(target).close()            # to be dialled again when its turn comes
        await line.put((now(), b"", target if heard else NOBODY))

    def drop(self, target: int) -> None:
        """Drop the reply that begins, if it is one of those to be dropped."""
        if self.wire.drops > 0:
            self.wire.drops -= 1
            self.wire.tallies[target]["dropped"] += 1
            self.dropping = True
            if self.wire.drop_how == "reset":
                _reset(self.writer)                 # `hear_client` ends, and the target is told so as usual

    async def speak(self, line: asyncio.Queue[Item], way: int) -> None:
        """Pass on what comes out of `line`, when it is due."""
        while True:
            came, chunk, target = await line.get()
            await self.wire.due(came, way)
            if not chunk:
                break
            if way == THERE and target not in self.far:
                await self.dial(target)
            writer = self.far[target] if way == THERE else self.writer
            self.wire.tallies[target]["there" if way == THERE else "back"] += len(chunk)
            writer.write(chunk)
            await writer.drain()
        if way == THERE:
            for writer in self.far.values():
                writer.write_eof()
        elif target != NOBODY and self.pinned:
            self.writer.write_eof()
        elif target != NOBODY:
            self.writer.close()                     # other targets must not speak after the end


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other side sees a reset."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def now() -> float:
    """The loop's clock, s."""
    return asyncio.get_running_loop().time()
