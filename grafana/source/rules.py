"""`grafana/rules/alpmon.rules.yaml`, made from `rules.yaml` and `variables.yaml` beside this file.

Prometheus knows no variables in rules, and every alert needs the same base URLs. So the rules are written in
Prometheus' own YAML, comments and all, with `%{name}` where a value is the user's to choose; this fills them in.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

SOURCE: Final = Path(__file__).parent
Value = str | int | float


_VARIABLE: Final = re.compile(r"%\{(\w+)\}")


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
        return _VARIABLE.sub(lambda found: str(given[found[1]]), (SOURCE / "rules.yaml").read_text())
    except KeyError as missing:
        raise VariableError(f"the rules use {missing}, which is not given") from missing


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
