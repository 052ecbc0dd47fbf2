"""README.md of the chart: README.md.in with the version and a table of all values."""

from __future__ import annotations

import json
from typing import Any, Final

from helm.source.values import Value

PLACE: Final = "<!-- values -->"
_LONG: Final = 60


def readme(frame: str, values: list[Value], version: str) -> str:
    """The whole file; `version` is that of the program."""
    rows = [f"| `{'.'.join(value.path)}` | {_shown(value.default)} | {value.description} |" for value in values]
    table = "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])
    return frame.replace("%{version}", version).replace(PLACE, table)


def _shown(default: Any) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= _LONG else "see values.yaml"
