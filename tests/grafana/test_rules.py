"""The shipped rules: made from their source, sound, about metrics that exist, and each tried with promtool."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.histogram import LAG_BUCKETS, LATENCY_BUCKETS
from grafana.source.rules import VariableError, rules, variables
from tests.grafana import shipped
from tests.tools import require_tool

CASES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
HEALTHY_DAY = Path(__file__).parent / "rules" / "healthy_day.yaml"
NAMES = (
    *("FeedStale", "FeedSilent", "FeedThin", "FeedLagging", "FeedDivergedFromReference", "FeedAnomalies"),
    *("MissedMessages", "ConnectionDown", "ConnectionFlapping", "ReconnectFailing", "CertificateExpiring"),
    *(
        "PingOverdue",
        "PongSlow",
        "SubscribeAckSlow",
        "SubscribeRejected",
        "PrivateChannelsClosed",
        "ErrorFrames",
        "MalformedFrames",
    ),
    *("ClockOffset", "ConfigReloadFailed", "MonitorSlow", "Absent", "ShardMissing", "ShardDoubled"),
    *("ReplicasDisagree", "ErrorBudgetBurn"),
)
BUCKETS = {
    "alpmon_feed_lag_seconds_bucket": LAG_BUCKETS,
    "alpmon_pong_latency_seconds_bucket": LATENCY_BUCKETS,
    "alpmon_subscribe_ack_seconds_bucket": LATENCY_BUCKETS,
}


def promtool(*arguments: object) -> None:
    """Run promtool, and fail with what it says."""
    command = [require_tool("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_is_what_its_source_makes() -> None:
    """`make docs` brings it up to date."""
    assert shipped.RULES.read_text() == rules(variables())


def test_a_user_sets_only_what_differs() -> None:
    """A base URL and a threshold arrive where they belong, and the rest stays."""
    text = rules(variables({"runbook_base": "https://wiki.test/alpmon", "pong_slow_seconds": 1}))
    assert "https://wiki.test/alpmon#alpmonpongslow" in text
    assert 'alpmon_pong_latency_seconds_bucket{le="1.0"}' in text
    assert "vector(0.1)" in rules(variables())
    assert shipped.RULES.read_text().count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "wrong", [{"pong_slow_second": 1}, {"pong_slow_seconds": "1"}, {"runbook_base": 5}, {"feed_anomalies": True}]
)
def test_a_wrong_variable_is_refused(wrong: dict[str, object]) -> None:
    """A name that is not there, or a value of another kind."""
    with pytest.raises(VariableError):
        variables(wrong)


def test_promtool_finds_nothing_wrong() -> None:
    """Syntax, duplicates, templates."""
    promtool("check", "rules", shipped.RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_promtool_tries_each_alert(case: Path) -> None:
    """Both sides of `for`, labels and annotations in full; and a healthy day on which nothing fires."""
    promtool("test", "rules", case)


def test_every_alert_is_tried_on_both_sides_of_both_waits() -> None:
    """A case sees it silent at one step and firing at the next, and another firing at one step and silent at the next.

    With `for` or `keep_firing_for` a step shorter or longer it would begin or end at another step.
    """
    begun, ended = set(), set()
    for case in CASES:
        document = yaml.safe_load(case.read_text())
        step = _seconds(document["evaluation_interval"])
        for (name, before), (_, after) in (pair for test in document["tests"] for pair in _neighbours(test, step)):
            begun |= {(name, *_static(labels), step) for labels in after - before}
            ended |= {(name, *_static(labels), step) for labels in before - after}
    for alert in shipped.alerts():
        waits = {"for": begun, "keep_firing_for": ended}
        for wait, tried in waits.items():
            steps = [step for *which, step in tried if which == [alert["alert"], *sorted(alert["labels"].values())]]
            assert steps, f"{alert['alert']} {alert['labels']}: {wait} is tried by no case"
            assert 2 * min(steps) <= _seconds(alert[wait]), (
                f"{alert['alert']}: steps too coarse to see a shorter {wait}"
            )


Firing = set[tuple[tuple[str, str], ...]]
Check = tuple[str, Firing]


def _neighbours(test: dict[str, Any], step: int) -> Iterator[tuple[Check, Check]]:
    """The checks of an alert that are one step apart: its name and which of it fire, by their labels."""
    checks = {
        (check["alertname"], _seconds(check["eval_time"])): {
            tuple(sorted(alert["exp_labels"].items())) for alert in check["exp_alerts"]
        }
        for check in test.get("alert_rule_test", [])
    }
    for (name, at), firing in checks.items():
        if (name, at + step) in checks:
            yield (name, firing), (name, checks[name, at + step])


def _static(labels: tuple[tuple[str, str], ...]) -> list[str]:
    return sorted(value for name, value in labels if name in ("severity", "long_window", "short_window"))


def _seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def test_every_alert_of_the_plan_is_there() -> None:
    """And no other."""
    assert {alert["alert"] for alert in shipped.alerts()} == {f"Alpmon{name}" for name in NAMES}


@pytest.mark.parametrize("alert", shipped.alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_every_alert_says_what_is_needed(alert: shipped.Rule) -> None:
    """Severity, a static summary, a templated description, its own runbook heading, a dashboard, and both times."""
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{" not in alert["annotations"]["summary"]
    assert "{{" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith(f"#{alert['alert'].lower()}")
    assert {"for", "keep_firing_for"} <= set(alert)


@pytest.mark.parametrize("alert", shipped.alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_a_description_looks_its_own_alert_up(alert: shipped.Rule) -> None:
    """Since when the condition holds is asked of the series of this alert, of this severity, and of no other."""
    for matchers in re.findall(r"ALERTS_FOR_STATE{(.*?),%s}", alert["annotations"]["description"]):
        assert dict(re.findall(r'(\w+)="(.*?)"', matchers)) == {"alertname": alert["alert"], **alert["labels"]}


SAYS_SINCE_WHEN = re.compile(r"since \d{4}-\d\d-\d\d |last seen up at \d{4}-\d\d-\d\d |not seen up within the last day")


def test_every_description_says_since_when() -> None:
    """As it reads when the alert fires, in every case."""
    descriptions = [
        alert["exp_annotations"]["description"]
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for check in test.get("alert_rule_test", [])
        for alert in check["exp_alerts"]
    ]
    assert descriptions
    assert [text for text in descriptions if not SAYS_SINCE_WHEN.search(text)] == []


def test_recorded_names_say_level_metric_and_operation() -> None:
    """As Prometheus' own guide asks."""
    assert all(re.fullmatch(r"[a-z]+:[a-z_]+:[a-z0-9_]+", name) for name in shipped.recorded())


