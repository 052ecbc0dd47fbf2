"""The rules of Grafana's dashboard-linter (github.com/grafana/dashboard-linter), held for all panels.

As of June 2026. Its rules on Loki do not apply. What it looks for in units is in test_dashboards.py.
"""

from __future__ import annotations

import re
from typing import Any, Final

import promql_parser
import pytest
from promql_parser import Call, MatrixSelector, VectorSelector, parse_duration

from tests.grafana.reading import DASHBOARDS, RATE_INTERVAL, nodes, panels, parsed, selectors, substituted, targets

TARGETS: Final = [pytest.param(target, id=str(target)) for target in targets()]
WITHOUT_MONITOR: Final = re.compile(r"ALERTS(_FOR_STATE)?|alpmon:\w+:\w+")
"""Alerts and the thresholds of the rules are nobody's in particular; they carry neither job nor instance."""


def _variable(dashboard: dict[str, Any], name: str) -> dict[str, Any]:
    [variable] = [variable for variable in dashboard["templating"]["list"] if variable["name"] == name]
    return dict(variable)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_template_datasource_rule(name: str) -> None:
    """One variable chooses the data source."""
    sources = [v for v in DASHBOARDS[name]["templating"]["list"] if v["type"] == "datasource"]
    assert [(v["name"], v["label"], v["query"]) for v in sources] == [("datasource", "Data source", "prometheus")]


@pytest.mark.parametrize("name", DASHBOARDS)
@pytest.mark.parametrize("label", ["job", "instance"])
def test_template_job_and_instance_rules(name: str, label: str) -> None:
    """Both can be chosen, several at once, and all of them are those that have a value."""
    variable = _variable(DASHBOARDS[name], label)
    assert variable["type"] == "query"
    assert variable["label"] == label.capitalize()
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["multi"]
    assert variable["allValue"] == ".+"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_template_label_promql_and_on_time_change_reload_rules(name: str) -> None:
    """Variables ask for the values of a label of a query that parses, and ask again when the time range changes."""
    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert asked is not None
            assert asked[2] == variable["name"]
            promql_parser.parse(substituted(asked[1]))
            assert variable["refresh"] == 2


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panel_rules(name: str) -> None:
    """Every panel uses the chosen data source, has a title, a description and at least one query."""
    for panel in panels(DASHBOARDS[name]):
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        assert {query["datasource"]["uid"] for query in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("target", TARGETS)
def test_target_promql_rule(target: Any) -> None:
    """Every query parses once its variables are filled in."""
    assert parsed(target.expr)


@pytest.mark.parametrize("target", TARGETS)
def test_target_rate_interval_rule(target: Any) -> None:
    """A rate is taken over `$__rate_interval`, which fits both the step and the scrapes."""
    for node, parents in nodes(parsed(target.expr)):
        if isinstance(node, MatrixSelector):
            by_rate = isinstance(parents[0], Call) and parents[0].func.name in ("rate", "irate")
            assert not by_rate or node.range == parse_duration(RATE_INTERVAL)


@pytest.mark.parametrize("target", TARGETS)
def test_target_counter_agg_rule(target: Any) -> None:
    """A counter is never shown as such: only its rate or its increase means something."""
    for node, parents in nodes(parsed(target.expr)):
        if isinstance(node, VectorSelector) and node.name.endswith("_total"):
            assert isinstance(parents[0], MatrixSelector)
            assert isinstance(parents[1], Call)
            assert parents[1].func.name in ("rate", "irate", "increase")


@pytest.mark.parametrize("target", TARGETS)
def test_target_job_and_instance_rules(target: Any) -> None:
    """Every metric is narrowed down to the chosen monitors."""
    for name, matchers in selectors(target.expr):
        if not WITHOUT_MONITOR.fullmatch(name):
            assert matchers["job"] == "$job"
            assert matchers["instance"] == "$instance"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_uneditable_dashboard_rule(name: str) -> None:
    """What comes from a file is changed in the file."""
    assert DASHBOARDS[name]["editable"] is False
