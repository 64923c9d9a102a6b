"""The proxy: what it counts is exact, what it breaks is broken, and it leaves nothing behind."""

import asyncio
import contextlib
import http.client
import math
import socket
import threading
import time
from collections import Counter

import pytest

from labkit.loopback import Counts, Proxy, allow_open_files, free_port, serve
from labkit.loopback.connection import FROM

pytestmark = pytest.mark.live
LONG = 30                   # s a test waits for what must come


class Server:
    """A server in a thread per connection; `talk(connection, heard)` is each one's life."""

    def __init__(self, talk):
        self.talk, self.heard = talk, []
        self.door = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.one, args=(self.door.accept()[0],), daemon=True).start()

    def one(self, line):
        line.settimeout(LONG)
        with contextlib.suppress(OSError), line:
            self.talk(line, self.heard)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()


def echo(line, heard):
    """Twice what was said, burst by burst of four bytes."""
    while said := exactly(line, 4):
        heard.append(said)
        line.sendall(said * 2)


def after_all(line, heard):
    """An answer only when the client has said all."""
    heard.append(b"".join(iter(lambda: line.recv(65536), b"")))
    line.sendall(b"%d bytes" % len(heard[-1]))


def exactly(line, count):
    found = b""
    while len(found) < count and (more := line.recv(count - len(found))):
        found += more
    return found


def dial(port):
    return socket.create_connection(("127.0.0.1", port), LONG)


def ask(line, text=b"ping"):
    line.sendall(text)
    return exactly(line, 2 * len(text))


def is_reset(line):
    """Whether the connection, or the dial to a port, meets a reset; waits for it."""
    with contextlib.ExitStack() as stack:
        try:
            line = stack.enter_context(dial(line)) if isinstance(line, int) else line
            return line.recv(1) == "never"
        except ConnectionError:
            return True


def becomes(true):
    end = time.monotonic() + LONG
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


# ------------------------------------------------------------------------------------------------ counts
def test_counts_are_exact_in_total_and_for_each_target():
    with Server(echo) as one, Server(echo) as other, Proxy([one.port, other.port]) as wire:
        for port, connections, bursts in ((wire.ports[0], 3, 5), (wire.ports[1], 2, 1)):
            for _ in range(connections):
                with dial(port) as line:
                    assert [ask(line) for _ in range(bursts)] == [b"pingping"] * bursts
        first, second = Counts(3, 0, 15, 60, 120), Counts(2, 0, 2, 8, 16)
        assert wire.counts == (first, second)
        assert wire.total == Counts(5, 0, 17, 68, 136)
        wire.reset_counts()
        assert wire.counts == (Counts(), Counts())
        with dial(wire.ports[1]) as line:
            ask(line)
        assert wire.counts == (Counts(), Counts(1, 0, 1, 4, 8))
    assert wire.total == Counts(1, 0, 1, 4, 8)


def test_a_burst_is_a_change_of_direction_however_many_pieces_it_comes_in():
    with Server(echo) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        for count, letter in enumerate(b"ping", 1):
            line.sendall(bytes([letter]))
            assert becomes(lambda count=count: wire.total.there == count)
        assert exactly(line, 8) == b"pingping"
        assert wire.total == Counts(1, 0, 1, 4, 8)


def test_a_server_that_speaks_first_is_heard():
    def greet(line, heard):
        line.sendall(b"hello")
        echo(line, heard)

    with Server(greet) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        assert exactly(line, 5) == b"hello"
        assert ask(line) == b"pingping"
        assert wire.total == Counts(1, 0, 1, 4, 13)


def test_a_thousand_connections_at_once():
    allow_open_files(8192)
    before = set(threading.enumerate())
    inside = asyncio.Event()

    async def talk(reader, writer):
        while said := await reader.read(4):
            writer.write(said * 2)
        writer.close()

    async def client(port, everybody):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        first = await reader.readexactly(8)
        everybody.append(first)
        if len(everybody) == 1000:
            inside.set()
        await inside.wait()                 # all are connected and were answered before anybody goes on
        writer.write(b"pong")
        second = await reader.readexactly(8)
        writer.close()
        await writer.wait_closed()
        return first + second

    async def crowd():
        server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=2048)
        async with server, asyncio.timeout(120):
            with Proxy([server.sockets[0].getsockname()[1]]) as wire:
                everybody = []
                answers = await asyncio.gather(*(client(wire.port, everybody) for _ in range(1000)))
                return Counter(answers), wire.total

    answers, counts = asyncio.run(crowd())
    assert answers == {b"pingpingpongpong": 1000}
    assert counts == Counts(1000, 0, 2000, 8000, 16000)
    assert set(threading.enumerate()) <= before


