"""Rules that fire when they should, and refer to nothing that is not there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from labkit.gateway import alerts
from labkit.gateway.alerts import gameday

HERE = alerts.HERE


def tool(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed: apt install prometheus prometheus-alertmanager")
    return name


def run(*command, cwd=HERE):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_the_rules_and_their_tests_pass():
    done = run(tool("promtool"), "test", "rules", "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("promtool", "check", "rules", "rules.yml").returncode == 0
    assert run("promtool", "check", "config", "prometheus.yml").returncode == 0


def test_every_alert_has_a_test_that_fires_it_and_one_that_does_not():
    checks = [check for test in yaml.safe_load((HERE / "rules_test.yml").read_text())["tests"]
              for check in test["alert_rule_test"]]
    for name in alerts.rules():
        if ":" not in name:
            mine = [bool(check["exp_alerts"]) for check in checks if check["alertname"] == name]
            assert set(mine) == {True, False}, name


@pytest.mark.parametrize("alert", [name for name in alerts.rules() if ":" not in name])
def test_a_rule_that_is_broken_fails_its_tests(alert, tmp_path):
    tool("promtool")
    text = yaml.safe_load((HERE / "rules.yml").read_text())
    for broken in ("vector(1)", "vector(1) > 2"):               # always, and never
        for group in text["groups"]:
            for rule in group["rules"]:
                if rule.get("alert") == alert:
                    rule["expr"] = broken
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(text))
        tests = yaml.safe_load((HERE / "rules_test.yml").read_text())
        tests["tests"] = [test for test in tests["tests"]
                          if any(check["alertname"] == alert for check in test["alert_rule_test"])]
        (tmp_path / "rules_test.yml").write_text(yaml.safe_dump(tests))
        assert run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path).returncode != 0


def test_the_three_tiers_go_to_the_pager_the_chat_and_the_weekly_look():
    assert run(tool("amtool"), "check-config", "alertmanager.yml").returncode == 0
    for severity, receiver in (("critical", "pager"), ("warning", "chat"), ("info", "weekly"), ("", "weekly")):
        done = run("amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}")
        assert done.stdout.split() == [receiver]
    severities = {rule["labels"]["severity"] for group in yaml.safe_load((HERE / "rules.yml").read_text())["groups"]
                  for rule in group["rules"] if "alert" in rule}
    assert severities == {"critical", "warning", "info"}


def test_every_series_in_rules_and_dashboard_is_exported():
    assert alerts.unheard(alerts.rules()) == {}
    recorded = {name for name in alerts.rules() if ":" in name}
    for title, expressions in alerts.panels().items():
        assert expressions and not alerts.unheard(dict(zip(expressions, expressions, strict=True)), recorded), title


def test_a_deaf_rule_is_found():
    found = alerts.unheard({"GPUFull": "vllm_gpu_memory_used_gb / vllm_gpu_memory_total_gb > 0.95", "Down": "up == 0"})
    assert found == {"GPUFull": {"vllm_gpu_memory_used_gb", "vllm_gpu_memory_total_gb"}}
    with pytest.raises(ValueError):
        alerts.names("sum(rate(x[5m])")


def test_the_dashboard_is_one():
    found = json.loads((HERE / "dashboard.json").read_text())
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids) >= 12 and {panel["type"] for panel in found["panels"]} == {"timeseries"}
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in found["panels"])
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in found["panels"]]
    assert len(set(places)) == len(places)


def test_the_compose_file_names_what_is_there():
    path = Path(__file__).resolve().parents[2] / "gpu_setup" / "observability"
    compose = yaml.safe_load((path / "compose.yml").read_text())
    assert {"prometheus", "alertmanager", "grafana", "langfuse-web", "langfuse-worker"} <= set(compose["services"])
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert re.match(r"127\.0\.0\.1:", port)             # nothing is open to the network
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (path / source).exists(), source
        assert ":latest" not in service["image"] and ":" in service["image"]
    for name in re.findall(r"\$\{(\w+)", (path / "compose.yml").read_text()):
        assert name in (path / "example.env").read_text()


@pytest.mark.parametrize(("length", "share"), [(3, 1.0), (10, 1.0), (60, 0.5), (60, 0.2), (120, 0.16), (120, 0.1)])
def test_the_burn_rate_by_hand_pages_when_promtool_does(length, share):
    tool("promtool")
    total, failed = gameday.incident(length, share)
    by_hand, judged = gameday.burn_rate(total, failed), gameday.promtool(total, failed)
    assert (by_hand is None) == (judged is None) and (by_hand is None or abs(by_hand - judged) <= 1)


def test_a_fixed_threshold_pages_for_a_blip_and_the_burn_rate_does_not():
    total, failed = gameday.incident(3, 1.0)
    assert gameday.fixed(total, failed) == 60 and gameday.burn_rate(total, failed) is None
    with pytest.raises(ValueError, match="share = 2: must be a number >= 0 and <= 1"):
        gameday.incident(3, 2)
