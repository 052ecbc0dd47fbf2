"""The simulated exchange as a command, and with the monitor beside it: the demo."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
import structlog

from alpmon import config, service
from alpmon.core.events import Dialect
from alpmon.exchange import Exchange, Settings
from alpmon.exchange.scenario import play
from alpmon.web.server import listening_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from alpmon.config import Config
    from alpmon.exchange.scenario import Scenario
    from alpmon.service import Service

DEMO_TOPICS: Final = (
    "ticker.*",
    "trade.*",
    "market_depth.BTC_USDT",
    "market_depth.ETH_USDT",
    "market_depth.ZEC_USDC",
)
"""A wildcard of each busy channel, and books of busy and of quiet pairs: all that both dialects deliver."""

OBSERVED: Final = Settings(seed=1)
"""The demo's exchange that plays the scenario."""
DOCUMENTED: Final = Settings(dialect=Dialect.DOCUMENTED, seed=2)
"""And the one that stays healthy."""


async def simulate(settings: Settings, scenario: Scenario | None) -> None:
    """Serve a simulated exchange until SIGTERM or SIGINT.

    Raises:
        ListenError: the address to listen on cannot be had.
    """
    async with service.stop_signals() as stop, _playing(settings, scenario) as exchange:
        log = structlog.get_logger("alpmon.exchange")
        log.info("simulated exchange", url=exchange.url, control=exchange.http_url + "/control/ledger")
        await stop.wait()


async def demo(listen: str, scenario: Scenario) -> None:
    """Run the monitor against two simulated exchanges: one plays the scenario, the other stays healthy."""
    async with _playing(OBSERVED, scenario) as observed, _playing(DOCUMENTED, None) as documented:

        async def tell(running: Service) -> None:
            click.echo(_where_to_look(running.url, observed, scenario), err=True)

        await service.run(demo_config(listen, observed, documented, scenario), tell)


def demo_config(listen: str, observed: Exchange, documented: Exchange, scenario: Scenario) -> Config:
    """What the demo watches; shown at /config like any other."""
    probing = {"timeouts": {"ack": "2s"}, "ack_probe_interval": "5s", "redundancy": scenario.redundancy}
    if scenario.reference:
        probing["reference"] = {"url": observed.rest_url, "interval": "5s"}
    # With somebody to vouch for a silence thresholds may be short, and a frozen book is found while one watches.
    usual = {"ceiling": "2m"} if scenario.reference else {}
    targets = [
        {"name": "observed", "url": observed.url, **_watched(usual), **probing},
        {"name": "documented", "url": documented.url, **_watched({}, "diff.BTC_USDT")},
    ]
    text = msgspec.json.encode({"listen": listen, "targets": targets}).decode()
    return config.parse(text, "demo", {})


def _watched(usual: dict[str, str], *more: str) -> dict[str, Any]:
    """What a target watches, and by which usual rule; `more` is what its dialect alone delivers."""
    return {
        "topics": (*DEMO_TOPICS, *more),
        "rtt_interval": "5s",
        "reconnect": {"max": "10s"},
        "freshness": {
            "default": usual,
            "overrides": [
                {"topics": "trade.*", "mode": "fixed", "after": "20s"},
                {"topics": "market_depth.ZEC_USDC", "silent_after": "10m"},  # its first book may take five minutes
            ],
        },
    }


@contextlib.asynccontextmanager
async def _playing(settings: Settings, scenario: Scenario | None) -> AsyncIterator[Exchange]:
    async with contextlib.AsyncExitStack() as stack:
        with listening_on(settings.host, settings.port):
            exchange = await stack.enter_async_context(Exchange(settings))
        if scenario is not None:
            stack.push_async_callback(_cancel, asyncio.create_task(play(exchange, scenario)))
        yield exchange


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _where_to_look(url: str, exchange: Exchange, scenario: Scenario) -> str:
    lines = [
        "",
        "  alpmon watches two simulated exchanges; nothing leaves this machine. Ctrl-C ends it.",
        "",
        f"  status page   {url}/",
        f"  metrics       {url}/metrics",
        f"  status, JSON  {url}/api/v1/status",
        f"  configuration {url}/config",
        f"  ledger        {exchange.http_url}/control/ledger   what the exchange really did",
        "",
        f"  target `documented` stays healthy; target `observed` plays: {scenario.description}",
        "",
    ]
    lines += [f"  {_clock(step.at)}  {_told(step.fault.model_dump(exclude_unset=True))}" for step in scenario.steps]
    return "\n".join([*lines, ""])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:2d}:{rest:02d}"


def _told(fault: dict[str, Any]) -> str:
    details = [f"{key} {value:g} s" if key == "by" else f"{key} {value}" for key, value in fault.items()]
    name, *rest = (detail.removeprefix("fault ") for detail in details)  # the fault's own name stands first
    return f"{name:<16} {', '.join(rest)}".rstrip()
