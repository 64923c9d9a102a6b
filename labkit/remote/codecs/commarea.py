"""A CICS COMMAREA: a COBOL record of fixed width in EBCDIC (code page 37). Each field has its place, on all calls.

Values are moved as COBOL moves them (ISO/IEC 1989, MOVE): texts are cut or filled with blanks on the right, numbers
lose the digits that have no place on either side, and all of that in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from labkit.remote.codecs.codec import Codec
from labkit.remote.record import Record

EBCDIC = "cp037"
SLOTS = 2                       # OCCURS 2 TIMES
NAME, DATE = 30, 10             # PIC X(30), PIC X(10)
ID, ORDER_ID = 8, 3             # PIC 9(8), PIC 9(3)
MONEY = 9                       # PIC S9(7)V99: seven digits, two decimals; the point is only thought

BLANK: Record = {"id": 0, "date": "", "total": 0.0}


def text(value: str, width: int) -> bytes:
    """PIC X(width). A letter that code page 37 does not have becomes SUB, 0x3F."""
    return b"".join(_letter(letter) for letter in value[:width].ljust(width))


def _letter(letter: str) -> bytes:
    try:
        return letter.encode(EBCDIC)
    except UnicodeEncodeError:
        return b"\x3f"


def digits(value: int, width: int) -> bytes:
    """PIC 9(width): the last digits, without a sign."""
    return str(abs(value) % 10**width).zfill(width).encode(EBCDIC)


def zoned(cents: int, width: int = MONEY) -> bytes:
    """PIC S9(width): one digit a byte, the sign in the upper half of the last: C plus, D minus."""
    data = bytearray(digits(cents, width))
    data[-1] = (0xD0 if cents < 0 else 0xC0) | data[-1] & 0x0F
    return bytes(data)


def packed(cents: int, width: int = MONEY) -> bytes:
    """COMP-3: two digits a byte, the sign in the last half byte."""
    nibbles = str(abs(cents) % 10**width).zfill(width) + ("D" if cents < 0 else "C")
    return bytes.fromhex(nibbles.zfill(len(nibbles) + len(nibbles) % 2))


def unzoned(data: bytes) -> int:
    value = int(bytes([*data[:-1], data[-1] | 0xF0]).decode(EBCDIC))
    return -value if data[-1] >> 4 == 0xD else value


def unpacked(data: bytes) -> int:
    nibbles = data.hex()
    return -int(nibbles[:-1]) if nibbles[-1] == "d" else int(nibbles[:-1])


def cents(dollars: float) -> int:
    """Whole cents of the decimals that people see; what is smaller is dropped, as MOVE drops it."""
    return int(Decimal(repr(dollars)) * 100)


def _write(record: Record, money: Callable[[int], bytes]) -> bytes:
    slots = [*record["orders"], *[BLANK] * SLOTS][:SLOTS]
    return b"".join([digits(record["id"], ID), text(record["name"], NAME), money(cents(record["balance"])),
                     *[digits(order["id"], ORDER_ID) + text(order["date"], DATE) + money(cents(order["total"]))
                       for order in slots]])


def _read(data: bytes, width: int, money: Callable[[bytes], int]) -> Record:
    head, slot = ID + NAME + width, ORDER_ID + DATE + width
    if len(data) != head + SLOTS * slot:
        raise ValueError(f"{len(data)} bytes, and the record has {head + SLOTS * slot}")
    orders = [_order(data[at:at + slot], money) for at in range(head, len(data), slot)]
    return {"id": int(data[:ID].decode(EBCDIC)), "name": data[ID:ID + NAME].decode(EBCDIC).rstrip(" "),
            "balance": money(data[ID + NAME:head]) / 100, "orders": [order for order in orders if order != BLANK]}


def _order(data: bytes, money: Callable[[bytes], int]) -> Record:
    return {"id": int(data[:ORDER_ID].decode(EBCDIC)), "total": money(data[ORDER_ID + DATE:]) / 100,
            "date": data[ORDER_ID:ORDER_ID + DATE].decode(EBCDIC).rstrip(" ")}


LOST = ("signs of ids, ids of more than 8 digits (orders: 3), texts of more than 30 letters (dates: 10), "
        "blanks at their end, letters outside code page 37, fractions of a cent, ten millions, a third order: "
        "all in silence")
ZONED = Codec("COMMAREA, zoned", 1969, LOST, lambda record: _write(record, zoned),
              lambda data: _read(data, MONEY, unzoned))
PACKED = Codec("COMMAREA, packed", 1969, LOST, lambda record: _write(record, packed),
               lambda data: _read(data, MONEY // 2 + 1, unpacked))
