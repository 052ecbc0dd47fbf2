"""What the dashboards call bad time is what the rules alert on: the same stories, the same figures."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.grafana.reading import substituted, targets
from tests.grafana.shipped import RULES
from tests.grafana.test_rules import CASES, promtool

if TYPE_CHECKING:
    from pathlib import Path

EXPRS: Final = {str(target): target.expr for target in targets()}
SHARE: Final = "target:alpmon_topic_bad:ratio_rate5m"
STORIES: Final = {
    story["name"]: story
    for case in CASES
    for story in yaml.safe_load(case.read_text())["tests"]
    if any(SHARE in check["expr"] for check in story.get("promql_expr_test", []))
}
"""Those of the rules' own tests that say what the share is."""
RULE: Final = re.compile(rf'{SHARE}(?:{{target="(\w+)"}})?(\[\w+)?')


def drawn(found: re.Match[str]) -> str:
    """The panel's query in the place of the rule's record, with the same window."""
    expr = substituted(EXPRS["overview: Bad share of feed-time: A"], __rate_interval="5m", target=found[1] or ".+")
    return f"({expr})" + (f"{found[2]}:30s" if found[2] else "")


def shown(check: dict[str, Any]) -> dict[str, Any]:
    """A check of the rule, made of the panel, which keeps no label but the target.

    To a tenth: the rule takes ten looks at a connection in five minutes, the panel all eleven scrapes.
    """
    samples = [
        {**sample, "labels": re.sub(r'^.*{|job="alpmon",', lambda cut: "{" if "{" in cut[0] else "", sample["labels"])}
        for sample in check["exp_samples"]
    ]
    return {**check, "expr": f"round({RULE.sub(drawn, check['expr'])}, 0.1)", "exp_samples": samples}


def holds(folder: Path, series: list[dict[str, str]], checks: list[dict[str, Any]]) -> None:
    """Fails with what promtool finds."""
    tests = [{"interval": "30s", "input_series": series, "promql_expr_test": checks}]
    path = folder / "story.yaml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": tests}))
    promtool("test", "rules", path)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_bad_share_that_is_drawn_is_the_one_that_alerts(story: dict[str, Any], tmp_path: Path) -> None:
    """In every story of the rules' tests, over the same window."""
    holds(tmp_path, story["input_series"], [shown(check) for check in story["promql_expr_test"]])


LABELS: Final = 'instance="a",job="alpmon",target="alp",connection="0-0"'
HOURS: Final = {
    "all good": ("0x120", "9x120", "1x120", 1.0, 1),
    "never delivered": ("0+30x120", "0x120", "1x120", 1.0, 1),
    "stale for six minutes": ("0x60 0+30x12 360x60", "9x120", "1x120", 0.9, -99),
    "down for six minutes": ("0x120", "9x120", "1x60 0x11 1x60", 0.9, -99),
    "watched for half, stale for a tenth of that": (
        "_x60 0x30 0+30x6 180x30",
        "_x60 9x60",
        "_x60 1x60",
        0.9,
        -49,
    ),
}
"""Stale seconds, time of the last message and whether there is a session, each 30 s; and what the two numbers say."""


@pytest.mark.parametrize("name", HOURS)
def test_the_numbers_of_a_range_are_its_moments_together(name: str, tmp_path: Path) -> None:
    """Good of what was watched; the budget is that of the whole range, as the rules take it."""
    stale, last, up, good, left = HOURS[name]
    labels = LABELS + ',topic="trade.*"'
    given = {
        f"alpmon_topic_stale_seconds_total{{{labels}}}": stale,
        f"alpmon_topic_last_message_timestamp_seconds{{{labels}}}": last,
        f"alpmon_connection_up{{{LABELS}}}": up,
    }
    panels = {"overview: Good feed-seconds: A": (good, 0.02), "overview: Error budget left: A": (left, 5)}
    times = {"__rate_interval": "1m", "__interval": "30s", "__range": "1h", "__range_s": "3600"}
    checks = [
        {
            "expr": f"abs({substituted(EXPRS[panel], **times)} - {value}) < bool {off}",
            "eval_time": "1h",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for panel, (value, off) in panels.items()
    ]
    holds(tmp_path, [{"series": series, "values": values} for series, values in given.items()], checks)
