"""Alert rules, their tests, Alertmanager's routes and a Grafana dashboard; and the check that none of them is deaf."""

from labkit.gateway.alerts.rules import HERE, exported, names, panels, rules, unheard

__all__ = ["HERE", "exported", "names", "panels", "rules", "unheard"]
