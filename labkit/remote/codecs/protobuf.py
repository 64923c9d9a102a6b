"""Protocol Buffers, proto3: by hand, and by Google's library from the same schema. Every field has a number and a kind.

    message Order    { int32 id = 1; string date = 2; double total = 3; }
    message Customer { int32 id = 1; string name = 2; double balance = 3; repeated Order orders = 4; }

Format: protobuf.dev, "Encoding". A field that has its type's zero is not sent, so "not there" and "zero" read the same.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from labkit.remote.codecs.binary import int32
from labkit.remote.codecs.codec import Codec
from labkit.remote.record import Record

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5        # kinds on the wire: how far to skip what one does not know


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the eighth says that more come. A negative number is sent as 64 bits."""
    value &= 2**64 - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def _whole(number: int, field: str, value: int) -> bytes:
    return tag(number, VARINT) + varint(int32(field, value)) if value else b""


def _bytes(number: int, data: bytes) -> bytes:
    return tag(number, BYTES) + varint(len(data)) + data


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode()) if value else b""


def _double(number: int, value: float) -> bytes:
    data = struct.pack("<d", value)
    return tag(number, FIXED64) + data if any(data) else b""        # -0.0 has a bit, and is sent


def write(record: Record) -> bytes:
    orders = [_whole(1, "orders.id", order["id"]) + _text(2, order["date"]) + _double(3, order["total"])
              for order in record["orders"]]
    return (_whole(1, "id", record["id"]) + _text(2, record["name"]) + _double(3, record["balance"])
            + b"".join(_bytes(4, order) for order in orders))


def fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, kind, value) of each field, known or not. A varint comes as a signed number, the rest as bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield number, kind, value - 2**64 if value >= 2**63 else value
            continue
        if kind == BYTES:
            size, place = _varint(data, place)
        else:
            size = {FIXED64: 8, FIXED32: 4}[kind]
        if place + size > len(data):
            raise ValueError(f"field {number} has {size} bytes, and {len(data) - place} are left")
        yield number, kind, data[place:place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        value, place = value | (byte & 0x7F) << shift, place + 1
        if byte <= 0x7F:
            return value & 2**64 - 1, place
    raise ValueError("a number of more than ten bytes")


def read(data: bytes) -> Record:
    """Unknown fields are skipped, one that is missing has the zero of its type; of one that comes twice, the last."""
    record: Record = {"id": 0, "name": "", "balance": 0.0, "orders": []}
    for number, kind, value in fields(data):
        if (number, kind) == (4, BYTES):
            record["orders"].append(_known({"id": 0, "date": "", "total": 0.0}, fields(value)))
        else:
            _known(record, [(number, kind, value)])
    return record


def _known(into: Record, found: Iterable[tuple[int, int, Any]]) -> Record:
    """The first three fields of both messages are a number, a text and a double."""
    whole, text, double = list(into)[:3]
    for number, kind, value in found:
        if (number, kind) == (1, VARINT):
            into[whole] = value
        elif (number, kind) == (2, BYTES):
            into[text] = value.decode()
        elif (number, kind) == (3, FIXED64):
            into[double], = struct.unpack("<d", value)
    return into


# ------------------------------------------------------------------------------------------------ by Google's library
@functools.cache
def message() -> Any:
    """The class Customer, made from the schema above without a compiler."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="labkit/customer.proto", package="labkit", syntax="proto3")
    for name, parts in {"Order": ("id", "date", "total"), "Customer": ("id", "name", "balance", "orders")}.items():
        kind = file.message_type.add(name=name)
        for number, (part, type_) in enumerate(zip(parts, (kinds.TYPE_INT32, kinds.TYPE_STRING, kinds.TYPE_DOUBLE,
                                                           kinds.TYPE_MESSAGE), strict=False), 1):
            many = part == "orders"
            kind.field.add(name=part, number=number, type=type_, type_name=".labkit.Order" if many else None,
                           label=kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("labkit.Customer"))


def write_library(record: Record) -> bytes:
    int32("id", record["id"])
    for order in record["orders"]:
        int32("orders.id", order["id"])
    data: bytes = message()(**record).SerializeToString()
    return data


def read_library(data: bytes) -> Record:
    found = message().FromString(data)
    return {"id": found.id, "name": found.name, "balance": found.balance,
            "orders": [{"id": order.id, "date": order.date, "total": order.total} for order in found.orders]}


LOST = "ids beyond 32 bits; whether a zero or an empty text was sent or left out"
BY_HAND = Codec("protobuf, by hand", 2008, LOST, write, read)
LIBRARY = Codec("protobuf", 2008, LOST, write_library, read_library, "google.protobuf")