def test_closing_ends_a_thousand_open_connections_its_thread_and_its_loop():
    allow_open_files(8192)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as door:
        wire = Proxy([door.getsockname()[1]])
        lines = [dial(wire.port) for _ in range(1000)]
        assert becomes(lambda: wire.total.connections == 1000)
        wire.close()
        assert set(threading.enumerate()) <= before
        assert all(is_reset(line) for line in lines)
        for line in lines:
            line.close()
        with pytest.raises(ConnectionRefusedError):
            dial(wire.port)
    wire.close()


# ------------------------------------------------------------------------------------------------ like a wire
def test_who_has_said_all_is_still_answered():
    with Server(after_all) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        line.sendall(b"x" * 1_000_000)
        line.shutdown(socket.SHUT_WR)
        assert exactly(line, 100) == b"1000000 bytes"
        assert wire.total == Counts(1, 0, 1, 1_000_000, 13)


def test_a_target_that_has_said_all_is_still_told():
    def deaf_end(line, heard):
        line.sendall(b"over")
        line.shutdown(socket.SHUT_WR)
        heard.append(exactly(line, 4))

    with Server(deaf_end) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        assert exactly(line, 5) == b"over"
        line.sendall(b"ping")
        assert becomes(lambda: server.heard == [b"ping"])


def test_a_large_answer_to_a_slow_reader_arrives_whole():
    def large(line, heard):
        line.sendall(bytes(range(256)) * 40_000)

    with Server(large) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        line.shutdown(socket.SHUT_WR)
        begin = b""
        while wire.total.back < 256 * 40_000:           # from here on the proxy has it all, and could stop too early
            begin += line.recv(4096)
        assert begin + exactly(line, 20_000_000) == bytes(range(256)) * 40_000


@pytest.mark.parametrize("delay", [0.0, 3600.0])
def test_a_reader_that_does_not_read_slows_the_writer_down(delay):
    def never_reads(line, heard):
        heard.append(1)
        done.wait(LONG)

    done = threading.Event()
    with Server(never_reads) as server, Proxy([server.port], delay=delay) as wire, dial(wire.port) as line:
        assert becomes(lambda: wire.total.connections == 1)
        (connection,) = wire._wire.connections
        line.setblocking(False)
        sent, stopped = 0, False
        while not stopped and sent < 200_000_000:
            try:
                sent += line.send(b"x" * 65536)
            except BlockingIOError:                     # no room: for the moment, or because nobody reads
                for _ in range(20):
                    wire.reset_counts()                 # a turn of the proxy's loop
                stopped = not connection.writer.transport.is_reading()
        done.set()
        assert stopped and sent < 50_000_000            # the kernel's buffers and ours; without a bound, all of it


def test_a_client_that_breaks_off_is_a_break_for_the_target_too():
    with Server(echo) as server, Proxy([server.port]) as wire:
        line = dial(wire.port)
        ask(line)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        line.close()
        assert becomes(lambda: not wire._wire.connections)


def test_the_dialler_of_a_target_that_is_down_sees_a_reset_and_it_is_counted():
    with Proxy([free_port()]) as wire:
        for _ in range(3):
            assert is_reset(wire.port)
        assert wire.total == Counts(0, 3)


