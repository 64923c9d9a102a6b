"""Fixed layouts by hand: XDR of Sun RPC and CDR of CORBA. The bytes say nothing of the layout: both sides know it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from labkit.remote.codecs.codec import Codec, leaves
from labkit.remote.record import Record

INT32 = (-2**31, 2**31 - 1)


def int32(field: str, value: int) -> int:
    """`value`, or ValueError if it does not fit into 32 bits."""
    if not INT32[0] <= value <= INT32[1]:
        raise ValueError(f"{field} = {value}: must be in [{INT32[0]}, {INT32[1]}], 32 bits")
    return value


@dataclass(frozen=True)
class Layout:
    """How values become bytes.

    order: ">" big-endian, "<" little-endian.
    end: what ends a text.
    natural: a value starts at a multiple of its size; otherwise texts are filled up to a multiple of four.
    """

    order: str
    end: bytes
    natural: bool


class Writer:
    """Bytes, one value after the other."""

    def __init__(self, layout: Layout):
        self.layout, self.data = layout, bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def number(self, kind: str, value: float) -> None:
        if self.layout.natural:
            self.align(struct.calcsize(kind))
        self.data += struct.pack(self.layout.order + kind, value)

    def text(self, value: str) -> None:
        data = value.encode() + self.layout.end
        self.number("I", len(data))
        self.data += data
        if not self.layout.natural:
            self.align(4)


class Reader:
    """The same, backwards."""

    def __init__(self, layout: Layout, data: bytes):
        self.layout, self.data, self.place = layout, data, 0

    def align(self, size: int) -> None:
        self.place += -self.place % size

    def number(self, kind: str) -> Any:
        size = struct.calcsize(kind)
        if self.layout.natural:
            self.align(size)
        value, = struct.unpack_from(self.layout.order + kind, self.data, self.place)
        self.place += size
        return value

    def text(self) -> str:
        size = self.number("I")
        data = self.data[self.place:self.place + size]
        if len(data) < size:
            raise ValueError(f"a text of {size} bytes, and {len(data)} are left")
        self.place += size
        if not self.layout.natural:
            self.align(4)
        return data.removesuffix(self.layout.end).decode()


def write(record: Record, layout: Layout, balance: str = "d") -> bytes:
    """id, name, balance, number of orders, then id, date, total of each: nothing but the values."""
    to = Writer(layout)
    to.number("i", int32("id", record["id"]))
    to.text(record["name"])
    to.number(balance, record["balance"])
    to.number("I", len(record["orders"]))
    for order in record["orders"]:
        to.number("i", int32("orders.id", order["id"]))
        to.text(order["date"])
        to.number("d", order["total"])
    return bytes(to.data)


def read(data: bytes, layout: Layout, balance: str = "d") -> Record:
    of = Reader(layout, data)
    record: Record = {"id": of.number("i"), "name": of.text(), "balance": of.number(balance)}
    count = of.number("I")
    if count > len(data):
        raise ValueError(f"{count} orders in {len(data)} bytes")
    record["orders"] = [{"id": of.number("i"), "date": of.text(), "total": of.number("d")} for _ in range(count)]
    if of.place != len(data):
        raise ValueError(f"{len(data) - of.place} bytes too many")
    return record


def write_cdr(record: Record) -> bytes:
    """A text of CORBA ends with a zero byte, and so cannot hold one."""
    for name, value in leaves(record):
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"{name} = {value!r}: must be without zero bytes")
    return write(record, LITTLE)


def write_essay(record: Record) -> bytes:
    """The types.x of the essay, with orders: `string name<30>` and `float balance`."""
    if len(record["name"].encode()) > 30:
        raise ValueError(f"name = {record['name']!r}: must be of at most 30 bytes, string name<30>")
    if abs(record["balance"]) > LARGEST_FLOAT:
        raise ValueError(f"balance = {record['balance']!r}: must be at most {LARGEST_FLOAT:.6g}, 32 bits")
    return write(record, BIG, "f")


LARGEST_FLOAT = 3.4028234663852886e38
BIG, LITTLE = Layout(">", b"", natural=False), Layout("<", b"\0", natural=True)
# RFC 1014 (1987), now RFC 4506: 4.1 integers, 4.6 floats, 4.7 doubles, 4.11 strings, 4.13 arrays
XDR = Codec("XDR", 1987, "ids beyond 32 bits", lambda record: write(record, BIG), lambda data: read(data, BIG))
XDR_FLOAT = Codec("XDR, float balance", 1987, "a balance of over 7 digits (in silence), a name of more than 30 bytes",
                  write_essay, lambda data: read(data, BIG, "f"))
# Common Data Representation, CORBA 2.0 (1995), chapter 12; here little-endian, without the byte that says so
CDR = Codec("CDR", 1995, "ids beyond 32 bits, a zero byte within a text", write_cdr, lambda data: read(data, LITTLE))
