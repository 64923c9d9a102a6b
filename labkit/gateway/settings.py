"""What an operator can set, a table of the TOML file each, with defaults and allowed ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def setting(default: Any, low: float | None = None, above: bool = False, one_of: tuple[str, ...] = ()) -> Any:
    """A field with its default and its allowed range."""
    return field(default=default, metadata={"low": low, "above": above, "one_of": one_of})


def needed(low: float | None = None, above: bool = False) -> Any:
    """A field without a default."""
    return field(metadata={"low": low, "above": above, "one_of": ()})


@dataclass(frozen=True)
class ServerConfig:
    """Where to listen, and how to leave.

    host: 127.0.0.1 unless you mean it.
    port: 0 for any free one.
    max_body_bytes: of a request.
    drain_seconds: how long requests may still take after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = setting(8080, 0)
    max_body_bytes: int = setting(1_000_000, 1)
    drain_seconds: float = setting(30.0, 0)


@dataclass(frozen=True)
class Files:
    """What is kept. Paths are from the configuration file's folder.

    ledger: a file, or postgresql://...
    keys: who may call, as `keys.Keys` reads it.
    audit: the audit log, "" for none.
    """

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
    """How "auto" chooses.

    kind: "keyword", "length", "learned" or "cascade".
    thresholds: scores from which the second, third ... model answers, rising.
    file: the weights of "learned".
    least: mean log probability from which the cascade keeps an answer.
    """

    kind: str = setting("length", one_of=("keyword", "length", "learned", "cascade"))
    thresholds: tuple[float, ...] = (0.5,)
    file: str = ""
    least: float = -0.6


@dataclass(frozen=True)
class RateConfig:
    """What one key may ask for.

    per_second: requests in the long run.
    burst: requests at once.
    """

    per_second: float = setting(50.0, 0, True)
    burst: float = setting(100.0, 1)


@dataclass(frozen=True)
class RetryConfig:
    """How the gateway retries.

    attempts: in all, the first one included.
    wait, max_wait: seconds before the first retry, and at most.
    jitter: seconds at most that are drawn at random and added to a wait.
    budget: retries a request earns (0.1 is one in ten); -1: as many as it likes.
    capacity: retries that can be saved up.
    """

    attempts: int = setting(3, 1)
    wait: float = setting(0.1, 0)
    max_wait: float = setting(2.0, 0)
    jitter: float = setting(0.5, 0)
    budget: float = setting(0.1, -1)
    capacity: float = setting(10.0, 0)


@dataclass(frozen=True)
class BreakerConfig:
    """As `resilience.CircuitBreaker`.

    on: false for experiments.
    window: seconds of calls it looks at.
    ratio: share of them that failed, from which it opens.
    minimum: calls in the window before it judges at all.
    open_for: seconds until it tries again.
    """

    on: bool = True
    window: float = setting(30.0, 0, True)
    ratio: float = setting(0.5, 0, True)
    minimum: int = setting(10, 1)
    open_for: float = setting(5.0, 0, True)


@dataclass(frozen=True)
class AdmissionConfig:
    """How many are let in.

    running: requests at the engines at once, at most.
    queue: how many may wait; the bound of part 1 is `resilience.safe_queue_limit(throughput, patience, service)`.
    learns: whether fewer are let in when callers leave before their answer.
    """

    running: int = setting(32, 1)
    queue: int = setting(64, 0)
    learns: bool = True


@dataclass(frozen=True)
class TimeoutConfig:
    """Patience, in seconds.

    request: the most a caller may wait (x-timeout-seconds asks for less).
    body: for a request to arrive.
    connect: to an engine.
    idle: without a piece of a stream.
    attempt: after which an answer that is not streamed is given up and tried again, 0 for never: a slow engine gets
        slower by it.
    cancel: whether an engine is told when a caller leaves (false only to see why).
    """

    request: float = setting(60.0, 0, True)
    body: float = setting(30.0, 0, True)
    connect: float = setting(2.0, 0, True)
    idle: float = setting(20.0, 0, True)
    attempt: float = setting(0.0, 0)
    cancel: bool = True


@dataclass(frozen=True)
class CacheConfig:
    """Answers kept for days on which no model answers.

    entries: how many, 0 for none.
    seconds: how long.
    """

    entries: int = setting(1000, 0)
    seconds: float = setting(3600.0, 0, True)


@dataclass(frozen=True)
class TracingConfig:
    """Where traces go.

    to: "off", "local" (a SQLite file of our own, see `telemetry.LocalReceiver`) or "langfuse" (address and keys from
        LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY).
    file: of "local".
    text: whether prompts and answers are in the traces, redacted.
    queue: how many requests may wait to be traced before they are dropped.
    """

    to: str = setting("off", one_of=("off", "local", "langfuse"))
    file: str = "traces.db"
    text: bool = True
    queue: int = setting(1000, 1)


@dataclass(frozen=True)
class Config:
    """Everything.

    models: from cheap to dear.
    folder: of the file, which relative paths start from.
    budgets: (scope, period, micro-dollars).
    hold_seconds: after which money that is held and not settled counts as spent; more than timeouts.request.
    """

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