# ------------------------------------------------------------------------------------------------ balance
@contextlib.contextmanager
def named_servers(count, idle=None):
    """HTTP servers that say their number."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(serve(lambda request, body, i=i: (200, {}, b"%d" % i), idle)) for i in range(count)]
        yield [int(url.rpartition(":")[2]) for url in urls]


def get(line):
    line.request("GET", "/")
    return int(line.getresponse().read())


def test_one_port_for_all_pins_each_connection_to_the_next_target():
    with named_servers(3) as ports, Proxy(ports, balance="connection") as wire:
        assert len(wire.ports) == 1
        lines = [http.client.HTTPConnection("127.0.0.1", wire.port, timeout=LONG) for _ in range(6)]
        assert [[get(line) for line in lines] for _ in range(3)] == [[0, 1, 2, 0, 1, 2]] * 3
        assert [(c.connections, c.bursts) for c in wire.counts] == [(2, 6)] * 3
        for line in lines:
            line.close()


def test_each_request_goes_to_the_next_target_also_on_one_connection():
    with named_servers(3) as ports, Proxy(ports, balance="request") as wire:
        one, other = (http.client.HTTPConnection("127.0.0.1", wire.port, timeout=LONG) for _ in range(2))
        assert [get(one) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
        assert [get(other), get(one), get(other)] == [1, 2, 0]
        assert [(c.connections, c.bursts) for c in wire.counts] == [(2, 4), (2, 3), (1, 3)]
        one.close()
        other.close()


def test_a_target_that_hung_up_between_two_requests_is_dialled_again():
    def once(name):
        def talk(line, heard):
            said = exactly(line, 4)
            line.sendall(name + said)
            if name == b"A":
                told.wait(LONG)         # hangs up when it is no longer its turn

        return talk

    told = threading.Event()
    with (Server(once(b"A")) as a, Server(echo) as b, Proxy([a.port, b.port], balance="request") as wire,
          dial(wire.port) as line):
        line.sendall(b"ping")
        assert exactly(line, 5) == b"Aping"
        assert ask(line) == b"pingping"
        told.set()
        (connection,) = wire._wire.connections
        assert becomes(lambda: 0 not in connection.far)
        line.sendall(b"ping")
        assert exactly(line, 5) == b"Aping"
        assert [c.connections for c in wire.counts] == [2, 1]


def test_a_target_that_is_down_gets_its_turn():
    with named_servers(1) as ports, Proxy([*ports, free_port()], balance="connection") as wire:
        for answered in (True, False, True):
            if not answered:
                assert is_reset(wire.port)
                continue
            with dial(wire.port) as line:
                line.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert exactly(line, 8) == b"HTTP/1.1"
        assert [(c.connections, c.refused) for c in wire.counts] == [(2, 0), (0, 1)]


# ------------------------------------------------------------------------------------------------ faults
def test_a_cut_ends_what_is_under_way_and_a_heal_lets_new_connections_in():
    with Server(echo) as one, Server(echo) as other, Proxy([one.port, other.port]) as wire:
        lines = [dial(port) for port in wire.ports]
        assert [ask(line) for line in lines] == [b"pingping"] * 2
        wire.cut(0)
        assert is_reset(lines[0])
        assert is_reset(wire.ports[0])
        assert ask(lines[1]) == b"pingping"
        wire.cut()
        assert is_reset(lines[1])
        wire.heal(1)
        with dial(wire.ports[1]) as line:
            assert ask(line) == b"pingping"
        assert is_reset(wire.ports[0])
        wire.heal()
        with dial(wire.ports[0]) as line:
            assert ask(line) == b"pingping"
        assert [(c.connections, c.refused) for c in wire.counts] == [(2, 2), (2, 0)]
        for line in lines:
            line.close()


def test_a_link_between_two_is_cut_by_the_name_they_say():
    hello = FROM + b" abc\r\n\r\n"
    length = len(hello)

    def polite(line, heard):
        while said := exactly(line, length):
            line.sendall(said)

    with Server(polite) as server, Proxy([server.port, server.port, server.port]) as wire:
        wire.names.update({"abc": 2, "def": 0})
        named, nameless, other = dial(wire.ports[1]), dial(wire.ports[1]), dial(wire.ports[0])
        for line in (named, nameless, other):
            line.sendall(hello if line is not nameless else b"-" * length)
            assert len(exactly(line, length)) == length
        wire.cut((1, 2))
        assert is_reset(named)
        for line in (nameless, other):
            line.sendall(b"+" * length)
            assert exactly(line, length) == b"+" * length
        nameless.sendall(hello)         # now it has said its name
        assert is_reset(nameless)
        wire.cut((0, 2))
        assert is_reset(other)
        for line in (named, nameless, other):
            line.close()


def test_a_cut_target_gets_no_requests_of_a_connection_that_knew_it():
    with named_servers(2) as ports, Proxy(ports, balance="request") as wire:
        client = http.client.HTTPConnection("127.0.0.1", wire.port, timeout=LONG)
        assert [get(client) for _ in range(3)] == [0, 1, 0]
        wire.cut(1)
        with pytest.raises(ConnectionError):
            get(client)
        client.close()
        assert wire.counts[1].there == wire.counts[0].there // 2


@pytest.mark.parametrize("how", ["reset", "silence"])
def test_the_server_does_the_work_of_a_dropped_reply_and_the_client_gets_none(how):
    with Server(echo) as server, Proxy([server.port]) as wire:
        wire.drop_replies(2, how)
        for i in range(2):
            with dial(wire.port) as line:
                line.sendall(b"job%d" % i)
                if how == "reset":
                    assert is_reset(line)
                else:
                    assert becomes(lambda i=i: wire.total.dropped == i + 1)
                    assert ask(line, b"next") if i else True
        with dial(wire.port) as line:
            assert ask(line, b"job2") == b"job2job2"
        assert [job for job in server.heard if job != b"next"] == [b"job0", b"job1", b"job2"]
        assert wire.total.dropped == 2
        assert wire.total.back == 8 * (len(server.heard) - 2)
        wire.drop_replies(math.inf, how)
        wire.drop_replies(0)
        with dial(wire.port) as line:
            assert ask(line) == b"pingping"


def test_silence_is_kept_when_the_server_hangs_up():
    def once(line, heard):
        heard.append(exactly(line, 4))
        line.sendall(b"done")

    with Server(once) as server, Proxy([server.port]) as wire, dial(wire.port) as line:
        wire.drop_replies(1, "silence")
        line.sendall(b"work")
        assert becomes(lambda: wire.total.dropped == 1)
        assert becomes(lambda: len(asyncio.all_tasks(wire._loop)) == 2)     # nobody listens to the server any more
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)
        assert server.heard == [b"work"]


def test_what_is_sent_is_held_until_its_delay_is_over_each_way_by_itself():
    with Server(echo) as server, Proxy([server.port], delay=(3600.0, 0.0)) as wire, dial(wire.port) as line:
        line.sendall(b"ping")
        assert becomes(lambda: wire.total.bursts == 1)
        assert (server.heard, wire.total.there) == ([], 0)
        wire.delay = (0.0, 3600.0)                      # lets the request go, and holds the reply
        assert becomes(lambda: server.heard == [b"ping"])
        (connection,) = wire._wire.connections
        assert becomes(lambda: not connection.asking)
        assert (wire.total.there, wire.total.back) == (4, 0)
        line.sendall(b"pong")                           # behind it, in order
        assert becomes(lambda: server.heard == [b"ping", b"pong"])
        wire.delay = 0.0
        assert exactly(line, 16) == b"pingpingpongpong"
        assert wire.delay == (0.0, 0.0)


def test_a_round_trip_takes_at_least_both_delays():
    with Server(echo) as server, Proxy([server.port], delay=(0.15, 0.05)) as wire, dial(wire.port) as line:
        begun = time.monotonic()
        assert ask(line) == b"pingping"
        assert time.monotonic() - begun >= 0.2


def test_cutting_throws_away_what_was_held():
    with Server(echo) as server, Proxy([server.port], delay=3600.0) as wire, dial(wire.port) as line:
        line.sendall(b"ping")
        assert becomes(lambda: wire.total.bursts == 1)
        wire.cut()
        assert is_reset(line)
        wire.heal()
        wire.delay = 0.0
        with dial(wire.port) as again:
            assert ask(again, b"pong") == b"pongpong"
        assert server.heard == [b"pong"]


@pytest.mark.parametrize("make, message", [
    (lambda wire: Proxy([]), "len(Proxy.targets) = 0: must be a whole number >= 1"),
    (lambda wire: Proxy([0]), "Proxy.targets = 0: must be a whole number >= 1 and <= 65535"),
    (lambda wire: Proxy([1], "random"), "Proxy.balance = 'random': must be one of 'connection', 'request'"),
    (lambda wire: Proxy([1], delay=-1), "Proxy.delay = -1: must be a number >= 0 and <= 3600"),
    (lambda wire: setattr(wire, "delay", (0, 1e9)), "Proxy.delay = 1000000000.0: must be a number >= 0 and <= 3600"),
    (lambda wire: wire.cut(1), "link = 1: must be a whole number >= 0 and <= 0"),
    (lambda wire: wire.heal((0, 2)), "link = 2: must be a whole number >= 0 and <= 0"),
    (lambda wire: wire.drop_replies(-1), "drop_replies.count = -1: must be a whole number >= 0, or inf"),
    (lambda wire: wire.drop_replies(1, "lose"), "drop_replies.how = 'lose': must be one of 'reset', 'silence'"),
])
def test_bad_input(make, message):
    before = set(threading.enumerate())
    with Proxy([free_port()]) as wire, pytest.raises(ValueError) as error:
        make(wire)
    assert str(error.value) == message
    assert set(threading.enumerate()) <= before
