"""The runbook and the alerts: one heading each, the links between them, and queries that can be pasted."""

from __future__ import annotations

import re
import textwrap
from importlib import resources
from urllib.parse import urlsplit

import pytest

from alpmon import web
from docs.source.runbook import runbook
from tests.grafana import shipped

TEXT = shipped.RUNBOOK.read_text()
CHAPTERS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PARTS = ("**Meaning.**", "**Impact.**", "**Us, the network or the exchange.**", "```promql", "**What to do.**")
QUERIES = [textwrap.dedent(query).strip() for query in re.findall(r"```promql\n(.*?)```", TEXT, re.DOTALL)]
PROCESS = {"process_cpu_seconds_total"}


def test_each_alert_has_its_heading_in_the_order_of_the_rules() -> None:
    """And no heading is about an alert that is gone."""
    assert list(CHAPTERS) == list(dict.fromkeys(alert["alert"] for alert in shipped.alerts()))


def test_the_page_that_the_monitor_serves_is_made_of_it() -> None:
    """Shipped in the package, and written anew by `make docs`."""
    served = resources.files(web) / "assets" / "runbook.html"
    assert served.read_text("utf-8") == runbook(TEXT), "make docs"


def test_every_runbook_url_ends_at_its_heading() -> None:
    """The anchor that a heading gets is its text in lower case."""
    for alert in shipped.alerts():
        fragment = urlsplit(alert["annotations"]["runbook_url"]).fragment
        assert fragment in {name.lower() for name in CHAPTERS}
        assert fragment == alert["alert"].lower()


@pytest.mark.parametrize("name", CHAPTERS)
def test_each_chapter_says_what_it_means_what_it_costs_whose_fault_it_is_and_what_to_do(name: str) -> None:
    """Every part, in this order, with the severities of its rules first."""
    chapter = CHAPTERS[name]
    places = [chapter.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    first_line = chapter.strip().splitlines()[0]
    severities = {alert["labels"]["severity"] for alert in shipped.alerts() if alert["alert"] == name}
    assert {word for word in ("critical", "warning") if word in first_line} == severities


def test_links_inside_the_runbook_lead_somewhere() -> None:
    """To a heading of its own."""
    assert set(re.findall(r"\]\(#(\w+)\)", TEXT)) <= {name.lower() for name in CHAPTERS}


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_is_promql_about_metrics_that_exist(query: str) -> None:
    """Whoever is paged can paste it."""
    known = shipped.exported() | shipped.recorded() | shipped.PROMETHEUS_OWN | PROCESS
    names = {selector.name for selector in shipped.selectors(query)}
    assert names
    assert names <= known
