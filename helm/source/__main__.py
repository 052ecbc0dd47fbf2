"""`python -m helm.source` writes everything that is made of something else into helm/alpmon."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from alpmon import __version__
from helm.source.readme import readme
from helm.source.schema import values_schema
from helm.source.values import documented

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "helm" / "alpmon"
_SOURCE: Final = ROOT / "helm" / "source"
_RULES: Final = ROOT / "grafana" / "rules" / "alpmon.rules.yaml"


def generated() -> dict[Path, str]:
    """Every generated file of the chart and what it must hold."""
    values = list(documented((CHART / "values.yaml").read_text()))
    return {
        CHART / "values.schema.json": values_schema((_SOURCE / "schema.yaml").read_text(), values, _alerts()),
        CHART / "README.md": readme((_SOURCE / "README.md.in").read_text(), values, __version__),
        **_copies(),
    }


def _alerts() -> set[str]:
    """The names of the alerts."""
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def _copies() -> dict[Path, str]:
    """Rules and dashboards as they stand in grafana/."""
    dashboards = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
    copies = {CHART / "files" / _RULES.name: _RULES.read_text()}
    return copies | {CHART / "files" / "dashboards" / path.name: path.read_text() for path in dashboards}


def stale_files() -> set[Path]:
    """Copies whose original is gone."""
    return {path for path in (CHART / "files").rglob("*") if path.is_file()} - set(generated())


def main() -> None:
    """Write what is generated, and remove what no longer is."""
    for path in stale_files():
        path.unlink()
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
