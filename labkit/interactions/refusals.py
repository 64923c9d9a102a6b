"""The error-handling oracle: hand each system something that has no answer, and see who says so."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute

from labkit.interactions.worker import error


@dataclass(frozen=True)
class Refusal:
    """`loud` if the system raised an error; `answer` is what it said, either way."""

    system: str
    question: str
    loud: bool
    answer: str


def _sqlite(query: str, *values: Any) -> Any:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute(query, values).fetchone()[0]
    finally:
        connection.close()


def _stored(kind: str, value: Any, strict: str = "") -> Any:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE t (v {kind}) {strict}")
        connection.execute("INSERT INTO t VALUES (?)", [value])
        return connection.execute("SELECT v FROM t").fetchone()[0]
    finally:
        connection.close()


def _duckdb(query: str) -> Any:
    row = duckdb.connect().execute(query).fetchone()
    return row[0] if row else None


def _node(expression: str) -> str:
    done = subprocess.run(["node", "-p", expression], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()


MAX = 2**63 - 1
QUESTIONS: tuple[tuple[str, str, Callable[[], Any]], ...] = (
    ("numpy", "300 as int8", lambda: np.array([300]).astype("int8").tolist()),
    ("pandas", "300 as int8", lambda: pd.Series([300]).astype("int8").tolist()),
    ("polars", "300 as int8", lambda: pl.Series([300], dtype=pl.Int8).to_list()),
    ("pyarrow", "300 as int8", lambda: pa.array([300], pa.int8()).to_pylist()),
    ("duckdb", "300 as int8", lambda: _duckdb("SELECT CAST(300 AS TINYINT)")),
    ("sqlite3", "300 as int8", lambda: _stored("TINYINT", 300)),
    ("sqlite3", "'abc' as integer", lambda: _stored("INTEGER", "abc")),
    ("sqlite3 STRICT", "'abc' as integer", lambda: _stored("INTEGER", "abc", "STRICT")),
    ("duckdb", "'abc' as integer", lambda: _duckdb("SELECT CAST('abc' AS INTEGER)")),
    ("sqlite3", "'abcdef' as varchar(3)", lambda: _stored("VARCHAR(3)", "abcdef")),
    ("duckdb", "'abcdef' as varchar(3)", lambda: _duckdb("SELECT CAST('abcdef' AS VARCHAR(3))")),
    ("pyarrow", "1.239 as decimal(5,2)", lambda: pa.array([Decimal("1.239")], pa.decimal128(5, 2)).to_pylist()),
    ("polars", "1.239 as decimal(5,2)", lambda: pl.Series([Decimal("1.239")], dtype=pl.Decimal(5, 2)).to_list()),
    ("duckdb", "1.239 as decimal(5,2)", lambda: _duckdb("SELECT CAST('1.239' AS DECIMAL(5,2))")),
    ("sqlite3", "1.239 as decimal(5,2)", lambda: _stored("DECIMAL(5,2)", "1.239")),
    ("pandas", "2^63-1 + 1", lambda: (pd.Series([MAX]) + 1).tolist()),
    ("polars", "2^63-1 + 1", lambda: (pl.Series([MAX]) + 1).to_list()),
    ("pyarrow", "2^63-1 + 1", lambda: pa.compute.add(pa.array([MAX]), 1).to_pylist()),
    ("duckdb", "2^63-1 + 1", lambda: _duckdb(f"SELECT {MAX}::BIGINT + 1::BIGINT")),
    ("sqlite3", "2^63-1 + 1", lambda: _sqlite(f"SELECT {MAX} + 1")),
    ("pandas", "1.0 / 0", lambda: (pd.Series([1.0]) / 0).tolist()),
    ("duckdb", "1.0 / 0", lambda: _duckdb("SELECT 1.0::DOUBLE / 0")),
    ("sqlite3", "1.0 / 0", lambda: _sqlite("SELECT 1.0 / 0")),
    ("pandas", "30 February", lambda: pd.to_datetime("2023-02-30")),
    ("polars", "30 February", lambda: pl.Series(["2023-02-30"]).str.to_date().to_list()),
    ("duckdb", "30 February", lambda: _duckdb("SELECT DATE '2023-02-30'")),
    ("sqlite3", "30 February", lambda: _sqlite("SELECT date('2023-02-30')")),
    ("node", "30 February", lambda: _node("new Date('2023-02-30').toISOString()")),
    ("json", "NaN", lambda: json.dumps(float("nan"))),
    ("orjson", "NaN", lambda: orjson.dumps(float("nan")).decode()),
    ("msgspec", "NaN", lambda: msgspec.json.encode(float("nan")).decode()),
    ("node", "NaN", lambda: _node("JSON.stringify(NaN)")),
    ("json", '{"a":1,"a":2}', lambda: json.loads('{"a":1,"a":2}')),
    ("orjson", '{"a":1,"a":2}', lambda: orjson.loads('{"a":1,"a":2}')),
)


def ask() -> list[Refusal]:
    """Put every question to the systems that are here."""
    here = [q for q in QUESTIONS if q[0] != "node" or shutil.which("node")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_ask(*question) for question in here]


def _ask(system: str, question: str, call: Callable[[], Any]) -> Refusal:
    try:
        return Refusal(system, question, False, str(call()))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:              # a panic of Rust is no Exception
        return Refusal(system, question, True, error(e))
