"""The gateway's configuration: one TOML file, checked at start, with every error listed at once."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.gateway.budget.ledger import MICRO, check_scope


class ConfigError(ValueError):
    """All that is wrong with a configuration, a line each."""

    def __init__(self, errors: list[str]):
        super().__init__("\n".join(errors))
        self.errors = errors


def setting(default: Any, low: float | None = None, above: bool = False, one_of: tuple[str, ...] = ()) -> Any:
    """A field with its default and its allowed range."""
    return field(default=default, metadata={"low": low, "above": above, "one_of": one_of})


def needed(low: float | None = None, above: bool = False) -> Any:
    """A field without a default."""
    return field(metadata={"low": low, "above": above, "one_of": ()})


@dataclass(frozen=True)
class ServerConfig:
    """Where to listen, and how to leave. host: 127.0.0.1 unless you mean it. drain_seconds: how long requests may
    still take after SIGTERM. max_body_bytes: of a request."""

    host: str = "127.0.0.1"
    port: int = setting(8080, 0)
    max_body_bytes: int = setting(1_000_000, 1)
    drain_seconds: float = setting(30.0, 0)


@dataclass(frozen=True)
class Files:
    """What is kept: the ledger (a file, or postgresql://...), the keys, the audit log ("" for none). Paths are from
    the configuration file's folder."""

    ledger: str = "ledger.db"
    keys: str = "keys.json"
    audit: str = "audit.jsonl"


@dataclass(frozen=True)
class ModelConfig:
    """One tier, from cheap to dear as listed.

    name: what callers write. "auto" is taken.
    served: its name at the engine.
    base_url: of the engine, ending in /v1.
    usd_per_million_input, usd_per_million_output: no default, because a price nobody knows must not be 0.
    usd_per_million_cached_input: of prompt tokens found in the engine's prefix cache; without it, as the others.
    max_tokens: the most a caller may ask for, and what one who does not ask gets.
    template: tokens its chat template may add to a prompt, a default system prompt included.
    vllm: whether the engine understands vLLM's extras (usage with each piece of a stream, cache_salt).
    refunds_errors: whether an answer of 500, 502 or 504 costs nothing; if not, it is charged in full, because nobody
        can say what the engine had done.
    key: that the engine asks for.
    """

    name: str = needed()
    served: str = needed()
    base_url: str = needed()
    usd_per_million_input: float = needed(0)
    usd_per_million_output: float = needed(0)
    usd_per_million_cached_input: float | None = setting(None, 0)
    max_tokens: int = setting(512, 1)
    template: int = setting(128, 0)
    vllm: bool = True
    refunds_errors: bool = False
    key: str = ""


@dataclass(frozen=True)
class RouterConfig:
    """How "auto" chooses. kind: "keyword", "length", "learned" (file: its weights) or "cascade". thresholds: scores
    from which the second, third ... model answers, rising. least: of the cascade."""

    kind: str = setting("length", one_of=("keyword", "length", "learned", "cascade"))
    thresholds: tuple[float, ...] = (0.5,)
    file: str = ""
    least: float = -0.6


@dataclass(frozen=True)
class RateConfig:
    """Requests per second and key, and how many at once."""

    per_second: float = setting(50.0, 0, True)
    burst: float = setting(100.0, 1)


@dataclass(frozen=True)
class RetryConfig:
    """attempts: in all. wait, max_wait: seconds before the first retry, and at most. budget: retries a request earns
    (0.1 is one in ten), "off" with budget = -1."""

    attempts: int = setting(3, 1)
    wait: float = setting(0.1, 0)
    max_wait: float = setting(2.0, 0)
    jitter: float = setting(0.5, 0)
    budget: float = setting(0.1, -1)
    capacity: float = setting(10.0, 0)


@dataclass(frozen=True)
class BreakerConfig:
    """As `resilience.CircuitBreaker`; on = false for experiments."""

    on: bool = True
    window: float = setting(30.0, 0, True)
    ratio: float = setting(0.5, 0, True)
    minimum: int = setting(10, 1)
    open_for: float = setting(5.0, 0, True)


@dataclass(frozen=True)
class AdmissionConfig:
    """running: requests at the engines at once, at most; learns: whether fewer are let in when callers leave before
    their answer. queue: how many may wait; the bound of part 1 is `resilience.safe_queue_limit(throughput, patience,
    service)`."""

    running: int = setting(32, 1)
    queue: int = setting(64, 0)
    learns: bool = True


@dataclass(frozen=True)
class TimeoutConfig:
    """Seconds. request: the most a caller may wait (x-timeout-seconds asks for less). body: for a request to arrive.
    connect: to an engine. idle: without a piece of a stream. attempt: after which an answer that is not streamed is
    given up and tried again, 0 for never: a slow engine gets slower by it. cancel: whether an engine is told when a
    caller leaves (false only to see why).
    """

    request: float = setting(60.0, 0, True)
    body: float = setting(30.0, 0, True)
    connect: float = setting(2.0, 0, True)
    idle: float = setting(20.0, 0, True)
    attempt: float = setting(0.0, 0)
    cancel: bool = True


@dataclass(frozen=True)
class CacheConfig:
    """Answers kept for days on which no model answers; entries = 0 for none."""

    entries: int = setting(1000, 0)
    seconds: float = setting(3600.0, 0, True)


@dataclass(frozen=True)
class TracingConfig:
    """to: "off", "local" (a SQLite file of our own, see `tracing.LocalReceiver`; file) or "langfuse" (address and keys
    from LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY). text: whether prompts and answers are in the
    traces, redacted; queue: how many requests may wait to be traced before they are dropped."""

    to: str = setting("off", one_of=("off", "local", "langfuse"))
    file: str = "traces.db"
    text: bool = True
    queue: int = setting(1000, 1)


@dataclass(frozen=True)
class Config:
    """Everything. folder: of the file, which relative paths start from. budgets: micro-dollars by (scope, period)."""

    models: tuple[ModelConfig, ...]
    folder: Path = Path()
    server: ServerConfig = ServerConfig()
    files: Files = Files()
    router: RouterConfig = RouterConfig()
    budgets: tuple[tuple[str, str, int], ...] = ()
    hold_seconds: float = 300.0
    rate: RateConfig = RateConfig()
    retry: RetryConfig = RetryConfig()
    breaker: BreakerConfig = BreakerConfig()
    admission: AdmissionConfig = AdmissionConfig()
    timeouts: TimeoutConfig = TimeoutConfig()
    cache: CacheConfig = CacheConfig()
    tracing: TracingConfig = TracingConfig()

    def path(self, name: str) -> Path | str:
        """A path of the configuration, from its folder; a URL as it is."""
        return name if "://" in name else self.folder / name


KINDS: dict[Any, tuple[type, ...]] = {float: (int, float), float | None: (int, float), int: (int,), str: (str,),
                                      bool: (bool,)}
WORDS = {float: "a number", float | None: "a number", int: "a whole number", str: "a text", bool: "true or false"}
TABLES: dict[str, type] = {"server": ServerConfig, "files": Files, "router": RouterConfig, "rate": RateConfig,
                           "retry": RetryConfig, "breaker": BreakerConfig, "admission": AdmissionConfig,
                           "timeouts": TimeoutConfig, "cache": CacheConfig, "tracing": TracingConfig}


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
        for period, cap in ({"request": rule} if scope == "request" else rule).items() if isinstance(
                rule, dict) or scope == "request" else [("", None)]:
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