@pytest.mark.parametrize(
    "rule", [rule for rule in shipped.rules() if "record" in rule], ids=lambda rule: rule["record"]
)
def test_a_recorded_name_says_how_far_it_looks_back(rule: shipped.Rule) -> None:
    """As far as each range in its expression; a sum over steps is divided by as many as fit."""
    ranges = re.findall(r"\[(\w+)(?::\w+)?\]", rule["expr"])
    named = re.findall(r"(?:rate|increase)(\d+[smhd])$", rule["record"])
    assert set(ranges) == set(named)
    for over, steps in re.findall(r"sum_over_time\(.*\[(\w+)(?::30s)?\]\) / (\d+)", rule["expr"]):
        assert int(steps) == _seconds(over) / 30


@pytest.mark.parametrize("rule", shipped.rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_name_in_a_rule_exists(rule: shipped.Rule) -> None:
    """In the table of families, or recorded by another rule; queries inside descriptions as well."""
    known = shipped.exported() | shipped.recorded() | shipped.PROMETHEUS_OWN
    templates = " ".join(rule.get("annotations", {}).values())
    used = {selector.name for selector in shipped.selectors(rule["expr"])}
    used |= set(re.findall(r"\b(alpmon_[a-z_]+)[{)]", templates))
    assert used - known == set()


def test_every_label_in_a_rule_exists() -> None:
    """A matcher on a label that the family does not carry would match everything or nothing."""
    labels = {family.name: {*family.labels, "job", "instance"} for family in FAMILIES}
    for rule in shipped.rules():
        for selector in shipped.selectors(rule["expr"]):
            family = re.sub(r"_(bucket|count|sum)$", "", selector.name)
            allowed = labels.get(family, {"alpmon_topic_state", "job"}) | {"le"}
            assert {matcher.name for matcher in selector.matchers.matchers} <= allowed, rule


def test_thresholds_of_histograms_are_buckets() -> None:
    """To the letter, or the alert would never see anything."""
    found = set()
    for rule in shipped.rules():
        for selector in shipped.selectors(rule["expr"]):
            for matcher in selector.matchers.matchers:
                if matcher.name == "le":
                    found.add(selector.name)
                    assert matcher.value in {str(bound) for bound in BUCKETS[selector.name]}, rule
    assert found == set(BUCKETS)


def test_the_healthy_day_shows_every_series_that_alerts_look_at() -> None:
    """A day on which the rules had nothing to look at would prove nothing."""
    [day] = yaml.safe_load(HEALTHY_DAY.read_text())["tests"]
    shown = {series["series"].partition("{")[0] for series in day["input_series"]}
    looked_at = {selector.name for rule in shipped.rules() for selector in shipped.selectors(rule["expr"])}
    assert looked_at - shipped.recorded() <= shown


def test_every_dashboard_url_opens_a_shipped_dashboard_at_variables_that_it_has() -> None:
    """A link to nowhere is worse than none."""
    boards = [json.loads(path.read_text()) for path in (shipped.ROOT / "grafana" / "dashboards").glob("*.json")]
    variables_of = {board["uid"]: {item["name"] for item in board["templating"]["list"]} for board in boards}
    for alert in shipped.alerts():
        url = alert["annotations"]["dashboard_url"].replace(
            "{{ if $labels.topic }}alpmon-topic{{ else }}alpmon-connection{{ end }}", "alpmon-topic"
        )
        uid = urlsplit(url).path.removeprefix("/d/")
        assert set(re.findall(r"[?&]var-(\w+)=", url)) <= variables_of[uid], alert["alert"]
