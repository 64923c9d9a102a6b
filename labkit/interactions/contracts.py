"""What a contract brings back, and what it cannot: the same CSV files, read by guessing and read by declared types."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.csv

from labkit.interactions import engines, systems
from labkit.interactions.cases import CASES, Case
from labkit.interactions.engines import CannotHold, Table
from labkit.interactions.judge import VERDICTS, judge
from labkit.interactions.promises import catch, messages, service, table
from labkit.interactions.worker import error

__all__ = ["Effect", "avro_resolution", "catch", "csv_effect", "messages", "read_declared", "service", "table"]


def declarable(case: Case) -> bool:
    """Whether a CSV contract can state the types at all: flat, and not raw bytes."""
    return all(isinstance(c.type, pa.DataType) and not pa.types.is_nested(c.type) and not pa.types.is_null(c.type)
               and not pa.types.is_binary(c.type) for c in case.columns)


def read_declared(case: Case, path: str | Path) -> Table:
    """Read a CSV file with the case's own types: no guessing, empty means NULL, and quoted means text."""
    convert = pa.csv.ConvertOptions(column_types={c.name: c.type for c in case.columns}, null_values=[""],
                                    strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    return engines.from_arrow(pa.csv.read_csv(str(path), convert_options=convert, parse_options=parse))


@dataclass(frozen=True)
class Effect:
    """Verdicts on the same files by reader, and the losses that remain under the contract.

    left: (writer, case, why)
    """

    counts: dict[str, dict[str, int]]
    left: tuple[tuple[str, str, str], ...]


def csv_effect(cases: tuple[Case, ...] = CASES) -> Effect:
    """Every CSV writer's files, read with each library's defaults, and with declared types."""
    writers = [s for s in systems.ALL if s.medium == "csv" and s.writer and s.name != "csv"]
    readers = [s for s in systems.ALL if s.medium == "csv" and s.reader and s.name != "csv"]
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*(s.name for s in readers), "declared types")}
    left = []
    with tempfile.TemporaryDirectory() as folder:
        for writer in writers:
            for case in filter(declarable, cases):
                path = Path(folder) / "table.csv"
                try:
                    writer.write(case, path)
                except (CannotHold, Exception):
                    continue
                for reader in readers:
                    counts[reader.name][_verdict(case, reader.read, path)[0]] += 1
                verdict, why = _verdict(case, partial(read_declared, case), path)
                counts["declared types"][verdict] += 1
                if verdict == "silent_loss":
                    left.append((writer.name, case.name, why))
    return Effect({name: {verdict: count[verdict] for verdict in VERDICTS} for name, count in counts.items()},
                  tuple(left))


def _verdict(case: Case, read: Callable[[Path], Table], path: Path) -> tuple[str, str]:
    try:
        return judge(case, read(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:
        return "read_error", error(e)


# ------------------------------------------------------------------------------------------------ Avro resolution
WRITTEN = {"type": "record", "name": "order",
           "fields": [{"name": "id", "type": "long"}, {"name": "amount", "type": "float"}]}
RECORD = {"id": 2**40, "amount": 0.5}
READERS: dict[str, list[dict[str, Any]]] = {
    "the same schema": [{"name": "id", "type": "long"}, {"name": "amount", "type": "float"}],
    "promote float to double": [{"name": "id", "type": "long"}, {"name": "amount", "type": "double"}],
    "narrow long to int": [{"name": "id", "type": "int"}, {"name": "amount", "type": "float"}],
    "rename amount to total": [{"name": "id", "type": "long"}, {"name": "total", "type": "float"}],
    "rename, with an alias": [{"name": "id", "type": "long"},
                              {"name": "total", "type": "float", "aliases": ["amount"]}],
    "a new field": [{"name": "id", "type": "long"}, {"name": "currency", "type": "string"}],
    "a new field, with a default": [{"name": "id", "type": "long"},
                                    {"name": "currency", "type": "string", "default": "EUR"}],
}


def avro_resolution() -> dict[str, str]:
    """What a reader with another schema makes of a record, by Avro's resolution rules: a value or an error."""
    written = fastavro.parse_schema(WRITTEN)
    return {name: _resolve(written, fields) for name, fields in READERS.items()}


def _resolve(written: Any, fields: list[dict[str, Any]]) -> str:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, written, RECORD)
    buffer.seek(0)
    try:
        reader = fastavro.parse_schema({"type": "record", "name": "order", "fields": fields})
        return str(fastavro.schemaless_reader(buffer, written, reader))
    except Exception as e:
        return error(e)
