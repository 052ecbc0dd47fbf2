"""Write the dashboards: `python -m grafana.source`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source.connection import connection
from grafana.source.monitor import monitor
from grafana.source.overview import overview
from grafana.source.topic import topic

FOLDER: Final = Path(__file__).parents[1] / "dashboards"
DASHBOARDS: Final = {"overview": overview, "connection": connection, "topic": topic, "monitor": monitor}
"""The file of each dashboard, without its extension."""


def as_json(dashboard: Dashboard) -> str:
    """What Grafana imports."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write all files anew."""
    for name, made in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(as_json(made()))


if __name__ == "__main__":
    main()
