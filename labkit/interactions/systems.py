"""Real readers and writers behind one small interface, each through its library's ordinary default call."""

from __future__ import annotations

import csv
import functools
import importlib.metadata
import importlib.util
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import msgpack
import msgspec
import openpyxl
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet

from labkit.interactions import engines
from labkit.interactions.cases import UUID, Case
from labkit.interactions.engines import CannotHold, Table, as_text, quoted, records
from labkit.interactions.values import plain

# "lines" is one JSON object a line: what all of these libraries read and write by default or with one argument
MEDIA = {"parquet": ".parquet", "arrow": ".arrow", "csv": ".csv", "json": ".jsonl", "sqlite": ".db", "avro": ".avro",
         "msgpack": ".msgpack", "xlsx": ".xlsx"}


@dataclass(frozen=True)
class System:
    """A library on a medium: `write(table, path)` and `read(path)`, either of which it may lack.

    wrote, reads: the line of code that does it, as a user would type it.
    """

    name: str
    medium: str
    wrote: str = ""
    reads: str = ""
    writer: Callable[[Case, str], object] | None = None
    reader: Callable[[str], Table] | None = None

    def write(self, table: Case, path: str | Path) -> None:
        """Write the table. Raises what the library raises, or CannotHold if it has no such type."""
        assert self.writer is not None, f"{self.name} does not write {self.medium} here"
        self.writer(table, str(path))

    def read(self, path: str | Path) -> Table:
        """Column names, and per column its values in the common form. Raises what the library raises."""
        assert self.reader is not None, f"{self.name} does not read {self.medium} here"
        return self.reader(str(path))


def _query(path: str) -> Table:
    return engines.from_duckdb(f"SELECT * FROM '{path}'")


def _copy(form: str) -> Callable[[Case, str], object]:
    def write(case: Case, path: str) -> None:
        engines.database().execute(f"COPY ({engines.to_duckdb(case)}) TO '{path}' (FORMAT {form})")
    return write


def _lines(path: str) -> list[str]:
    return [line for line in Path(path).read_text(encoding="utf-8").split("\n") if line]


