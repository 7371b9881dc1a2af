"""Prometheus' rules and Grafana's board: valid, tested, and about metrics that somebody exports."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.settings import CHECKOUT
from tests.infra.tools import INFRA, run

PROMETHEUS = INFRA / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
BOARD: dict[str, Any] = json.loads(
    (INFRA / "grafana" / "dashboards" / "gatehouse.json").read_text(encoding="utf-8")
)
# Agreed on, and not yet exported by this checkout's code. A name that is exported has to leave this list.
AGREED = {
    "gatehouse_features_newest_timestamp_seconds", "gatehouse_model_asked_timestamp_seconds",
    "gatehouse_model_changes_total", "gatehouse_model_info", "gatehouse_model_refusals_total",
    "gatehouse_published_version", "gatehouse_stage_bytes", "gatehouse_stage_failures_total",
    "gatehouse_stage_last_success_timestamp_seconds", "gatehouse_stage_rows", "gatehouse_stage_seconds",
    "gatehouse_training_loss", "gatehouse_training_samples_per_second",
}  # fmt: skip
_SUFFIXES = r"_(bucket|count|sum|total)$"


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def _expressions() -> list[str]:
    panels = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
    return panels + [rule["expr"] for rule in _rules()]


def _exported() -> set[str]:
    """Names of metrics that stand as whole strings in the code that exports them."""
    return {
        node.value
        for folder in ("features", "pipelines", "training")
        for path in (CHECKOUT / folder).rglob("*.py")
        if "gatehouse_" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("gatehouse_")
    }


def test_rules_and_board_ask_for_metrics_that_are_exported() -> None:
    exported = {re.sub(_SUFFIXES, "", name) for name in _exported()}
    asked = {
        name for text in _expressions() for name in re.findall(r"(?<![\w:])gatehouse_\w+(?![\w:])", text)
    }
    missing = {name for name in asked if re.sub(_SUFFIXES, "", name) not in exported}
    assert missing == {name for name in AGREED if re.sub(_SUFFIXES, "", name) not in exported}
    assert missing <= AGREED


def test_what_the_board_takes_from_recording_rules_is_recorded() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    asked = {name for text in _expressions() for name in re.findall(r"\w+:gatehouse_\w+:\w+", text)}
    assert asked == recorded


def test_every_alert_says_how_urgent_it_is_and_where_to_read_on() -> None:
    for rule in _rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert (CHECKOUT / rule["annotations"]["runbook"]).is_file()


def test_every_alert_has_been_seen_to_fire() -> None:
    fired = {
        check["alertname"]
        for path in PROMETHEUS.glob("*_test.yml")
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for check in test["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert {rule["alert"] for rule in _rules() if "alert" in rule} - fired == {"OfflineFeaturesStale"}


def test_promtool_accepts_rules_and_configuration() -> None:
    run("promtool", "check", "rules", *RULES)
    run("promtool", "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def test_alerts_fire_at_the_series_that_they_are_for() -> None:
    run("promtool", "test", "rules", *sorted(PROMETHEUS.glob("*_test.yml")))


def test_prometheus_scrapes_services_of_compose() -> None:
    services = yaml.safe_load((INFRA / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    hosts = {
        target.partition(":")[0]
        for job in configuration["scrape_configs"]
        for scraped in job["static_configs"]
        for target in scraped["targets"]
    }
    assert hosts - {"127.0.0.1"} <= services.keys()
    jobs = {job["job_name"] for job in configuration["scrape_configs"]}
    assert set(re.findall(r'job="(\w+)"', " ".join(_expressions()))) <= jobs


def test_panels_of_the_board_lie_side_by_side_and_ask_the_provisioned_source() -> None:
    source = yaml.safe_load(
        (INFRA / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )
    uids = {panel["datasource"]["uid"] for panel in BOARD["panels"] if "datasource" in panel}
    assert uids == {source["datasources"][0]["uid"]}
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    cells = [
        (x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(places)


@pytest.mark.parametrize(
    "path", sorted((INFRA / "grafana" / "provisioning").rglob("*.yml")), ids=lambda p: p.name
)
def test_provisioning_names_version_one(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["apiVersion"] == 1
