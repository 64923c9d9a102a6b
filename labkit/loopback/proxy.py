"""The wire between real servers: a TCP proxy that delays and cuts each link. No root, no docker, no tc.

Every server advertises a port of the proxy instead of its own, so what its peers send to it passes here. etcd peers
say who they are in the header `X-Server-From`, so that one directed link can be told from another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence

FROM = b"x-server-from:"


class _Connection:
    """Two sockets spliced together; `name` is what the node that dialled calls itself, once that is known."""

    def __init__(self, target: int):
        self.name = ""
        self.target = target
        self.writers: list[asyncio.StreamWriter] = []

    def drop(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """One listening port per target port on 127.0.0.1. delay: one way, s."""

    def __init__(self, targets: Sequence[int]):
        self.targets, self.delay = list(targets), 0.0
        self.ports: list[int] = []
        self.servers: list[asyncio.Server] = []
        self.names: dict[str, int] = {}                 # what a peer calls itself -> its number
        self.cuts: set[frozenset[int | None]] = set()
        self.connections: set[_Connection] = set()
        self.closing = False
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def cut(self, pairs: Iterable[tuple[int | None, int]]) -> None:
        """Cut just these links, in both directions, and end what is under way on them; None: an unnamed dialler."""
        cuts = {frozenset(pair) for pair in pairs}

        async def act() -> None:
            self.cuts = cuts
            for connection in list(self.connections):
                if self._is_cut(connection):
                    connection.drop()

        asyncio.run_coroutine_threadsafe(act(), self.loop).result(5)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    # ------------------------------------------------------------------------------------------ in the loop's thread
    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)

        async def listen() -> None:
            for target in range(len(self.targets)):
                server = await asyncio.start_server(self._handler(target), "127.0.0.1", 0)
                self.servers.append(server)
                self.ports.append(server.sockets[0].getsockname()[1])

        self.loop.run_until_complete(listen())
        ready.set()
        self.loop.run_forever()
        self.closing = True
        for server in self.servers:
            server.close()
        for connection in list(self.connections):
            connection.drop()
        if tasks := asyncio.all_tasks(self.loop):       # they end by themselves: their sockets are gone
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=2))
        self.loop.close()

    def _handler(self, target: int):  # type: ignore[no-untyped-def]  # asyncio's own callback type is not exported
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = _Connection(target)
            connection.writers.append(writer)
            self.connections.add(connection)
            try:
                if self._is_cut(connection):
                    return
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.targets[target])
                connection.writers.append(far_writer)
                await asyncio.gather(self._pump(connection, reader, far_writer, listen=True),
                                     self._pump(connection, far_reader, writer, listen=False))
            except OSError:
                pass                    # the server is down, or the link was cut: the dialler sees a reset
            finally:
                connection.drop()
                self.connections.discard(connection)
        return handle

    def _is_cut(self, connection: _Connection) -> bool:
        return self.closing or frozenset((self.names.get(connection.name), connection.target)) in self.cuts

    async def _pump(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                    listen: bool) -> None:
        """Pass on every chunk `delay` after it came. Peers keep a connection that began with an anonymous probe, so
        every chunk is searched for the sender's name, not only the first."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.create_task(self._send(connection, line, writer))
        try:
            while chunk := await reader.read(65536):
                at = chunk.lower().find(FROM) if listen else -1
                if at >= 0:
                    connection.name = chunk[at + len(FROM):chunk.index(b"\r", at)].strip().decode()
                line.put_nowait((self.loop.time() + self.delay, chunk))
        except OSError:
            pass
        line.put_nowait((0.0, b""))
        await sender

    async def _send(self, connection: _Connection, line: asyncio.Queue[tuple[float, bytes]],
                    writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await line.get()
            if not chunk or self._is_cut(connection):
                break
            await asyncio.sleep(max(0.0, due - self.loop.time()))
            if self._is_cut(connection):
                break
            writer.write(chunk)
            await writer.drain()
        connection.drop()
