"""When does the page come? The burn-rate rule computed by hand, minute by minute, and by promtool, its judge."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labkit import ranges
from labkit.gateway.alerts.rules import HERE

OBJECTIVE, BURN, WAIT = 0.01, 14.4, 2       # share that may fail; times faster than allowed; minutes it must last
WORSE = 'gateway_requests_total{tier="small",team="eng",outcome="upstream_error"}'
WELL = 'gateway_requests_total{tier="small",team="eng",outcome="ok"}'


def incident(length: int, share: float, before: int = 60, after: int = 60, traffic: float = 100.0
             ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Requests and failures in each minute: all well for `before` minutes, then `share` of them fail for `length`."""
    ranges.whole("length", length, 0)
    ranges.number("share", share, 0, 1)
    total = np.full(before + length + after, float(traffic))
    failed = np.zeros_like(total)
    failed[before:before + length] = round(share * traffic)
    return total, failed


def ratio(total: Sequence[float] | npt.NDArray[np.float64], failed: Sequence[float] | npt.NDArray[np.float64],
          window: int) -> npt.NDArray[np.float64]:
    """Share that failed in the last `window` minutes, after each minute."""
    kernel = np.ones(window)
    return np.asarray(np.convolve(failed, kernel)[:len(total)] / np.convolve(total, kernel)[:len(total)])


def burn_rate(total: npt.NDArray[np.float64], failed: npt.NDArray[np.float64]) -> int | None:
    """Minute in which ErrorBudgetBurnsFast fires: both windows over the threshold for `WAIT` minutes; None if never."""
    over = (ratio(total, failed, 5) > BURN * OBJECTIVE) & (ratio(total, failed, 60) > BURN * OBJECTIVE)
    return _lasting(over, WAIT)


def fixed(total: npt.NDArray[np.float64], failed: npt.NDArray[np.float64], threshold: float = 0.10,
          wait: int = 0) -> int | None:
    """Minute in which "error rate over `threshold`" fires, on the last minute's rate; None if never."""
    return _lasting(ratio(total, failed, 1) > threshold, wait)


def _lasting(over: npt.NDArray[np.bool_], wait: int) -> int | None:
    run = 0
    for minute, true in enumerate(over):
        run = run + 1 if true else 0
        if run > wait:
            return minute
    return None


def promtool(total: npt.NDArray[np.float64], failed: npt.NDArray[np.float64],
             alert: str = "ErrorBudgetBurnsFast") -> int | None:
    """The same, by the real rules in the real tool: the first minute in which `alert` fires, by bisection; None if it
    does not fire until three minutes after its end. RuntimeError without promtool."""
    if not shutil.which("promtool"):
        raise RuntimeError("promtool is not installed: apt install prometheus")
    bad = np.flatnonzero(failed)
    # a long incident is over for the short window at once, a short one may page only after its end
    last = next((end for end in (int(bad[-1]) + 1, int(bad[-1]) + 4) if _fires(total, failed, alert, end)), None) \
        if len(bad) else None
    if last is None:
        return None
    low, high = int(bad[0]), last
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _fires(total, failed, alert, middle) else (middle + 1, high)
    return low


def _fires(total: npt.NDArray[np.float64], failed: npt.NDArray[np.float64], alert: str, minute: int) -> bool:
    """Ask promtool whether the alert is silent then; it is not if the test fails."""
    def series(values: npt.NDArray[np.float64]) -> str:
        return " ".join(f"{value:g}" for value in np.concatenate([[0], np.cumsum(values)]))

    test = (f"rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n"
            f"      - {{series: '{WELL}', values: '{series(total - failed)}'}}\n"
            f"      - {{series: '{WORSE}', values: '{series(failed)}'}}\n    alert_rule_test:\n"
            f"      - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: []}}\n")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / "rules.yml", folder)
        (Path(folder) / "test.yml").write_text(test)
        done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True)
        return done.returncode != 0