# ------------------------------------------------------------------------------------------------ csv, json
def _csv_write(case: Case, path: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([case.names, *[[engines.python(value) for value in row] for row in case.rows]])


def _csv_read(path: str) -> Table:
    with open(path, newline="", encoding="utf-8") as file:
        names, *rows = list(csv.reader(file))
    return names, [[plain(row[i]) for row in rows] for i in range(len(names))]


def _json_write(case: Case, path: str) -> None:
    Path(path).write_text("\n".join(json.dumps(row, default=as_text) for row in records(case)), encoding="utf-8")


def _orjson_write(case: Case, path: str) -> None:
    rows = [orjson.dumps(row, default=as_text, option=orjson.OPT_NON_STR_KEYS) for row in records(case)]
    Path(path).write_bytes(b"\n".join(rows))


def _msgspec_write(case: Case, path: str) -> None:
    Path(path).write_bytes(b"\n".join(msgspec.json.encode(row) for row in records(case)))


NODE = """require('readline').createInterface({input: process.stdin}).on('line', l => {
  const fs = require('fs'), [i, o] = l.split('\\t');
  try {
    const rows = fs.readFileSync(i, 'utf8').split('\\n').filter(x => x).map(x => JSON.parse(x));
    fs.writeFileSync(o, rows.map(x => JSON.stringify(x)).join('\\n')); console.log('ok');
  } catch (e) { console.log('error ' + e.message.split('\\n')[0]); }
});"""


@functools.cache
def _node() -> subprocess.Popen[str]:
    """One Node for the whole process; it ends when our end of its input is closed."""
    return subprocess.Popen(["node", "-e", NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _node_read(path: str) -> Table:
    node = _node()
    assert node.stdin and node.stdout
    node.stdin.write(f"{path}\t{path}.node\n")
    node.stdin.flush()
    answer = node.stdout.readline().strip()
    if answer != "ok":
        raise ValueError(f"node: {answer}")
    return engines.from_records([json.loads(line) for line in _lines(path + ".node")])


# ------------------------------------------------------------------------------------------------ sqlite
def _sqlite_write(case: Case, path: str) -> None:
    if len({name.lower() for name in case.names}) < len(case.names):
        raise CannotHold("SQLite has no two columns of one name")
    columns = ", ".join(f"{quoted(c.name)} {engines.sql_type(c.type).split('(')[0]}" for c in case.columns)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        marks = ",".join("?" * len(case.columns))
        connection.executemany(f"INSERT INTO t VALUES ({marks})", [list(map(engines.python, row)) for row in case.rows])


def _sqlite_read(path: str) -> Table:
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute("SELECT * FROM t")
        names, rows = [d[0] for d in cursor.description], cursor.fetchall()
    return names, [[plain(row[i]) for row in rows] for i in range(len(names))]


def _pandas_sql_write(case: Case, path: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        engines.to_pandas(case).to_sql("t", connection, index=False)


def _pandas_sql_read(path: str) -> Table:
    with closing(sqlite3.connect(path)) as connection:
        return engines.from_pandas(pd.read_sql("SELECT * FROM t", connection))


# ------------------------------------------------------------------------------------------------ avro
_AVRO = {"int8": "int", "int64": "long", "uint32": "long", "uint64": "long", "bool": "boolean", "float": "float",
         "double": "double", "string": "string", "binary": "bytes", "null": "null",
         "date32[day]": {"type": "int", "logicalType": "date"},
         "time64[us]": {"type": "long", "logicalType": "time-micros"},
         UUID: {"type": "string", "logicalType": "uuid"}}


def avro_type(kind: Any, name: str = "row") -> Any:
    """The Avro type a careful author of a schema would choose; CannotHold if there is none."""
    if str(kind) in _AVRO:
        return _AVRO[str(kind)]
    if not isinstance(kind, pa.DataType) or pa.types.is_duration(kind):
        raise CannotHold(f"Avro has no type for {kind}")
    if pa.types.is_timestamp(kind):
        unit = {"ms": "millis", "us": "micros", "ns": "nanos"}[kind.unit]
        return {"type": "long", "logicalType": f"{'' if kind.tz else 'local-'}timestamp-{unit}"}
    if pa.types.is_decimal(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if pa.types.is_list(kind):
        return {"type": "array", "items": ["null", avro_type(kind.value_type, name + "_item")]}
    if pa.types.is_map(kind):
        if not pa.types.is_string(kind.key_type):
            raise CannotHold("the keys of an Avro map are texts")
        return {"type": "map", "values": ["null", avro_type(kind.item_type, name + "_value")]}
    fields = [{"name": f.name, "type": ["null", avro_type(f.type, f"{name}_{f.name}")]} for f in kind]
    return {"type": "record", "name": name, "fields": fields}


def avro_schema(case: Case) -> dict[str, Any]:
    kinds = [(column.name, avro_type(column.type, f"row_{i}")) for i, column in enumerate(case.columns)]
    return {"type": "record", "name": "row",
            "fields": [{"name": name, "type": kind if kind == "null" else ["null", kind]} for name, kind in kinds]}


def _avro_write(case: Case, path: str) -> None:
    schema, rows = fastavro.parse_schema(avro_schema(case)), records(case)
    with open(path, "wb") as file:
        fastavro.writer(file, schema, rows)


def _avro_read(path: str) -> Table:
    with open(path, "rb") as file:
        return engines.from_records(list(fastavro.reader(file)))


# ------------------------------------------------------------------------------------------------ spreadsheets
def _xlsx_write(case: Case, path: str) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (case.names, *case.rows):
        sheet.append([engines.python(value) for value in row])
    book.save(path)


def _xlsx_read(path: str) -> Table:
    book = openpyxl.load_workbook(path, data_only=True)
    names, *rows = list(book.active.iter_rows(values_only=True))
    return [str(name) for name in names], [[plain(row[i]) for row in rows] for i in range(len(names))]


# ------------------------------------------------------------------------------------------------ all of them
def _pandas_write(method: str, **options: Any) -> Callable[[Case, str], object]:
    return lambda case, path: getattr(engines.to_pandas(case), method)(path, **options)


def _polars_write(method: str) -> Callable[[Case, str], object]:
    return lambda case, path: getattr(engines.to_polars(case), method)(path)


ALL: tuple[System, ...] = (
    System("pandas", "parquet", "df.to_parquet(path)", "pd.read_parquet(path)", _pandas_write("to_parquet"),
           lambda p: engines.from_pandas(pd.read_parquet(p))),
    System("pyarrow", "parquet", "pq.write_table(table, path)", "pq.read_table(path)",
           lambda c, p: pa.parquet.write_table(engines.to_arrow(c), p),
           lambda p: engines.from_arrow(pa.parquet.read_table(p))),
    System("polars", "parquet", "df.write_parquet(path)", "pl.read_parquet(path)", _polars_write("write_parquet"),
           lambda p: engines.from_polars(pl.read_parquet(p))),
    System("duckdb", "parquet", "COPY (...) TO 'path' (FORMAT parquet)", "SELECT * FROM 'path'", _copy("parquet"),
           _query),
    System("pandas", "arrow", "df.to_feather(path)", "pd.read_feather(path)", _pandas_write("to_feather"),
           lambda p: engines.from_pandas(pd.read_feather(p))),
    System("pyarrow", "arrow", "feather.write_feather(table, path)", "feather.read_table(path)",
           lambda c, p: pa.feather.write_feather(engines.to_arrow(c), p, compression="uncompressed"),
           lambda p: engines.from_arrow(pa.feather.read_table(p))),
    System("polars", "arrow", "df.write_ipc(path)", "pl.read_ipc(path)", _polars_write("write_ipc"),
           lambda p: engines.from_polars(pl.read_ipc(p))),
    System("csv", "csv", "csv.writer(file).writerows(rows)", "csv.reader(file)", _csv_write, _csv_read),
    System("pandas", "csv", "df.to_csv(path, index=False)", "pd.read_csv(path)", _pandas_write("to_csv", index=False),
           lambda p: engines.from_pandas(pd.read_csv(p))),
    System("polars", "csv", "df.write_csv(path)", "pl.read_csv(path, try_parse_dates=True)", _polars_write("write_csv"),
           lambda p: engines.from_polars(pl.read_csv(p, try_parse_dates=True))),
    System("duckdb", "csv", "COPY (...) TO 'path' (FORMAT csv)", "SELECT * FROM 'path'", _copy("csv"), _query),
    System("pyarrow", "csv", "pacsv.write_csv(table, path)", "pacsv.read_csv(path)",
           lambda c, p: pa.csv.write_csv(engines.to_arrow(c), p), lambda p: engines.from_arrow(pa.csv.read_csv(p))),
    System("json", "json", "json.dumps(row, default=as_text)", "json.loads(line)", _json_write,
           lambda p: engines.from_records([json.loads(line) for line in _lines(p)])),
    System("orjson", "json", "orjson.dumps(row, default=as_text)", "orjson.loads(line)", _orjson_write,
           lambda p: engines.from_records([orjson.loads(line) for line in _lines(p)])),
    System("msgspec", "json", "msgspec.json.encode(row)", "msgspec.json.decode(line)", _msgspec_write,
           lambda p: engines.from_records([msgspec.json.decode(line) for line in _lines(p)])),
    System("pandas", "json", 'df.to_json(path, orient="records", lines=True)', "pd.read_json(path, lines=True)",
           _pandas_write("to_json", orient="records", lines=True),
           lambda p: engines.from_pandas(pd.read_json(p, lines=True))),
    System("polars", "json", "df.write_ndjson(path)", "pl.read_ndjson(path)", _polars_write("write_ndjson"),
           lambda p: engines.from_polars(pl.read_ndjson(p))),
    System("duckdb", "json", "COPY (...) TO 'path' (FORMAT json)", "SELECT * FROM read_json('path')", _copy("json"),
           lambda p: engines.from_duckdb(f"SELECT * FROM read_json('{p}')")),
    System("pyarrow", "json", reads="pajson.read_json(path)",
           reader=lambda p: engines.from_arrow(pa.json.read_json(p))),
    System("node", "json", reads="JSON.parse(line), JSON.stringify(row)", reader=_node_read),
    System("sqlite3", "sqlite", "db.executemany('INSERT INTO t ...', rows)", "db.execute('SELECT * FROM t')",
           _sqlite_write, _sqlite_read),
    System("pandas", "sqlite", 'df.to_sql("t", db)', 'pd.read_sql("SELECT * FROM t", db)', _pandas_sql_write,
           _pandas_sql_read),
    System("fastavro", "avro", "fastavro.writer(file, schema, rows)", "fastavro.reader(file)", _avro_write, _avro_read),
    System("polars", "avro", "df.write_avro(path)", "pl.read_avro(path)", _polars_write("write_avro"),
           lambda p: engines.from_polars(pl.read_avro(p))),
    System("msgpack", "msgpack", "msgpack.packb(rows, datetime=True)", "msgpack.unpackb(data, strict_map_key=False)",
           lambda c, p: Path(p).write_bytes(msgpack.packb(records(c), datetime=True)),
           lambda p: engines.from_records(msgpack.unpackb(Path(p).read_bytes(), strict_map_key=False))),
    System("msgspec", "msgpack", "msgspec.msgpack.encode(rows)", "msgspec.msgpack.decode(data)",
           lambda c, p: Path(p).write_bytes(msgspec.msgpack.encode(records(c))),
           lambda p: engines.from_records(msgspec.msgpack.decode(Path(p).read_bytes()))),
    System("openpyxl", "xlsx", "sheet.append(row)", "openpyxl.load_workbook(path)", _xlsx_write, _xlsx_read),
    System("pandas", "xlsx", "df.to_excel(path, index=False)", "pd.read_excel(path)",
           _pandas_write("to_excel", index=False), lambda p: engines.from_pandas(pd.read_excel(p))),
    System("polars", "xlsx", "df.write_excel(path)", "pl.read_excel(path)", _polars_write("write_excel"),
           lambda p: engines.from_polars(pl.read_excel(p))),
    System("fastparquet", "parquet", 'df.to_parquet(path, engine="fastparquet")',
           'pd.read_parquet(path, engine="fastparquet")', _pandas_write("to_parquet", engine="fastparquet"),
           lambda p: engines.from_pandas(pd.read_parquet(p, engine="fastparquet"))),
)


def available() -> tuple[System, ...]:
    """Those that are installed here; node and fastparquet are welcome and not needed."""
    missing = {"node"} if shutil.which("node") is None else set()
    missing |= {"fastparquet"} if importlib.util.find_spec("fastparquet") is None else set()
    return tuple(system for system in ALL if system.name not in missing)


def versions() -> dict[str, str]:
    """Installed version of each library, as it belongs beside any result."""
    names = ("pandas", "pyarrow", "polars", "duckdb", "fastavro", "orjson", "msgspec", "msgpack", "openpyxl",
             "fastparquet", "xlsxwriter", "fastexcel", "numpy")
    found = {}
    for name in names:
        if importlib.util.find_spec(name):
            found[name] = importlib.metadata.version(name)
    return found


