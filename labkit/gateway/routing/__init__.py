"""Which model should answer: four routers, and the only fair way to judge one."""

from labkit.gateway.routing.judge import Evaluation, auc, evaluate, out_of_fold, outcomes, prompts, right
from labkit.gateway.routing.routers import TIERS, CascadeRouter, KeywordRouter, LearnedRouter, LengthRouter, Router

__all__ = ["TIERS", "CascadeRouter", "Evaluation", "KeywordRouter", "LearnedRouter", "LengthRouter", "Router", "auc",
           "evaluate", "out_of_fold", "outcomes", "prompts", "right"]
