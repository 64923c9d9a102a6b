"""The gateway's configuration: one TOML file, checked at start, with every error listed at once."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from labkit.gateway.budget.accounts import check_scope
from labkit.gateway.budget.money import MICRO
from labkit.gateway.settings import (
    AdmissionConfig,
    BreakerConfig,
    CacheConfig,
    Config,
    Files,
    ModelConfig,
    RateConfig,
    RetryConfig,
    RouterConfig,
    ServerConfig,
    TimeoutConfig,
    TracingConfig,
)

__all__ = ["Config", "ConfigError", "load", "parse"]

KINDS: dict[Any, tuple[type, ...]] = {float: (int, float), float | None: (int, float), int: (int,), str: (str,),
                                      bool: (bool,)}
WORDS = {float: "a number", float | None: "a number", int: "a whole number", str: "a text", bool: "true or false"}
TABLES: dict[str, type] = {"server": ServerConfig, "files": Files, "router": RouterConfig, "rate": RateConfig,
                           "retry": RetryConfig, "breaker": BreakerConfig, "admission": AdmissionConfig,
                           "timeouts": TimeoutConfig, "cache": CacheConfig, "tracing": TracingConfig}


class ConfigError(ValueError):
    """All that is wrong with a configuration, a line each."""

    def __init__(self, errors: list[str]):
        super().__init__("\n".join(errors))
        self.errors = errors


def load(path: str | Path) -> Config:
    """Read and check a file; ConfigError lists all that is wrong."""
    path = Path(path)
    try:
        return parse(path.read_text(), path.parent)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None


def parse(text: str, folder: Path = Path()) -> Config:
    """A configuration from TOML; ConfigError lists all that is wrong."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"not TOML: {error}"]) from None
    errors: list[str] = []
    parts = {name: _table(kind, found.pop(name, {}), name, errors) for name, kind in TABLES.items()}
    models = _models(found.pop("models", []), errors)
    budgets = _budgets(found.pop("budgets", {}), errors)
    hold = found.pop("hold_seconds", 300.0)
    _check("hold_seconds", hold, float, {"low": 0, "above": True, "one_of": ()}, errors)
    errors += [f"{name}: unknown; the tables are {', '.join([*TABLES, 'models', 'budgets'])}" for name in found]
    if not errors:
        errors += _together(models, parts, float(hold), folder)
    if errors:
        raise ConfigError(errors)
    return Config(models=tuple(models), folder=folder, budgets=tuple(budgets), hold_seconds=float(hold), **parts)


def _models(found: Any, errors: list[str]) -> list[Any]:
    if not isinstance(found, list) or not found:
        errors.append("models: at least one [[models]] table is needed")
        return []
    models = [_table(ModelConfig, each, f"models[{i}]", errors) for i, each in enumerate(found)]
    names = [model.name for model in models if model]
    errors += [f"models: the name {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if "auto" in names:
        errors.append("models: 'auto' is the name for the router's choice; call the model something else")
    return models


def _budgets(found: Any, errors: list[str]) -> list[tuple[str, str, int]]:
    """[budgets] request = 0.05, global = {day = 50}, "team:eng" = {day = 5, month = 100}; dollars in the file."""
    budgets = []
    if not isinstance(found, dict):
        errors.append("budgets: must be a table")
        return []
    for scope, rule in found.items():
        if scope == "request":
            rule = {"request": rule}
        elif not isinstance(rule, dict):
            errors.append(f"budgets.{scope} = {rule!r}: must be a table of day and month, in dollars")
            continue
        for period, cap in rule.items():
            try:
                check_scope(scope, period)
            except ValueError as error:
                errors.append(f"budgets: {error}")
                continue
            if isinstance(cap, bool) or not isinstance(cap, int | float) or not 0 <= cap < 1e12:
                errors.append(f"budgets.{scope}.{period} = {cap!r}: must be dollars >= 0")
            else:
                budgets.append((scope, period, round(cap * MICRO)))
    return budgets


def _table(kind: type, found: Any, name: str, errors: list[str]) -> Any:
    """An instance of `kind` from a TOML table, or None and the errors."""
    if not isinstance(found, dict):
        errors.append(f"{name}: must be a table")
        return None
    hints, before = typing.get_type_hints(kind), len(errors)
    fields = {each.name: each for each in dataclasses.fields(kind)}
    errors += [f"{name}.{key}: unknown; there is {', '.join(fields)}" for key in found if key not in fields]
    for key, each in fields.items():
        if key in found:
            _check(f"{name}.{key}", found[key], hints[key], each.metadata, errors)
        elif each.default is dataclasses.MISSING:
            errors.append(f"{name}.{key}: must be given")
    if len(errors) > before:
        return None
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})


def _check(name: str, value: Any, hint: Any, allowed: types.MappingProxyType[str, Any] | dict[str, Any],
           errors: list[str]) -> None:
    kinds = KINDS.get(hint, (list,))
    low, above, options = allowed.get("low"), allowed.get("above"), allowed.get("one_of")
    limit = f" {'>' if above else '>='} {low:g}" if low is not None else ""
    fits = isinstance(value, kinds) and isinstance(value, bool) == (hint is bool)
    if not fits or (low is not None and (value < low or (above and value == low))):
        errors.append(f"{name} = {value!r}: must be {WORDS.get(hint, 'a list')}{limit}")
    elif options and value not in options:
        errors.append(f"{name} = {value!r}: must be one of {', '.join(map(repr, options))}")


def _together(models: list[Any], parts: dict[str, Any], hold: float, folder: Path) -> list[str]:
    """What is only wrong in company."""
    errors = []
    router, timeouts = parts["router"], parts["timeouts"]
    if len(router.thresholds) != len(models) - 1 and router.kind != "cascade" and len(models) > 1:
        errors.append(f"router.thresholds = {list(router.thresholds)}: {len(models)} models need {len(models) - 1}")
    if list(router.thresholds) != sorted(router.thresholds):
        errors.append(f"router.thresholds = {list(router.thresholds)}: must rise")
    if router.kind == "learned" and not (folder / router.file).is_file():
        errors.append(f"router.file = {router.file!r}: there is no such file; LearnedRouter.save writes one")
    if hold <= timeouts.request:
        errors.append(f"hold_seconds = {hold:g}: must be more than timeouts.request = {timeouts.request:g}, or holds "
                      "end before their requests")
    errors += [f"models: {model.name}.base_url = {model.base_url!r}: must begin with http:// or https://"
               for model in models if not model.base_url.startswith(("http://", "https://"))]
    return errors
