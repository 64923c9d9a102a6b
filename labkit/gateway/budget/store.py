"""Where a ledger lives: a SQLite file, or PostgreSQL for several gateway hosts. The same SQL runs on both."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

PATIENCE = 10.0             # seconds to wait for another process that writes

# One account a scope and a window, one hold an attempt. Money is whole micro-dollars: floats do not add up.
TABLES = """
CREATE TABLE IF NOT EXISTS rule(scope TEXT NOT NULL, period TEXT NOT NULL, cap BIGINT NOT NULL,
    PRIMARY KEY(scope, period));
CREATE TABLE IF NOT EXISTS account(scope TEXT NOT NULL, span TEXT NOT NULL, cap BIGINT, spent BIGINT NOT NULL DEFAULT 0,
    held BIGINT NOT NULL DEFAULT 0, warned INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(scope, span));
CREATE TABLE IF NOT EXISTS hold(id TEXT PRIMARY KEY, request TEXT NOT NULL, usr TEXT NOT NULL, team TEXT NOT NULL,
    tier TEXT NOT NULL, day TEXT NOT NULL, amount BIGINT NOT NULL, charged BIGINT NOT NULL DEFAULT 0,
    made DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL,
    prompt_tokens BIGINT NOT NULL DEFAULT 0, answer_tokens BIGINT NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS hold_open ON hold(expires) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS hold_day ON hold(day);
"""


class LedgerError(RuntimeError):
    """The ledger cannot be read or written; nothing may be spent until it can."""


class LedgerStore(Protocol):
    """One connection: statements with `?` for values, in transactions that are whole or nothing."""

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Everything inside happens, or nothing; nobody else writes meanwhile."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; its rows."""

    def close(self) -> None:
        """Let go of it."""


class SQLiteStore:
    """A file, WAL mode: readers never wait, one writer at a time, over all threads and processes of one machine.

    A killed process loses nothing that was committed; `synchronous` FULL also survives a power cut, for one fsync a
    transaction (sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, path: str | Path, synchronous: str = "NORMAL"):
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute(f"PRAGMA synchronous={synchronous}")
        with self.transaction():
            for statement in TABLES.split(";"):
                self.db.execute(statement)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self.lock:
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield
                self.db.execute("COMMIT")
            except sqlite3.Error as error:
                self._undo()
                raise LedgerError(f"the ledger cannot be written: {error}") from error
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            try:
                return self.db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise LedgerError(f"the ledger cannot be read or written: {error}") from error

    def close(self) -> None:
        with self.lock:
            self.db.close()


class PostgresStore:
    """A database, for several gateway hosts. Needs psycopg (`pip install "labkit[platform]"`).

    One writer at a time here too, by an advisory lock: attempts that lock the same accounts in different orders would
    wait for each other in a circle.
    """

    LOCK = 1279345484       # any number nobody else in this database uses

    def __init__(self, url: str):
        try:
            import psycopg
        except ImportError:
            raise LedgerError('a ledger in PostgreSQL needs psycopg: pip install "psycopg[binary]"') from None
        self.lock, self.error = threading.RLock(), psycopg.Error
        self.connect = lambda: psycopg.connect(url, autocommit=True, connect_timeout=int(PATIENCE))
        try:
            self.db = self.connect()
            with self.transaction():
                self.db.execute(TABLES)
        except psycopg.Error as error:
            raise LedgerError(f"the ledger's database does not answer: {error}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self.lock:
            try:
                if self.db.closed:                      # the database was restarted
                    self.db = self.connect()
                with self.db.transaction():
                    self.db.execute("SELECT pg_advisory_xact_lock(%s)", (self.LOCK,))
                    yield
            except self.error as error:
                raise LedgerError(f"the ledger cannot be written: {error}") from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            try:
                found = self.db.execute(sql.replace("?", "%s"), tuple(values))
                return found.fetchall() if found.description else []
            except self.error as error:
                raise LedgerError(f"the ledger cannot be read or written: {error}") from error

    def close(self) -> None:
        with self.lock:
            self.db.close()


def store(place: str | Path, synchronous: str = "NORMAL") -> LedgerStore:
    """The store at `place`: a path, or a URL that begins with postgresql://. LedgerError if it cannot be opened."""
    if str(place).startswith(("postgresql://", "postgres://")):
        return PostgresStore(str(place))
    try:
        return SQLiteStore(place, synchronous)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {place} cannot be opened: {error}") from error
