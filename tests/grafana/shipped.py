"""The rules that are shipped, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.family import Kind

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "grafana" / "rules" / "alpmon.rules.yaml"
ALERTMANAGER: Final = ROOT / "grafana" / "alertmanager.yaml"
RUNBOOK: Final = ROOT / "docs" / "alerts.md"
PROMETHEUS_OWN: Final = {"up"}

Rule = dict[str, Any]


def groups() -> list[dict[str, Any]]:
    """The rule groups, in their order."""
    return yaml.safe_load(RULES.read_text())["groups"]  # type: ignore[no-any-return]


def rules() -> list[Rule]:
    """All rules."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[Rule]:
    """The rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    """The names of what the rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def exported() -> set[str]:
    """Every series name that the monitor shows."""
    names = {family.name for family in FAMILIES}
    histograms = {family.name for family in FAMILIES if family.kind is Kind.HISTOGRAM}
    return names | {name + suffix for name in histograms for suffix in ("_bucket", "_count", "_sum")}


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Every selector in an expression.

    Raises:
        ValueError: it is no PromQL.
    """
    yield from _selectors(promql_parser.parse(expression))


def _selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        child = getattr(node, name, None)
        if child is not None:
            yield from _selectors(child)
    for argument in getattr(node, "args", None) or ():
        yield from _selectors(argument)
