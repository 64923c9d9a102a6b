"""A case as each library's own table, made the way its users would make it; and its tables as plain values."""

from __future__ import annotations

import base64
import datetime as dt
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from labkit.interactions.cases import INT128, UUID, Case, Column, Type
from labkit.interactions.values import NULL, UNITS, Instant, Mapping, Plain, plain, zone_name

Table = tuple[list[str], list[list[Plain]]]         # column names, and per column its plain values


class CannotHold(Exception):
    """The library has no type for this case, so there is nothing to write; not a failure."""


def is_time(kind: Type) -> bool:
    return isinstance(kind, pa.DataType) and pa.types.is_timestamp(kind)


def python(value: Any) -> Any:
    """The value as a Python programmer would have it in hand."""
    if isinstance(value, Instant):
        if value.ns % 1000:
            raise CannotHold("a Python datetime has no nanoseconds")
        naive = np.datetime64(value.ns // 1000, "us").item()
        return naive if value.zone is None else naive.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(value.zone))
    if isinstance(value, np.float32):
        return float(value)
    return list(value) if isinstance(value, Mapping) else value


# ------------------------------------------------------------------------------------------------ pyarrow
def to_arrow(case: Case) -> pa.Table:
    return pa.Table.from_arrays([_arrow(column) for column in case.columns], names=case.names)


def _arrow(column: Column) -> pa.Array:
    kind, values = column.type, column.values
    if kind == INT128:
        raise CannotHold("Arrow has no 128-bit integer")
    if kind == UUID:
        return pa.array([None if value is None else value.bytes for value in values], pa.uuid())
    if is_time(kind):
        return _ticks(values, kind).cast(kind)
    return pa.array([python(value) for value in values], kind)


