"""All encodings of the course, by year."""

from __future__ import annotations

from labkit import ranges
from labkit.remote.codecs import binary, commarea, libraries, protobuf, texts
from labkit.remote.codecs.codec import Codec

ALL: list[Codec] = sorted([
    commarea.ZONED, commarea.PACKED, binary.XDR, binary.XDR_FLOAT, binary.CDR,
    texts.POX, texts.SOAP, texts.JSON, texts.JSON_RPC, texts.MCP_TEXT, texts.MCP, texts.A2A,
    protobuf.BY_HAND, protobuf.LIBRARY,
    libraries.AVRO, libraries.THRIFT_BINARY, libraries.THRIFT_COMPACT, libraries.MSGPACK, libraries.CBOR,
    libraries.PICKLE, libraries.SERPENT,
], key=lambda codec: codec.year)


def named(name: str) -> Codec:
    """The encoding of this name; ValueError with all names if there is none."""
    ranges.one_of("name", name, [codec.name for codec in ALL])
    return next(codec for codec in ALL if codec.name == name)
