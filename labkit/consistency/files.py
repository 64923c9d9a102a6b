"""Histories in files: our own JSON lines, CSV, and what Jepsen, Knossos, Maelstrom and Porcupine write."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.consistency.jepsen import TRANSACTIONS, Loaded, from_edn, from_log, frozen, model_of
from labkit.consistency.operation import ANSWERS, Operation

FIELDS = "process, kind, args, result, invoked and returned"
COLUMNS = ("process", "kind", "args", "key", "value", "expected", "result", "invoked", "returned")
ALSO = {"client": "process", "thread": "process", "f": "kind", "op": "kind", "operation": "kind", "input": "value",
        "new": "value", "old": "expected", "output": "result", "start": "invoked", "call": "invoked",
        "begin": "invoked", "end": "returned", "return": "returned", "finish": "returned"}
NEEDED = ("process", "kind", "invoked", "returned")
VALUED = {"write": ("value",), "put": ("value",), "append": ("value",), "cas": ("expected", "value"),
          "enqueue": ("value",), "add": ("value",), "remove": ("value",)}
KEYED = ("get", "put", "append", "delete")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def dump(history: Iterable[Operation], path: str | Path) -> None:
    """Write one JSON object a line; a call that never came back has `"returned": null`."""
    lines = []
    for o in history:
        row = {"process": o.process, "kind": o.kind, "args": list(o.args), "result": o.result,
               "invoked": o.invoked, "returned": None if o.crashed else o.returned}
        lines.append(json.dumps(row))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: str | Path) -> list[Operation]:
    """The operations of a file in any of the formats of `loaded`."""
    return loaded(path).operations


def loaded(path: str | Path) -> Loaded:
    """Read a history; the text tells the format. ValueError names the file and the line that is wrong.

    JSON lines as `dump` writes them. CSV with a head line of the columns process, kind, invoked, returned (empty: it
    never came back) and, as the kinds need them, key, value, expected, result, or args as a JSON list; cells are JSON
    where they can be, else text; other usual names of the columns are known too. EDN as Jepsen, Knossos and Maelstrom
    write it in `history.edn`, and Porcupine in its kv set: a vector of maps or a map a line. Lines
    `INFO  jepsen.util - 0 :invoke :write 3`, as in Porcupine's etcd set.
    """
    name, raw = Path(path).name, Path(path).read_bytes()
    if raw.startswith(UTF_16):
        raise ValueError(f"{name}, byte 0: this is UTF-16; save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}, line {line}, byte {error.start}: this is not UTF-8 text") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{name}, line {line}: this is not text, or not UTF-8")
    found: Loaded = _reader(text)(text, name)
    if not found.entries:
        raise ValueError(f"{name}: there is no operation in it")
    return found


def parse(text: str, name: str = "history") -> list[Operation]:
    """Operations from text in the format of `dump`. Blank lines and lines that start with # are skipped.

    >>> parse('{"process": 1, "kind": "read", "args": [], "result": 7, "invoked": 0, "returned": 2}')[0].result
    7
    """
    return from_jsonl(text, name).operations


def _reader(text: str) -> Any:
    """Which format is it, by its first line with something on it?"""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith(("# ", "##")) and line != "#"), "")
    if first.startswith("INFO"):
        return from_log
    if first.startswith(('{"', "{ ", "{'")) or first in ("{", "{}"):
        return from_jsonl
    if first.startswith(("{", "[", "(", ";", "#")):
        return from_jsonl if _is_json(first) else from_edn
    return from_csv if "," in first and _column(first.split(",")[0]) in COLUMNS else from_jsonl


def _column(word: str) -> str:
    name = word.strip().strip('"').lower()
    return ALSO.get(name, name)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def from_jsonl(text: str, name: str) -> Loaded:
    """One JSON object a line, as `dump` writes them."""
    operations, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{name}, line {number}"
        try:
            row = json.loads(line, parse_constant=_no_number)
            operations.append(_from_row(row, place))
            lines.append(number)
        except (ValueError, RecursionError) as error:
            if str(error).startswith(place):
                raise
            raise ValueError(f"{place}: one JSON object with {FIELDS} is wanted ({error})") from None
    return Loaded(operations, lines, model_of(operations), len(operations))


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON; a call that never came back has \"returned\": null")


def _from_row(row: Any, place: str) -> Operation:
    if not isinstance(row, dict):
        raise ValueError(f"{place}: one JSON object with {FIELDS} is wanted, not {_short(row)}")
    for field in ("process", "kind", "args", "invoked", "returned"):
        if field not in row:
            raise ValueError(f"{place}: one JSON object with {FIELDS} is wanted ({field!r} is missing)")
    kind, args, returned = row["kind"], row["args"], row["returned"]
    if not isinstance(args, list):
        raise ValueError(f"{place}: args = {_short(args)}: must be a list")
    if kind == "txn":
        raise ValueError(f"{place}: {TRANSACTIONS}")
    if kind in ANSWERS and returned is not None and "result" not in row:
        raise ValueError(f"{place}: 'result' is missing; a {kind} that returned has one (null if that was the answer)")
    for field in ("invoked", "returned"):
        time = row[field]
        if (time is not None or field == "invoked") and (
                isinstance(time, bool) or not isinstance(time, (int, float)) or not abs(time) < math.inf):
            raise ValueError(f"{place}: {field} = {_short(time)}: must be a number"
                             + (", or null if the call never came back" if field == "returned" else ""))
    process, result = frozen(row["process"]), frozen(row.get("result"))
    return Operation(process, kind, tuple(map(frozen, args)), result, row["invoked"],
                     math.inf if returned is None else returned)


def from_csv(text: str, name: str) -> Loaded:
    """A head line with the names of the columns, then one call a line."""
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    head = [_column(column) for column in next(rows)]
    for column in head:
        if column not in COLUMNS:
            raise ValueError(f"{name}, line 1: column {column!r}; the columns are {', '.join(COLUMNS)}")
    if len(set(head)) < len(head):
        raise ValueError(f"{name}, line 1: a column is there twice: {', '.join(head)}")
    for column in NEEDED:
        if column not in head:
            raise ValueError(f"{name}, line 1: column {column!r} is missing")
    operations, lines = [], []
    try:
        for cells in rows:
            place = f"{name}, line {rows.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                raise ValueError(f"{place}: {len(cells)} cells under {len(head)} columns")
            operations.append(_from_cells(dict(zip(head, map(str.strip, cells), strict=True)), place))
            lines.append(rows.line_num)
    except csv.Error as error:
        raise ValueError(f"{name}, line {rows.line_num}: {error}") from None
    return Loaded(operations, lines, model_of(operations), len(operations))


def _from_cells(row: dict[str, str], place: str) -> Operation:
    kind, args = row["kind"], list[Any]()
    if row.get("args"):
        listed = _cell(row, "args", kind, place)
        args += listed if isinstance(listed, tuple) else [listed]
    else:
        if kind in KEYED or (kind == "cas" and row.get("key")):
            args.append(_cell(row, "key", kind, place))
        args += [_cell(row, column, kind, place) for column in VALUED.get(kind, ())]
    invoked, returned = _time(row, "invoked", place), _time(row, "returned", place)
    answers = kind in ANSWERS and returned < math.inf
    result = _cell(row, "result", kind, place) if answers else None
    process = _cell(row, "process", kind, place)
    return Operation(process, kind, tuple(args), result, invoked, returned)


def _cell(row: dict[str, str], column: str, kind: str, place: str) -> Any:
    """A value: JSON if it can be, else the text."""
    word = row.get(column, "")
    if not word:
        raise ValueError(f"{place}: a {kind} needs a {column}" + (" (null for none, \"\" for an empty text)"
                                                                  if column in ("result", "value") else ""))
    try:
        return frozen(json.loads(word, parse_constant=_no_number))
    except ValueError:
        return word


def _time(row: dict[str, str], column: str, place: str) -> float:
    word = row[column]
    if not word and column == "returned":
        return math.inf
    try:
        time: float = int(word) if word.lstrip("-").isdigit() else float(word)
    except ValueError:
        time = math.nan
    if not -math.inf < time < math.inf:
        raise ValueError(f"{place}: {column} = {word!r}: must be a number"
                         + (", or empty if the call never came back" if column == "returned" else ""))
    return time


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
