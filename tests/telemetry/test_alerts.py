"""The alerts that a replay tells are those that are shipped."""

from __future__ import annotations

import re

import pytest

from alpmon.config import parse_duration
from alpmon.core.freshness import TROUBLE
from alpmon.telemetry.alerts import ALERTS, THIN, Alert
from alpmon.telemetry.troubles import THIN_RATIO
from tests.grafana import shipped


def rule_of(alert: Alert) -> shipped.Rule:
    """The shipped one."""
    [rule] = [
        each
        for each in shipped.alerts()
        if each["alert"] == alert.name and each["labels"]["severity"] == alert.severity
    ]
    return rule


def expanded(expression: str) -> str:
    """An expression, and those of the recorded series in it."""
    recorded = {rule["record"]: rule["expr"] for rule in shipped.rules() if "record" in rule}
    used = [recorded[selector.name] for selector in shipped.selectors(expression) if selector.name in recorded]
    return " ".join([expression, *used])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_has_the_numbers_of_its_rule(alert: Alert) -> None:
    """`for`, `keep_firing_for`, and where it counts how many within how long."""
    rule = rule_of(alert)
    assert parse_duration(rule["for"]) == alert.hold
    assert parse_duration(rule["keep_firing_for"]) == alert.keep
    windows = {parse_duration(window) for window in re.findall(r"\bincrease\(.*\[(\w+)\]", expanded(rule["expr"]))}
    assert windows == ({alert.window} if alert.window else set())
    if alert.window:
        assert rule["expr"].endswith(f" > {alert.more_than}")


def test_a_topic_is_thin_by_the_rule_as_it_is_here() -> None:
    """Below the same share of its rate, and not where another alert has it already."""
    expression = rule_of(THIN)["expr"]
    assert f"< {THIN_RATIO}\n" in expression
    assert "unless ignoring (alpmon_topic_state) topic:alpmon_topic_state:max == 1" in expression
    [states] = re.findall(r'alpmon_topic_state=~"([a-z|]+)"}', expanded("topic:alpmon_topic_state:max"))[:1]
    assert set(states.split("|")) == {state.value for state in TROUBLE}
