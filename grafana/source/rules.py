"""`grafana/rules/alpmon.rules.yaml`, made from `rules.yaml` and `variables.yaml` beside this file.

Prometheus knows no variables in rules, and every alert needs the same base URLs. So the rules are written in
Prometheus' own YAML, comments and all, with `%{name}` where a value is the user's to choose; this fills them in.
`%{since}` in a description becomes a sentence that says since when the alert's condition has held.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

SOURCE: Final = Path(__file__).parent
Value = str | int | float


_VARIABLE: Final = re.compile(r"%\{(\w+)\}")
_EACH_ALERT: Final = re.compile(r"^(?= +- alert: )", re.MULTILINE)

# By all labels of the alert, which only it knows; without a topic it must not find the series of one that has one.
_SINCE: Final = """
            {{- $own := printf "topic=%q" $labels.topic }}
            {{- range $name, $text := $labels }}{{ if ne $name "__name__" -}}
            {{ $own = printf "%s,%s=%q" $own $name $text }}{{ end }}{{ end }}
            {{- range printf `ALERTS_FOR_STATE{MATCHERS,%s}` $own | query }} The condition has held since
            {{ .Value | humanizeTimestamp }}.{{ end }}"""


class VariableError(ValueError):
    """The variables are not what the rules need."""


def variables(overrides: Mapping[str, object] | None = None) -> dict[str, Value]:
    """The variables block, with what a user sets instead.

    Raises:
        VariableError: a name is not in the block, or a value is of another kind than the one it replaces.
    """
    values: dict[str, Value] = yaml.safe_load((SOURCE / "variables.yaml").read_text())
    for name, value in (overrides or {}).items():
        if name not in values:
            raise VariableError(f"there is no variable {name!r}; there are {', '.join(values)}")
        if isinstance(value, bool) or not isinstance(value, str if isinstance(values[name], str) else int | float):
            raise VariableError(f"{name} must be {'a text' if isinstance(values[name], str) else 'a number'}")
        values[name] = value
    return values


def rules(values: Mapping[str, Value]) -> str:
    """The rules file's text.

    Raises:
        VariableError: the rules use a variable that is not given.
    """
    given = _bounds(values)
    try:
        return _VARIABLE.sub(lambda found: str(given[found[1]]), _with_since((SOURCE / "rules.yaml").read_text()))
    except KeyError as missing:
        raise VariableError(f"the rules use {missing}, which is not given") from missing


def _with_since(source: str) -> str:
    """With the query in place of each `%{since}` that finds the series of the alert around it."""
    head, *blocks = _EACH_ALERT.split(source)
    rules = [rule for group in yaml.safe_load(source)["groups"] for rule in group["rules"] if "alert" in rule]
    return head + "".join(
        block.replace("%{since}", _SINCE.replace("MATCHERS", _matchers(rule)))
        for block, rule in zip(blocks, rules, strict=True)
    )


def _matchers(rule: Mapping[str, Any]) -> str:
    """What tells an alert from the others, its name and its own labels."""
    return ",".join(f'{name}="{value}"' for name, value in {"alertname": rule["alert"], **rule["labels"]}.items())


def _bounds(values: Mapping[str, Value]) -> dict[str, Value]:
    """With `name_le` for each number of seconds: as an `le` label writes it, which matches to the letter."""
    les = {f"{name}_le": str(float(value)) for name, value in values.items() if name.endswith("_seconds")}
    return {**values, **les}


def main(arguments: list[str]) -> None:
    """Print the rules."""
    parser = argparse.ArgumentParser(description="Print alpmon's Prometheus rules.")
    parser.add_argument("--variables", type=Path, help="YAML file with the variables that differ from variables.yaml")
    chosen = parser.parse_args(arguments).variables
    try:
        text = rules(variables(yaml.safe_load(chosen.read_text()) if chosen else None))
    except VariableError as error:
        parser.error(str(error))
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
