"""Every threshold that a user can set is tried closely from both sides: a little lower or higher, and a case notices.

The rules are made with one threshold moved, their texts as shipped. Only what can notice is run: the alerts whose
condition the threshold is in, over the cases that look at them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from grafana.source.rules import rules, variables
from tests.grafana import shipped
from tests.tools import require_tool

FOLDER: Final = Path(__file__).parent / "rules"
CASES: Final = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(FOLDER.glob("*.yaml"))]
UNITS: Final = ("seconds", "ratio", "share", "days", "objective")
CLOSE: Final = 0.05
THRESHOLDS: Final = [name for name, value in variables().items() if not isinstance(value, str)]

Document = dict[str, Any]


def neighbours(name: str) -> tuple[float, float]:
    """A value a little lower and one a little higher: a twentieth, or one where it counts something."""
    value = float(variables()[name])
    if name.rsplit("_", 1)[-1] not in UNITS:
        return value - 1, value + 1
    away = CLOSE * (1 - value if name == "slo_objective" else value)  # what is left below the objective is what counts
    return value - away, value + away


def with_expressions_of(text: str) -> list[shipped.Rule]:
    """The shipped rules, as to their texts, with the expressions of these."""
    made = [rule for group in yaml.load(text, yaml.CSafeLoader)["groups"] for rule in group["rules"]]
    return [{**rule, "expr": other["expr"]} for rule, other in zip(shipped.rules(), made, strict=True)]


def judged_by(moved: list[shipped.Rule]) -> set[str]:
    """The alerts that a threshold is in, or else those about what is recorded with it."""
    changed = [rule for rule, before in zip(moved, shipped.rules(), strict=True) if rule["expr"] != before["expr"]]
    recorded = {rule["record"] for rule in changed if "record" in rule}
    return {rule["alert"] for rule in changed if "alert" in rule} or {
        rule["alert"] for rule in moved if "alert" in rule and uses(rule) & recorded
    }


def uses(rule: shipped.Rule) -> set[str]:
    """The names in its expression."""
    return {selector.name for selector in shipped.selectors(rule["expr"])}


def needed(all_rules: list[shipped.Rule], alerts: set[str]) -> list[shipped.Rule]:
    """These alerts and what is recorded for them, in their order."""
    names: set[str] = set()
    kept = []
    for rule in reversed(all_rules):  # what is recorded is recorded before it is used
        if rule.get("alert") in alerts or rule.get("record") in names:
            names |= uses(rule)
            kept.insert(0, rule)
    return kept


def cases_about(alerts: set[str]) -> list[Document]:
    """Each file of cases with the checks of these alerts alone."""
    found = []
    for document in CASES:
        checked = [(case, _checks(case, alerts)) for case in document["tests"]]
        about = [{**case, "promql_expr_test": [], "alert_rule_test": checks} for case, checks in checked if checks]
        found += [{**document, "tests": about}] if about else []
    return found


def _checks(case: Document, alerts: set[str]) -> list[Document]:
    return [check for check in case.get("alert_rule_test", []) if check["alertname"] in alerts]


def failures(moved: list[shipped.Rule], folder: Path) -> str:
    """What promtool finds wrong with the cases about the alerts that the moved rules differ in."""
    alerts = judged_by(moved)
    (folder / "rules.yaml").write_text(yaml.dump({"groups": [{"name": "all", "rules": needed(moved, alerts)}]}))
    files = []
    for number, document in enumerate(cases_about(alerts)):
        files.append(folder / f"cases{number}.yaml")
        files[-1].write_text(yaml.dump({**document, "rule_files": ["rules.yaml"], "group_eval_order": ["all"]}))
    command = [require_tool("promtool"), "test", "rules", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_case_lies_just_below_the_threshold_and_one_just_above(name: str, tmp_path: Path) -> None:
    """Moved past either, an alert fires where it must not, or does not where it must."""
    for value in neighbours(name):
        found = failures(with_expressions_of(rules(variables({name: value}))), tmp_path)
        assert "alertname: Alpmon" in found, f"nothing notices that {name} is {value}"