def _ticks(values: Sequence[Instant | None], kind: Any) -> pa.Array:
    return pa.array([None if value is None else value.ns // UNITS[kind.unit] for value in values], pa.int64())


def from_arrow(table: pa.Table) -> Table:
    return list(table.column_names), [_from_arrow(table.column(i)) for i in range(table.num_columns)]


def _from_arrow(column: Any) -> list[Plain]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        zone = zone_name(kind.tz) if kind.tz else None
        return [NULL if tick is None else ("timestamp", tick * UNITS[kind.unit], zone)
                for tick in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_float32(kind):
        return [NULL if value is None else plain(np.float32(value)) for value in column.to_pylist()]
    if pa.types.is_map(kind):
        return [NULL if value is None else plain(Mapping(value)) for value in column.to_pylist()]
    return [plain(value) for value in column.to_pylist()]


# ------------------------------------------------------------------------------------------------ pandas
def to_pandas(case: Case) -> pd.DataFrame:
    """As pandas infers it from the values, with the stated type where numpy has one."""
    frame = pd.concat([_series(column) for column in case.columns], axis=1)
    frame.columns = pd.Index(case.names)
    return frame


def _series(column: Column) -> pd.Series[Any]:
    kind, values = column.type, column.values
    if is_time(kind):
        unit = UNITS[kind.unit]
        ticks = [np.datetime64("NaT") if v is None else np.datetime64(v.ns // unit, kind.unit) for v in values]
        series: Any = pd.Series(np.array(ticks, f"datetime64[{kind.unit}]"))
        return pd.Series(series.dt.tz_localize("UTC").dt.tz_convert(kind.tz) if kind.tz else series)
    numeric = isinstance(kind, pa.DataType) and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    if numeric and None not in values:
        numbers: pd.Series[Any] = pd.Series(list(values), dtype=kind.to_pandas_dtype())
        return numbers
    return pd.Series([python(value) for value in values])


def from_pandas(frame: pd.DataFrame) -> Table:
    return [str(name) for name in frame.columns], [_from_series(frame.iloc[:, i]) for i in range(frame.shape[1])]


def _from_series(series: pd.Series[Any]) -> list[Plain]:
    kind = str(series.dtype)
    exact = (kind.startswith(("datetime64", "timedelta64")) and "," not in kind) or kind == "float32"
    values = list(series.to_numpy()) if exact else series.tolist()
    missing = not pd.api.types.is_float_dtype(series.dtype)         # there, NaN is the only sign for "nothing known"
    return [NULL if missing and isinstance(v, float) and math.isnan(v) else plain(v) for v in values]


# ------------------------------------------------------------------------------------------------ polars
_POLARS = {"int8": pl.Int8, "int64": pl.Int64, "uint64": pl.UInt64, "uint32": pl.UInt32, "bool": pl.Boolean,
           "float": pl.Float32, "double": pl.Float64, "string": pl.String, "binary": pl.Binary, "date32[day]": pl.Date,
           "time64[us]": pl.Time, "null": pl.Null, INT128: pl.Int128}


def _polars_type(kind: Any) -> Any:
    if kind == UUID or (isinstance(kind, pa.DataType) and pa.types.is_map(kind)):
        raise CannotHold(f"polars has no type for {kind}")
    if str(kind) in _POLARS:
        return _POLARS[str(kind)]
    if pa.types.is_timestamp(kind):
        return pl.Datetime(kind.unit, kind.tz)
    if pa.types.is_decimal(kind):
        return pl.Decimal(kind.precision, kind.scale)
    if pa.types.is_duration(kind):
        return pl.Duration(kind.unit)
    if pa.types.is_list(kind):
        return pl.List(_polars_type(kind.value_type))
    return pl.Struct([pl.Field(field.name, _polars_type(field.type)) for field in kind])


def to_polars(case: Case) -> pl.DataFrame:
    if len(set(case.names)) < len(case.names):
        raise CannotHold("polars has no two columns of one name")
    return pl.DataFrame([_polars(column) for column in case.columns])


def _polars(column: Column) -> pl.Series:
    kind = _polars_type(column.type)
    if isinstance(kind, pl.Datetime):
        ticks = [None if v is None else v.ns // UNITS[kind.time_unit] for v in column.values]
        series = pl.Series(column.name, ticks, pl.Int64).cast(pl.Datetime(kind.time_unit))
        zone = kind.time_zone
        return series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else series
    return pl.Series(column.name, [python(value) for value in column.values], dtype=kind)


def from_polars(frame: pl.DataFrame) -> Table:
    return frame.columns, [_from_polars(series) for series in frame.get_columns()]


def _from_polars(series: pl.Series) -> list[Plain]:
    kind = series.dtype
    if isinstance(kind, pl.Datetime):
        zone = zone_name(kind.time_zone) if kind.time_zone else None
        return [NULL if tick is None else ("timestamp", tick * UNITS[kind.time_unit], zone)
                for tick in series.to_physical().to_list()]
    if kind == pl.Float32:
        return [NULL if value is None else plain(np.float32(value)) for value in series.to_list()]
    return [plain(value) for value in series.to_list()]


# ------------------------------------------------------------------------------------------------ duckdb
_DUCKDB = {"int8": "TINYINT", "int64": "BIGINT", "uint64": "UBIGINT", "uint32": "UINTEGER", "bool": "BOOLEAN",
           "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR", "binary": "BLOB", "date32[day]": "DATE",
           "time64[us]": "TIME", "null": '"NULL"', INT128: "HUGEINT", UUID: "UUID"}
_connection: Any = None


def database() -> Any:
    """One in-memory DuckDB a process, in UTC."""
    global _connection
    if _connection is None:
        _connection = duckdb.connect()
        _connection.execute("SET TimeZone='UTC'")
    return _connection


def sql_type(kind: Any) -> str:
    """The SQL type of DuckDB, which SQLite takes as an affinity."""
    if str(kind) in _DUCKDB:
        return _DUCKDB[str(kind)]
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else {"us": "TIMESTAMP", "ms": "TIMESTAMP_MS", "ns": "TIMESTAMP_NS"}[kind.unit]
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_duration(kind):
        return "INTERVAL"
    if pa.types.is_list(kind):
        return sql_type(kind.value_type) + "[]"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)},{sql_type(kind.item_type)})"
    return "STRUCT(" + ", ".join(f"{field.name} {sql_type(field.type)}" for field in kind) + ")"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """The value as a SQL literal of DuckDB."""
    if value is None:
        return "NULL"
    if isinstance(value, Instant):
        text = str(np.datetime64(value.ns, "ns") if value.ns % 1000 else np.datetime64(value.ns // 1000, "us"))
        return f"'{text}{'+00' if value.zone else ''}'"
    if isinstance(value, float):
        return f"'{float(value)!r}'"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'"
    if isinstance(value, Mapping):
        return "MAP {" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"'{key}': {literal(item)}" for key, item in value.items()) + "}"
    if hasattr(value, "microseconds"):
        return f"'{value.days} days {value.microseconds} microseconds'"
    pieces = str(value).replace("'", "''").split("\x00")
    return "(" + " || chr(0) || ".join(f"'{piece}'" for piece in pieces) + ")"


def to_duckdb(case: Case) -> str:
    """A query that yields the table."""
    columns = [(quoted(column.name), sql_type(column.type)) for column in case.columns]

    def select(row: Sequence[Any]) -> str:
        cells = (literal(value) if kind == '"NULL"' else f"CAST({literal(value)} AS {kind})"
                 for value, (_, kind) in zip(row, columns, strict=True))
        return "SELECT " + ", ".join(f"{cell} AS {name}" for cell, (name, _) in zip(cells, columns, strict=True))

    if not case.rows:
        return select([None] * len(columns)) + " WHERE false"
    return " UNION ALL ".join(map(select, case.rows))


def from_duckdb(query: str) -> Table:
    answer = database().execute(query)
    names, kinds = [d[0] for d in answer.description], [str(d[1]) for d in answer.description]
    rows = answer.fetchall()
    columns = [[row[i] for row in rows] for i in range(len(names))]
    return names, [[plain(np.float32(v)) if kind == "FLOAT" and v is not None else plain(v) for v in column]
                   for kind, column in zip(kinds, columns, strict=True)]


# ------------------------------------------------------------------------------------------------ rows of Python
def records(case: Case) -> list[dict[str, Any]]:
    """One dict a row, maps as dicts."""
    if len(set(case.names)) < len(case.names):
        raise CannotHold("a dict has no two keys of one name")
    return [{name: dict(value) if isinstance(value, Mapping) else python(value)
             for name, value in zip(case.names, row, strict=True)} for row in case.rows]


def from_records(rows: Sequence[dict[str, Any]], names: Sequence[str] = ("id", "v")) -> Table:
    names = list(rows[0]) if rows else list(names)
    return names, [[plain(row.get(name)) for row in rows] for name in names]


def as_text(value: Any) -> Any:
    """What JSON has no type for, as programmers usually write it: Decimal and dates as text, bytes in base64."""
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return value.isoformat()
