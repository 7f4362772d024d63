"""Rules and dashboards name what is counted, and lead to what is written; promtool checks what the rules say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.architecture.counted import TARGET, Counted, series
from tests.architecture.promql import legends, parse
from tests.architecture.test_docs import anchors
from tests.architecture.tree import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
OBJECTIVES = ROOT / "docs" / "objectives.md"
RUNBOOK = ROOT / "docs" / "runbook.md"
GIVEN = {"up": Counted(frozenset()), "ALERTS": Counted(frozenset({"alertname", "alertstate", "severity"}))}
"""What Prometheus counts itself."""

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")


class Asked(NamedTuple):
    """A query, where it stands, and which labels are shown of what it gives."""

    place: str
    query: str
    shown: frozenset[str] = frozenset()


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def asked() -> Iterator[Asked]:
    for rule in rules():
        told = frozenset(legends(" ".join(rule.get("annotations", {}).values())))
        yield Asked(rule.get("alert") or rule["record"], rule["expr"], told)
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                shown = frozenset(legends(target["legendFormat"]))
                yield Asked(f"{path.stem}: {panel['title']}", target["expr"], shown)


@cache
def known() -> dict[str, Counted]:
    """What is counted, and what the rules record of it, with the labels that a record keeps."""
    found = series() | GIVEN
    for rule in rules():
        if "record" in rule:
            labels = parse(rule["expr"]).grouped | rule.get("labels", {}).keys()
            before = found.get(rule["record"], Counted(frozenset()))
            found[rule["record"]] = Counted(before.labels | labels)
    return found


def faults(each: Asked) -> Iterator[str]:
    query = parse(each.query)
    labels = set(TARGET)
    for selector in query.selectors:
        counted = known().get(selector.metric)
        if counted is None:
            yield f"{each.place}: nothing counts {selector.metric}"
            continue
        labels |= counted.labels
        for name, (how, value) in selector.labels.items():
            if name not in counted.labels | TARGET:
                yield f"{each.place}: {selector.metric} has no label {name}"
            if name == "le" and how == "=" and value not in counted.bounds:
                yield f"{each.place}: {selector.metric} has no bound {value}"
    for name in (query.grouped | each.shown) - labels:
        yield f"{each.place}: nothing in it has a label {name}"


def test_what_rules_and_dashboards_ask_for_is_counted() -> None:
    assert [fault for each in asked() for fault in faults(each)] == []


def test_what_every_process_has_is_asked_of_ours_alone() -> None:
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    ours = {each["job_name"] for each in scraped}
    jobs = [
        selector.labels["job"][1].split("|")
        for each in asked()
        for selector in parse(each.query).selectors
        if selector.metric == "up" or selector.metric.startswith("process_")
    ]
    assert {frozenset(names) for names in jobs} == {frozenset(ours), frozenset({"api"})}


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(ledger_evnts_total[5m]))",
        'sum(ledger_events_total{result="posted"})',
        "sum by (tenant) (ledger_events_total)",
        'rate(ledger_freshness_seconds_bucket{le="2.4"}[5m])',
    ],
)
def test_what_is_not_counted_is_found(query: str) -> None:
    assert len(list(faults(Asked("here", query)))) == 1


def test_everything_that_is_counted_is_on_a_dashboard_or_in_a_rule() -> None:
    named = {selector.metric for each in asked() for selector in parse(each.query).selectors}
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    counted = {name for name in series() if name.startswith("ledger_") and not name.endswith("_created")}
    assert {name for name in counted if re.sub(r"_(bucket|count|sum)$", "", name) not in bases} == set()


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def anchor_of(alert: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def test_every_alert_says_how_much_it_matters_and_where_help_is() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{anchor_of(rule['alert'])}"


def test_every_alert_has_a_section_of_the_runbook() -> None:
    assert {anchor_of(rule["alert"]) for rule in alerts()} - anchors(RUNBOOK) == set()


class Threshold(NamedTuple):
    """An alert calls when a budget goes at so many times its rate over a window, long or short."""

    objective: str
    alert: str
    severity: str
    window: str
    times: float
    budget: float


def told_budgets() -> dict[str, tuple[str, float]]:
    """Give the alert of each objective, and its budget, as they are told."""
    row = r"^\| `(\w+)` \| ([\d.]+) % \|.*\[(\w+)\]\(runbook"
    rows = re.findall(row, OBJECTIVES.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (alert, round(1 - float(share) / 100, 6)) for name, share, alert in rows}


def told_thresholds() -> Iterator[Threshold]:
    row = r"^\| (page|ticket) \| ([\d.]+) times? \| (\d+ \w)\w* \| (\d+ \w)\w* \|"
    for severity, times, *windows in re.findall(row, OBJECTIVES.read_text(encoding="utf-8"), re.MULTILINE):
        for name, (alert, budget) in told_budgets().items():
            for window in windows:
                yield Threshold(name, alert, severity, window.replace(" ", ""), float(times), budget)


def thresholds() -> Iterator[Threshold]:
    term = r'ledger:errors:ratio_rate(\w+)\{objective="(\w+)"\} > ([\d.]+) \* ([\d.]+)'
    for rule in alerts():
        for window, name, times, budget in re.findall(term, rule["expr"]):
            severity = rule["labels"]["severity"]
            yield Threshold(name, rule["alert"], severity, window, float(times), float(budget))


def test_every_threshold_is_that_of_the_objectives_as_they_are_told() -> None:
    assert len(told_budgets()) == 4
    assert sorted(thresholds()) == sorted(told_thresholds())


def test_what_is_left_of_a_budget_is_left_of_the_one_that_is_told() -> None:
    left = [rule for rule in rules() if rule.get("record") == "ledger:budget_left:ratio30d"]
    divided = {rule["labels"]["objective"]: float(rule["expr"].split()[-1]) for rule in left}
    assert divided == {name: budget for name, (_, budget) in told_budgets().items()}
    assert all(
        set(re.findall(r'objective="(\w+)"', rule["expr"])) == {rule["labels"]["objective"]} for rule in left
    )


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert dashboard["uid"] == f"ledger-{path.stem}"
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in dashboard["panels"])


@needs_promtool
def test_promtool_takes_the_settings_and_the_rules() -> None:
    run_promtool("check", "config", "prometheus.yml")


@needs_promtool
@pytest.mark.parametrize("name", ["objectives", "budgets", "correctness", "causes"])
def test_alerts_call_when_they_should_and_not_otherwise(name: str) -> None:
    run_promtool("test", "rules", f"tests/{name}.test.yml")


def test_every_alert_has_a_test_that_it_fires() -> None:
    tested = "".join(path.read_text(encoding="utf-8") for path in (PROMETHEUS / "tests").glob("*.yml"))
    fired = set(re.findall(r'alertname="(\w+)"', tested))
    assert {rule["alert"] for rule in alerts()} - fired == set()


def run_promtool(*arguments: str) -> None:
    if PROMTOOL is None:
        raise RuntimeError("promtool is not there")
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
