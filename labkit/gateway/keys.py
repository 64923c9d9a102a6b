"""API keys: shown once, kept as a hash, checked in constant time."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class KeyRefused(PermissionError):
    """No such key, or no longer."""


@dataclass(frozen=True)
class Caller:
    """Who holds a key. id: its public part. expires: seconds since 1970, 0 for never. digest: SHA-256 of the key: it
    is 256 random bits, so there is nothing a slow hash would protect."""

    id: str
    user: str
    team: str
    expires: float
    digest: str


class Keys:
    """The keys in a JSON file; read again when it changes, so that a revoked key stops without a restart."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time):
        self.path, self.clock = Path(path), clock
        self._read_at = self._looked = 0.0
        self._callers: dict[str, Caller] = {}
        self._refresh()

    def _refresh(self) -> None:
        """Look at the file once a second."""
        now = time.monotonic()
        if now - self._looked < 1 and self._looked:
            return
        self._looked = now
        changed = self.path.stat().st_mtime if self.path.exists() else 0.0
        if changed != self._read_at:
            self._callers = {caller.id: caller for caller in _read(self.path)}
            self._read_at = changed

    @property
    def callers(self) -> list[Caller]:
        """All who hold a key."""
        self._refresh()
        return list(self._callers.values())

    def check(self, key: str) -> Caller:
        """Whose key it is; KeyRefused if nobody's, or if it has expired.

        An unknown id takes as long as a wrong secret: it is compared with a hash that nothing matches.
        """
        self._refresh()
        caller = self._callers.get(key.split("-")[1] if key.startswith("lk-") and key.count("-") >= 2 else "")
        right = hmac.compare_digest(_digest(key), caller.digest if caller else "0" * 64)
        if caller is None or not right:
            raise KeyRefused("this API key is not known")
        if caller.expires and caller.expires <= self.clock():
            raise KeyRefused("this API key has expired")
        return caller

    def new(self, user: str, team: str, days: float | None = None) -> str:
        """Make a key and keep its hash; the key itself is nowhere but in what this returns."""
        for name, value in (("user", user), ("team", team)):
            if not value or not value.replace("-", "").replace("_", "").replace(".", "").isalnum():
                raise ValueError(f"{name} = {value!r}: must be letters, digits, '-', '_' and '.'")
        number, expires = secrets.token_hex(4), time.time() + days * 86_400 if days else 0.0
        key = f"lk-{number}-{secrets.token_hex(32)}"
        self._write([*_read(self.path), Caller(number, user, team, expires, _digest(key))])
        return key

    def revoke(self, number: str) -> None:
        """Forget the key with this id (the part after "lk-"); ValueError if there is none."""
        callers = _read(self.path)
        if number not in {caller.id for caller in callers}:
            raise ValueError(f"id = {number!r}: there is no such key")
        self._write([caller for caller in callers if caller.id != number])

    def _write(self, callers: list[Caller]) -> None:
        half = self.path.with_name(self.path.name + ".new")
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump([asdict(caller) for caller in callers], out, indent=1)
        half.replace(self.path)                         # whole or not at all
        self._looked = 0.0


def _read(path: Path) -> list[Caller]:
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        return [Caller(**each) for each in found]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the key file {path} cannot be read: {error}") from None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
