"""By library: formats that nobody writes by hand."""

from __future__ import annotations

import functools
import io
import pickle
from typing import Any

from labkit.remote.codecs.binary import int32
from labkit.remote.codecs.codec import Codec
from labkit.remote.record import Record

AVRO_SCHEMA = {
    "type": "record", "name": "Customer", "fields": [
        {"name": "id", "type": "int"}, {"name": "name", "type": "string"}, {"name": "balance", "type": "double"},
        {"name": "orders", "type": {"type": "array", "items": {"type": "record", "name": "Order", "fields": [
            {"name": "id", "type": "int"}, {"name": "date", "type": "string"}, {"name": "total", "type": "double"}]}}}]}


@functools.cache
def avro_schema() -> Any:
    import fastavro
    return fastavro.parse_schema(AVRO_SCHEMA)


def write_avro(record: Record) -> bytes:
    import fastavro
    _whole32(record)
    to = io.BytesIO()
    fastavro.schemaless_writer(to, avro_schema(), record)
    return to.getvalue()


def read_avro(data: bytes) -> Any:
    import fastavro
    of = io.BytesIO(data)
    found = fastavro.schemaless_reader(of, avro_schema(), None)
    if of.read(1):
        raise ValueError(f"{len(data) - of.tell() + 1} bytes too many")
    return found


def _whole32(record: Record) -> None:
    int32("id", record["id"])
    for order in record["orders"]:
        int32("orders.id", order["id"])


@functools.cache
def thrift_types() -> tuple[type, type]:
    """Order and Customer as thriftpy2 wants them: what its loader would make of an IDL file."""
    from thriftpy2.thrift import TPayload, TType

    class ThriftOrder(TPayload):
        thrift_spec = {1: (TType.I32, "id", False), 2: (TType.STRING, "date", False), 3: (TType.DOUBLE, "total", False)}
        default_spec = [("id", None), ("date", None), ("total", None)]

    class ThriftCustomer(TPayload):
        thrift_spec = {1: (TType.I32, "id", False), 2: (TType.STRING, "name", False),
                       3: (TType.DOUBLE, "balance", False),
                       4: (TType.LIST, "orders", (TType.STRUCT, ThriftOrder), False)}
        default_spec = [("id", None), ("name", None), ("balance", None), ("orders", None)]

    return ThriftOrder, ThriftCustomer


def _protocol(compact: bool, transport: Any) -> Any:
    from thriftpy2.protocol.binary import TBinaryProtocol
    from thriftpy2.protocol.compact import TCompactProtocol
    return (TCompactProtocol if compact else TBinaryProtocol)(transport)


def write_thrift(record: Record, compact: bool) -> bytes:
    from thriftpy2.transport.memory import TMemoryBuffer
    _whole32(record)
    order, customer = thrift_types()
    to = TMemoryBuffer()
    customer(**{**record, "orders": [order(**one) for one in record["orders"]]}).write(_protocol(compact, to))
    data: bytes = to.getvalue()
    return data


def read_thrift(data: bytes, compact: bool) -> Record:
    from thriftpy2.transport.memory import TMemoryBuffer
    _, customer = thrift_types()
    found: Any = customer()
    found.read(_protocol(compact, TMemoryBuffer(data)))
    return {"id": found.id, "name": found.name, "balance": found.balance,
            "orders": [{"id": one.id, "date": one.date, "total": one.total} for one in found.orders]}


def write_msgpack(record: Record) -> bytes:
    import msgpack
    try:
        data: bytes = msgpack.packb(record)
    except OverflowError as error:
        raise ValueError(f"id = {record['id']}: must be in [-2**63, 2**64), as all numbers of msgpack") from error
    return data


def read_msgpack(data: bytes) -> Any:
    import msgpack
    return msgpack.unpackb(data)


def write_cbor(record: Record) -> bytes:
    import cbor2
    return cbor2.dumps(record)


def read_cbor(data: bytes) -> Any:
    import cbor2
    return cbor2.loads(data)


def write_serpent(record: Record) -> bytes:
    import serpent
    return bytes(serpent.dumps(record))


def read_serpent(data: bytes) -> Any:
    import serpent
    return serpent.loads(data)


AVRO = Codec("Avro", 2009, "ids beyond 32 bits; it cannot be read at all without the writer's schema",
             write_avro, read_avro, "fastavro")
THRIFT_BINARY = Codec("Thrift, binary", 2007, "ids beyond 32 bits", lambda record: write_thrift(record, False),
                      lambda data: read_thrift(data, False), "thriftpy2")
THRIFT_COMPACT = Codec("Thrift, compact", 2008, "ids beyond 32 bits", lambda record: write_thrift(record, True),
                       lambda data: read_thrift(data, True), "thriftpy2")
MSGPACK = Codec("msgpack", 2009, "ids beyond 64 bits", write_msgpack, read_msgpack, "msgpack")
CBOR = Codec("CBOR", 2013, "nothing", write_cbor, read_cbor, "cbor2")
PICKLE = Codec("pickle", 1995, "nothing; but who reads it runs what it says", lambda record: pickle.dumps(record, 5),
               pickle.loads)
SERPENT = Codec("serpent", 2012, "nothing; it is how Python itself writes values", write_serpent, read_serpent,
                "serpent")
