"""Typed columns that hurt, each with the reason it is here; most come from the trackers of systems that read them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal as D
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from labkit.interactions.values import EPOCH, MICRO, Instant, Mapping, Plain, plain

INT128, UUID = "int128", "uuid"         # types that Arrow has not, or has as an extension
Type = Any                              # an Arrow type, or one of the two


@dataclass(frozen=True)
class Column:
    """A name, an Arrow type (or INT128, UUID), and the values, None for NULL."""

    name: str
    type: Type
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A table with something in it that is easily lost, and why it is here.

    Most cases have an `id` column beside the one that matters, so that a NULL is not an empty line.
    """

    name: str
    columns: tuple[Column, ...]
    why: str

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*[column.values for column in self.columns], strict=True))

    @property
    def expected(self) -> list[list[Plain]]:
        return [[plain(value) for value in column.values] for column in self.columns]


def instant(iso: str, ns: int = 0, zone: str | None = None) -> Instant:
    """A timestamp from its ISO text, as it reads in `zone` if there is one, plus `ns` nanoseconds."""
    local = dt.datetime.fromisoformat(iso)
    if zone:
        local = local.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC).replace(tzinfo=None)
    return Instant((local - EPOCH) // MICRO * 1000 + ns, zone)


def case(name: str, kind: Type, values: Sequence[Any], why: str) -> Case:
    """One column `v` of a type, and an `id` beside it."""
    numbered = Column("id", pa.int64(), tuple(range(len(values))))
    return Case(name, (numbered, Column("v", kind, tuple(values))), why)


def named(name: str, columns: Sequence[tuple[str, Sequence[Any]]], why: str) -> Case:
    """Plain integers under the given column names, without an `id`."""
    return Case(name, tuple(Column(label, pa.int64(), tuple(values)) for label, values in columns), why)


I64, F64, TEXT, DATE = pa.int64(), pa.float64(), pa.string(), pa.date32()
US = pa.timestamp("us")

CONTROLS = (
    case("plain ints", I64, [1, 2, 3], "control: if these differ, the bench is broken"),
    case("plain text", TEXT, ["tea", "milk", "bread"], "control"),
    case("plain booleans", pa.bool_(), [True, False, True], "control"),
)

CASES = (
    *CONTROLS,
    # ---------------------------------------------------------------------------------------- whole numbers
    case("int8 ends", pa.int8(), [-128, 127], "the smallest type is widened, or wraps"),
    case("int64 ends", I64, [2**63 - 1, -2**63], "beyond the 53 bits of a double"),
    case("2^53 + 1", I64, [2**53 + 1], "the first integer a double cannot hold"),
    case("2^53 + 1 and NULL", I64, [2**53 + 1, None], "a NULL makes numpy turn the column into doubles"),
    case("uint64 max", pa.uint64(), [2**64 - 1], "no signed 64-bit type holds it"),
    case("uint32 max", pa.uint32(), [2**32 - 1], "Parquet had no unsigned types for long"),
    case("2^100", INT128, [2**100], "larger than any usual integer"),
    case("booleans and NULL", pa.bool_(), [True, None, False], "three states, two bits of meaning"),
    # ---------------------------------------------------------------------------------------- floats
    case("float32 0.1", pa.float32(), [np.float32(0.1)], "0.1 as float32 is not 0.1 as double"),
    case("awkward doubles", F64, [0.1 + 0.2, 5e-324, 1.7976931348623157e308], "needs 17 digits; smallest and largest"),
    case("minus zero", F64, [-0.0], "equal to zero and not the same"),
    case("NaN and NULL", F64, [float("nan"), None, 1.5], "two kinds of nothing"),
    case("infinities", F64, [float("inf"), float("-inf")], "no JSON, and a CSV sniffer's riddle"),
    # ---------------------------------------------------------------------------------------- decimals
    case("decimal(10,2)", pa.decimal128(10, 2), [D("123.45"), D("-0.01")], "money"),
    case("decimal 0.10", pa.decimal128(4, 2), [D("0.10")], "the trailing zero is part of the value"),
    case("decimal(38,0)", pa.decimal128(38, 0), [D("9" * 38)], "the widest"),
    case("decimal(38,18)", pa.decimal128(38, 18), [D("12345678901234567890.123456789012345678")], "a token amount"),
    case("decimal and NULL", pa.decimal128(10, 1), [D("1.5"), None], "a hole turns some into floats"),
    # ---------------------------------------------------------------------------------------- text
    case("empty text and NULL", TEXT, ["", None, "x"], "nothing, and nothing known"),
    case("text NULL, NA, nan", TEXT, ["NULL", "NA", "nan", "None"], "a surname, a country code: Null and Namibia"),
    case("leading zeros, 1e5, 0x10", TEXT, ["007", "1e5", "0x10"], "part numbers that look like numbers"),
    case("ZIP codes", TEXT, ["00731", "04102"], "Puerto Rico and Maine"),
    case("text true, false", TEXT, ["true", "false"], "looks like a boolean"),
    case("text like dates", TEXT, ["2024-01-02", "2024-02-01"], "looks like a date"),
    case("é composed and not", TEXT, ["\u00e9", "e\u0301"], "equal to the eye, not to a computer"),
    case("emoji", TEXT, ["\U0001F600", "\U0001F468\u200d\U0001F469\u200d\U0001F467"], "outside the basic plane"),
    case("a NUL inside", TEXT, ["a\x00b"], "the end of a C string"),
    case("quotes and line ends", TEXT, ['a"b', "c\nd", "e,f", "g'h", "i\rj", "k\r\nl"], "the syntax of CSV"),
    case("padding", TEXT, ["ab   ", "  cd"], "trimmed by somebody"),
    case("BOM and control", TEXT, ["\ufeffx", "\u0085", "\x1f"], "invisible characters"),
    # ---------------------------------------------------------------------------------------- bytes, ids
    case("bytes", pa.binary(), [b"caf\xe9", b"\xff\x00\xfe"], "not valid UTF-8"),
    case("empty bytes and NULL", pa.binary(), [b"", None], "nothing, and nothing known"),
    case("uuid", UUID, [uuid.UUID("12345678-1234-5678-1234-567812345678")], "text, bytes or a type of its own"),
    # ---------------------------------------------------------------------------------------- dates and times
    case("dates before 1970", DATE, [dt.date(1969, 12, 31), dt.date(1900, 2, 28)], "negative days; Excel's leap year"),
    case("dates before 1582", DATE, [dt.date(1582, 10, 14), dt.date(1001, 1, 1)], "two calendars"),
    case("first and last date", DATE, [dt.date(1, 1, 1), dt.date(9999, 12, 31)], "outside ns range"),
    case("Christmas 1899", DATE, [dt.date(1899, 12, 25)], "before day 0 of a spreadsheet"),
    case("date and NULL", DATE, [dt.date(2024, 2, 29), None], "a leap day, and a hole"),
    case("timestamp us", US, [instant("2024-03-10T02:30:00.123456"), None], "an hour that was skipped"),
    case("timestamp ms", pa.timestamp("ms"), [instant("2024-03-10T02:30:00.123")], "a unit of its own"),
    case("timestamp ns", pa.timestamp("ns"), [instant("2024-03-10T02:30:00.123456", 789)], "three digits more"),
    case("timestamp before 1970", US, [instant("1969-12-31T23:59:59.999999")], "rounding towards zero adds a second"),
    case("timestamp 1500", US, [instant("1500-01-01T00:00:00")], "outside 64 bits of ns"),
    case("timestamp year 1", US, [instant("0001-01-01T00:00:00")], "the first moment Python has"),
    case("timestamp 9999", US, [instant("9999-12-31T23:59:59.999999")], "somebody's idea of never"),
    case("timestamp UTC", pa.timestamp("us", "UTC"), [instant("2024-06-01T12:00:00", zone="UTC")], "with a zone"),
    case("timestamp New York", pa.timestamp("us", "America/New_York"),
         [instant("2024-11-03T01:30:00", zone="America/New_York")], "an hour that happened twice"),
    case("time", pa.time64("us"), [dt.time(12, 34, 56, 789012)], "a time of day is not a moment"),
    case("duration", pa.duration("us"), [dt.timedelta(days=1, microseconds=1)], "a day and a microsecond"),
    # ---------------------------------------------------------------------------------------- nested
    case("lists", pa.list_(I64), [[1, None, 3], [], None], "NULL inside, empty, and none"),
    case("struct", pa.struct([("a", I64), ("b", TEXT)]), [{"a": 1, "b": None}, None], "NULL inside, and none"),
    case("map text to int", pa.map_(TEXT, I64), [Mapping([("a", 1), ("b", None)])], "a map is not a struct"),
    case("map int to text", pa.map_(I64, TEXT), [Mapping([(1, "x"), (2, "y")])], "keys that are not text"),
    case("list of structs", pa.list_(pa.struct([("a", I64)])), [[{"a": 1}, {"a": 2}]], "two levels deep"),
    # ---------------------------------------------------------------------------------------- names and shapes
    named("names Id, ID2", [("Id", [1]), ("ID2", [2])], "who folds case?"),
    named("names a, A", [("a", [1]), ("A", [2])], "the same name to SQL and to Excel"),
    named("names x, x", [("x", [1]), ("x", [2])], "the same name to everybody"),
    named("names a.b, c d", [("a.b", [1]), ("c d", [2])], "a path? two words?"),
    named("no name", [("", [1])], "an empty name"),
    case("all NULL", pa.null(), [None, None], "a column without a type"),
    named("one column with NULL", [("v", [1, None, 3])], "in CSV, an empty line"),
    case("no rows", I64, [], "a table of nothing"),
)

# Medium, writer, reader and case of fifteen cells worth a look; what happens in each depends on the versions.
STRIKING = (
    ("parquet", "pandas", "pandas", "2^53 + 1 and NULL"),
    ("parquet", "duckdb", "pyarrow", "duration"),
    ("parquet", "pandas", "pyarrow", "NaN and NULL"),
    ("csv", "duckdb", "duckdb", "infinities"),
    ("csv", "polars", "pandas", "one column with NULL"),
    ("csv", "csv", "pandas", "ZIP codes"),
    ("csv", "polars", "pandas", "text NULL, NA, nan"),
    ("csv", "duckdb", "duckdb", "decimal(38,18)"),
    ("csv", "duckdb", "csv", "empty text and NULL"),
    ("json", "pandas", "json", "awkward doubles"),
    ("json", "pandas", "json", "uuid"),
    ("json", "json", "node", "2^53 + 1"),
    ("xlsx", "openpyxl", "polars", "Christmas 1899"),
    ("xlsx", "polars", "openpyxl", "Christmas 1899"),
    ("xlsx", "openpyxl", "openpyxl", "timestamp before 1970"),
)
