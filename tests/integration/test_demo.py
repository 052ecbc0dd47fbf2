"""The demo as users start it, a real Prometheus and the shipped rules: its first trouble, and no other."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.grafana.shipped import RULES, recorded
from tests.integration.prometheus import free_port, prometheus, until_ready
from tests.processes import process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OBSERVED, DOCUMENTED = "observed", "documented"
LEVELS = ("topic", "connection", "channel", "target")
"""Of the recorded series that there are for every target from the first minute on."""


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[str]:
    """`alpmon demo`, as soon as it is connected; yields its `host:port`."""
    address = f"127.0.0.1:{free_port()}"
    with (folder / "demo.log").open("wb") as log:
        command = (sys.executable, "-m", "alpmon", "demo", "--listen", address)
        async with process(*command, stdout=log, stderr=log) as started:
            await until_ready(f"http://{address}", started)
            yield address


@pytest.mark.slow
async def test_the_demos_first_trouble_is_an_alert_about_that_feed_and_there_is_none_about_the_healthy_target(
    tmp_path: Path,
) -> None:
    """All series of both targets arrive and are recorded; `trade.*`, mute from 0:20 on, is pending before 1:00."""
    async with demo(tmp_path) as address, prometheus(tmp_path, address, rule_files=[str(RULES)]) as server:
        for target in (OBSERVED, DOCUMENTED):
            await server.until(f'alpmon_connection_up{{target="{target}"}} == 1')
        [scraped] = (await server.get("targets"))["activeTargets"]
        assert (scraped["health"], scraped["lastError"]) == ("up", "")

        [stale] = await server.until('ALERTS{alertname="AlpmonFeedStale"}')
        told = await server.query('last_over_time(ALERTS{target!=""}[1h])')
        labels = {"alertstate": "pending", "target": OBSERVED, "connection": "0-0", "topic": "trade.*"}
        assert labels.items() <= stale["metric"].items()
        assert [alert["metric"] for alert in told] == [stale["metric"]]

        for name in sorted(recorded()):
            if name.startswith(LEVELS):
                await server.until(f"count(group by (target) ({name})) == 2")
