"""What a status page can be about, on purpose: monitors with each state in them, for its tests and its pictures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from alpmon.core.events import Dialect
from alpmon.core.states import State
from alpmon.exchange import Exchange, Settings
from alpmon.exchange.faults import DropAcks, Mute, RefuseUpgrades
from alpmon.telemetry.history import STEP_SECONDS
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.state import ConnectionRecord
from alpmon.web.app import create_app
from alpmon.web.server import serve
from tests.integration.harness import monitoring, target, until
from tests.telemetry.records import RULE, STARTED_WALL, Clock, bring_up, connection, fresh_monitor

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
NOW = 1000.0
BOOK = "market_depth.ETH_USDT"


@asynccontextmanager
async def served(
    monitor: Monitor, runbook_url: str | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[str]:
    """The address of a page about a monitor whose time stands still, or is told."""
    registry, wall = CollectorRegistry(), STARTED_WALL + 60.0
    app = create_app(monitor, registry, str, clock or Clock(), lambda: wall, runbook_url=lambda: runbook_url)
    server = await serve(app, "127.0.0.1", 0)
    try:
        yield server.url
    finally:
        await server.close()


def of_many(connections: int, topics: int, since: float = NOW) -> Monitor:
    """Connections and topics of each, all up since then."""
    records = [
        connection(f"{n}-0", [f"market_depth.A{n:02}B{m:02}_USDT" for m in range(topics)]) for n in range(connections)
    ]
    for record in records:
        bring_up(record, since)
    return fresh_monitor(*records)


def a_thousand() -> Monitor:
    """Topics, each with a message every ten seconds; the last one of the last connection has been stale for 20 s."""
    monitor = of_many(50, 20, since=NOW - 60.0)
    records = monitor.targets["alp"].connections
    topics = [topic for record in records.values() for topic in record.topics.values()]
    for record in records.values():
        record.state_since_wall, record.last_frame_wall = STARTED_WALL, STARTED_WALL + 60.0
        record.advertised_interval_seconds, record.advertised_timeout_seconds = 20.0, 30.0
        record.attempts = 1
    for step in range(12):
        for topic in topics[step % 2 :: 2]:
            topic.messages += 1
        monitor.history.sample(monitor.targets.values(), NOW, STARTED_WALL + (step + 1) * STEP_SECONDS)
    for topic in topics:
        assert topic.freshness is not None
        topic.freshness.message(NOW - (30.0 if topic is topics[-1] else 4.0))
        topic.last_message_wall = STARTED_WALL + (30.0 if topic is topics[-1] else 56.0)
    return monitor


def frozen_record() -> ConnectionRecord:
    """One connection with a bit of everything."""
    record = connection(topics=("trade.*", "ticker.*", "diff.BTC_USDT"))
    bring_up(record, NOW - 25.0)
    trades = record.topics["trade.*"]
    assert trades.freshness is not None
    trades.freshness.message(NOW - 2.0)
    trades.messages, trades.last_message_wall = 1234, STARTED_WALL + 58.0
    for slot in range(400):
        trades.meter.rate.observe(5, 5.0, RULE.after, STARTED_WALL + 5.0 * slot)
    record.topics["diff.BTC_USDT"].last_message_wall = STARTED_WALL - 2 * 86400.0
    record.advertised_interval_seconds, record.advertised_timeout_seconds = 20.0, 30.0
    record.last_failure, record.last_failure_wall = "http_status: HTTP 503", STARTED_WALL - 60.0
    record.attempts = 3
    return record


@asynccontextmanager
async def every_state(late: str = "200ms") -> AsyncIterator[str]:
    """Exchanges that fail each in its own way, watched, so that a topic is in each state; the address of the page.

    `late` is the age from which a topic is stale.
    """
    async with AsyncExitStack() as stack:
        failing = await stack.enter_async_context(Exchange(Settings(rate=20.0)))
        mute = Settings(market=False, dialect=Dialect.DOCUMENTED)
        refusing, deaf, paused = [await stack.enter_async_context(Exchange(mute)) for _ in range(3)]
        failing.faults.add(Mute(topic="trade.*"))
        refusing.faults.add(RefuseUpgrades(status=503))
        deaf.faults.add(DropAcks())
        freshness = {
            "default": {"mode": "fixed", "after": "10m", "silent_after": "10m"},
            "overrides": [
                {"topics": "trade.*", "mode": "fixed", "after": late, "silent_after": "10m"},
                {"topics": "diff.*", "silent_after": late},
                {"topics": BOOK, "mode": "fixed", "after": "1s"},
            ],
        }
        reference = {"url": paused.rest_url, "interval": "1s"}
        topics = ["ticker.*", "trade.*", "diff.BTC_USDT", "market_depth.NOPE_USDT"]
        targets = [
            target(failing.url, topics, freshness=freshness),
            {**target(refusing.url, ["ticker.*"]), "name": "refusing"},
            {**target(deaf.url, ["rates.*"], timeouts={"ack": "60s"}), "name": "deaf"},
            {**target(paused.url, [BOOK], freshness=freshness, reference=reference), "name": "paused"},
        ]
        monitored = await stack.enter_async_context(monitoring(*targets, runbook_url="https://wiki.test/alerts.md"))
        await until(lambda: monitored.service.monitor.targets["paused"].connections["0-0"].state is State.LIVE)
        paused.publish(paused.market.quotes.book("ETH_USDT", time.time()))
        yield monitored.service.url
