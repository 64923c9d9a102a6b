"""The record that every encoding and every transport carries: a customer with orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Record = dict[str, Any]

ORDER = ("id", "date", "total")
CUSTOMER = ("id", "name", "balance", "orders")

EXAMPLE: Record = {
    "id": 12345, "name": "John Smith", "balance": 5000.00,
    "orders": [{"id": 1, "date": "2024-01-15", "total": 99.99}, {"id": 2, "date": "2024-02-20", "total": 149.50}],
}


def check(record: Any) -> Record:
    """The record as plain dictionaries, or a ValueError that names the field and what it must be.

    record: id (whole number), name (text), balance (finite number, dollars), orders (a list of id, date and total:
        dictionaries, or tuples in this order).
    """
    found = _fields("record", record, CUSTOMER)
    if isinstance(found["orders"], str | bytes | Mapping) or not isinstance(found["orders"], Sequence):
        raise ValueError(f"orders = {found['orders']!r}: must be a list of orders")
    return {"id": _whole("id", found["id"]), "name": _text("name", found["name"]),
            "balance": _number("balance", found["balance"]),
            "orders": [_order(f"orders[{place}]", order) for place, order in enumerate(found["orders"])]}


def _order(where: str, order: Any) -> Record:
    if isinstance(order, tuple | list) and len(order) == len(ORDER):
        order = dict(zip(ORDER, order, strict=True))
    found = _fields(where, order, ORDER)
    return {"id": _whole(f"{where}.id", found["id"]), "date": _text(f"{where}.date", found["date"]),
            "total": _number(f"{where}.total", found["total"])}


def _fields(where: str, value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise ValueError(f"{where} = {value!r}: must have the fields {', '.join(names)}, and no others")
    return value


def _whole(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where} = {value!r}: must be a whole number")
    return value


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} = {value!r}: must be a text")
    return value


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where} = {value!r}: must be a finite number")
    return float(value)
