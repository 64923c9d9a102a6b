"""What a notebook makes while its cells run: its panels and its pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.course.figures import Picture
from labkit.course.panel import Panel

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TWIN = {"LABKIT_ENGINE": "twin", "LABKIT_TWIN_HURRY": "4"}
# how many panels each notebook shows: a panel that is no longer made must not go unnoticed
PANELS = {
    "00_start_here": 2, "10_retry_storm": 2, "11_tipping_point": 2, "12_cures": 1, "13_live_collapse": 1,
    "14_other_loops": 2,
    "20_quorum_latency": 3, "21_partitions": 3, "22_staleness": 3, "23_linearizability": 2, "24_real_cluster": 2,
    "30_merge_without_asking": 2, "31_gossip": 3, "32_what_merging_costs": 3, "33_mixed_consistency": 2,
    "40_five_ways_to_disagree": 2, "41_write_here_read_there": 3, "42_settings_that_disagree": 2,
    "60_first_tokens": 2, "61_batching_and_memory": 1, "62_prefix_caching": 2, "63_quantization": 1, "64_routing": 2,
    "65_budgets": 1, "66_observability": 3, "67_error_handling": 2, "68_gateway": 2, "69_cost": 2,
}
INITS = {kind: kind.__init__ for kind in (Panel, Picture)}


@dataclass
class Lesson:
    """What a notebook made: panels and stored pictures, in order."""

    stem: str
    panels: list[Panel] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def begun(stem: str) -> Lesson:
    """What this process makes from now on is added to it."""
    made = Lesson(stem)
    for kind, into in ((Panel, made.panels), (Picture, made.pictures)):
        kind.__init__ = _remembering(INITS[kind], into)
    return made


def _remembering(init: Callable[..., None], into: list[Any]) -> Callable[..., None]:
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        into.append(self)

    return remember
