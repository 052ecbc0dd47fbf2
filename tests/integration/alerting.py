"""The way of an alert behind Prometheus: the shipped rules at a faster pace, a real Alertmanager, and who is told."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import yaml
from aiohttp import web

from tests.grafana.shipped import ALERTMANAGER
from tests.integration.prometheus import free_port, until_ready
from tests.processes import process
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Labels: TypeAlias = tuple[tuple[str, str], ...]
PACE = 60
"""A minute of the rules is a second of the test. All windows and waits shrink alike, so what counts stays the same."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?<!window: )(?<![\w.])(\d+)([smhd])(?=[\]:\n])")


def faster(rules: str) -> str:
    """Rules whose ranges, steps, intervals, `for` and `keep_firing_for` are `PACE` times as short; the rest stays."""
    return _DURATION.sub(lambda found: f"{int(found[1]) * _UNITS[found[2]] * 1000 // PACE}ms", rules)


class Told:
    """What a webhook was told of each alert: the text when it first fired, and how it stands."""

    def __init__(self) -> None:
        self.first: dict[Labels, dict[str, str]] = {}
        self.status: dict[Labels, str] = {}

    async def hear(self, request: web.Request) -> web.Response:
        """One notification."""
        for alert in (await request.json())["alerts"]:
            labels = tuple(sorted(alert["labels"].items()))
            self.first.setdefault(labels, alert["annotations"])
            self.status[labels] = alert["status"]
        return web.Response()

    def about(self, target: str) -> list[Labels]:
        """The labels of every alert that ever fired about a target."""
        return [labels for labels in self.first if ("target", target) in labels]


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, Told]]:
    """A receiver of notifications: its URL and what it was told."""
    told, app = Told(), web.Application()
    app.router.add_post("/", told.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port := free_port())
        await site.start()
        yield f"http://127.0.0.1:{port}/", told
    finally:
        await runner.cleanup()


def configuration(webhook_url: str) -> str:
    """The shipped Alertmanager configuration, with somebody to tell, and without waiting."""
    shipped = yaml.safe_load(ALERTMANAGER.read_text())
    shipped["route"] |= {"group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    for receiver in shipped["receivers"]:
        receiver["webhook_configs"] = [{"url": webhook_url}]
    return json.dumps(shipped)


@asynccontextmanager
async def alertmanager(folder: Path, webhook_url: str) -> AsyncIterator[str]:
    """A real Alertmanager with somebody to tell; yields its `host:port`."""
    async with running(folder, configuration(webhook_url)) as address:
        yield address


@asynccontextmanager
async def running(folder: Path, config: str) -> AsyncIterator[str]:
    """A real Alertmanager with this configuration; yields its `host:port`."""
    address = f"127.0.0.1:{free_port()}"
    (folder / "alertmanager.yml").write_text(config)
    command = (
        require_tool("prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    with (folder / "alertmanager.log").open("wb") as log:
        async with process(*command, stdout=log, stderr=log) as started:
            await until_ready(f"http://{address}", started)
            yield address
