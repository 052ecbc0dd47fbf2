"""The committed dashboards as a test reads them: panels, queries, and what a query is made of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GRAFANA: Final = Path(__file__).parents[2] / "grafana"
DASHBOARDS: Final = {path.stem: json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")}

RATE_INTERVAL: Final = "11m11s"
"""Stands in for `$__rate_interval`, so that a test knows it again in what was parsed."""

_VARIABLE: Final = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    dashboard: str
    panel: dict[str, Any]
    query: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']}: {self.query['refId']}"

    @property
    def expr(self) -> str:
        return str(self.query["expr"])


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> list[Target]:
    """Every query of every panel."""
    return [
        Target(name, panel, query)
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for query in panel["targets"]
    ]


def substituted(expr: str, **values: str) -> str:
    """The query with variables filled in as Grafana does; those of the dashboard stand at "all"."""
    given = {"__rate_interval": RATE_INTERVAL, "__interval": "1m", "__range": "1h", "__range_s": "3600"} | values
    return _VARIABLE.sub(lambda found: given.get(found[1], ".+"), expr)


def nodes(expression: Any, *parents: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node of a parsed query with the nodes above it, the nearest first."""
    yield expression, parents
    for part in ("expr", "param", "lhs", "rhs", "vector_selector"):
        if (child := getattr(expression, part, None)) is not None:
            yield from nodes(child, expression, *parents)
    for child in getattr(expression, "args", ()):
        yield from nodes(child, expression, *parents)


def parsed(expr: str) -> Any:
    """The query's tree; an exception if it is none."""
    return promql_parser.parse(substituted(expr))


def selectors(expr: str) -> list[tuple[str, Mapping[str, str]]]:
    """The metrics that a query reads, each with its matchers, variables not yet filled in."""
    bare = re.sub(r"\$__\w+", lambda found: "3600" if found[0].endswith("_s") else "1h", expr)
    return [
        (node.name, {matcher.name: matcher.value for matcher in node.matchers.matchers})
        for node, _ in nodes(promql_parser.parse(bare))
        if isinstance(node, promql_parser.VectorSelector)
    ]
