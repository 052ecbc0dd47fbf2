"""The alerts that a replay tells are those that are shipped."""

from __future__ import annotations

import re

import pytest

from alpmon.config import parse_duration
from alpmon.telemetry.alerts import ALERTS, STALE, STALE_NOT_THIN_SECONDS, THIN, Alert
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
    """Below the same share of its rate, and not where it has been stale for so long that another alert has it."""
    below, unless = rule_of(THIN)["expr"].splitlines()
    assert below.endswith(f" < {THIN_RATIO}")
    [stale_for] = re.findall(r"^unless min_over_time\(topic:alpmon_topic_stale:min\[(\w+)\]\) == 1$", unless)
    assert parse_duration(stale_for) == STALE_NOT_THIN_SECONDS


def test_a_topic_that_never_delivered_is_never_stale_by_the_rule() -> None:
    """It has an alert of its own, here as there."""
    assert rule_of(STALE)["expr"].endswith("(alpmon_topic_last_message_timestamp_seconds) > 0")
