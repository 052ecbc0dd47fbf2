"""Dead, deaf, thin or merely quiet: the monitor's verdict, with the exchange's own ledger as judge."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alpmon.core.cadence import Cadence
from alpmon.core.events import Dialect
from alpmon.core.rates import SLOT_SECONDS, Rate
from alpmon.exchange.faults import Freeze, Mute, Thin
from alpmon.telemetry.statefile import Learnt, save
from tests.integration.harness import TARGET, Monitored, Scrape, configuration, monitoring, target, until
from tests.integration.prometheus import free_port
from tests.processes import process

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

FAST = 100.0
"""Times the exchange's real pace: a hundred trades and tickers a second."""
TOPICS = ["ticker.*", "trade.*", "rates.*"]
FIXED = {"mode": "fixed", "after": "2s"}
ADAPTIVE = {"mode": "adaptive", "floor": "2s", "ceiling": "30s"}
"""Far above what these feeds pause for, so that a machine that stumbles makes no episode."""


def sent(exchange: Exchange, topic: str) -> int:
    """Frames that the exchange has sent of a topic."""
    count = exchange.ledger.topics().get(topic)
    return 0 if count is None else count.frames


def state(scrape: Scrape, topic: str) -> str:
    """The one state that a topic is in."""
    states = scrape.values("alpmon_topic_state", topic=topic)
    [name] = [dict(labels)["alpmon_topic_state"] for labels, value in states.items() if value]
    return name


async def until_topic(monitored: Monitored, topic: str, wanted: str) -> None:
    """Wait for a topic's state."""
    await until(lambda: monitored.state(topic) == wanted)


@pytest.mark.parametrize("rule", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
async def test_a_muted_topic_is_stale_while_its_neighbours_stay_live(
    start_exchange: StartExchange, rule: dict[str, Any]
) -> None:
    """And live again with its first message; only the muted time is booked, as one episode."""
    exchange = await start_exchange(market=True, rate=FAST)
    async with monitoring(target(exchange.url, TOPICS, freshness={"default": rule})) as monitored:
        await monitored.until_live()
        await until(lambda: all(sent(exchange, topic) >= 100 for topic in TOPICS))
        muted = exchange.faults.add(Mute(topic="ticker.*"))
        before, neighbours = sent(exchange, "ticker.*"), sent(exchange, "trade.*")
        muted_at = time.monotonic()
        await until_topic(monitored, "ticker.*", "stale")
        scrape = await monitored.scrape()
        assert [state(scrape, topic) for topic in TOPICS] == ["stale", "live", "live"]
        assert scrape.value("alpmon_topic_stale", topic="ticker.*") == 1
        assert sent(exchange, "ticker.*") == before, "the exchange says that it sent none"
        assert sent(exchange, "trade.*") > neighbours, "and that it sent others"
        exchange.faults.lift(muted)
        await until_topic(monitored, "ticker.*", "live")
        muted_seconds = time.monotonic() - muted_at
        scrape = await monitored.scrape()
        assert [state(scrape, topic) for topic in TOPICS] == ["live", "live", "live"]
        assert scrape.value("alpmon_topic_stale_episodes_total", topic="ticker.*") == 1
        assert 0 < scrape.value("alpmon_topic_stale_seconds_total", topic="ticker.*") < muted_seconds
        for topic in ("trade.*", "rates.*"):
            assert scrape.value("alpmon_topic_stale_episodes_total", topic=topic) == 0, topic


async def test_acknowledged_and_never_heard_of_is_silent(start_exchange: StartExchange) -> None:
    """`diff.*` on the exchange as it was observed; the threshold has no part in it."""
    exchange = await start_exchange(dialect=Dialect.OBSERVED, market=True, rate=FAST)
    freshness = {"default": {"mode": "fixed", "after": "1h", "silent_after": "500ms"}}
    async with monitoring(target(exchange.url, ["diff.*", "trade.*"], freshness=freshness)) as monitored:
        await until_topic(monitored, "diff.*", "silent")
        scrape = await monitored.scrape()
        [entry] = exchange.ledger.connections
        assert any("diff.*" in reply.topics for reply in entry.acks)
        assert "diff.*" not in entry.topics
        assert state(scrape, "trade.*") == "live"
        assert scrape.value("alpmon_topic_stale", topic="diff.*") == 1
        assert scrape.value("alpmon_messages_total", topic="diff.*") == 0


def learnt_rate(messages_a_second: float) -> dict[str, Any]:
    """What a rate has saved that saw this for twenty minutes."""
    rate = Rate()
    for slot in range(600):
        rate.observe(round(messages_a_second * SLOT_SECONDS), SLOT_SECONDS, 5.0, slot * SLOT_SECONDS)
    saved = rate.snapshot()
    assert saved is not None
    return saved


async def test_a_feed_thinned_to_2_percent_is_found_by_its_rate_and_by_nothing_else(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Alive by every timestamp; the state file brings what is usual, so that nobody waits ten minutes to learn it."""
    usual = {"ticker.*": FAST / 1.1, "rates.*": FAST / 5.0}
    path = tmp_path / "state.json"
    save(path, {TARGET: {topic: Learnt(rate=learnt_rate(rate)) for topic, rate in usual.items()}}, time.time())
    exchange = await start_exchange(market=True, rate=FAST)
    one = target(exchange.url, list(usual), freshness={"default": {"mode": "fixed", "after": "5s"}})
    async with monitoring(one, state_file=str(path)) as monitored:
        meters = {topic: monitored.connection().topics[topic].meter for topic in usual}
        await until(lambda: all(0.7 < meter.rate.ratio < 1.3 for meter in meters.values()))
        exchange.faults.add(Thin(topic="ticker.*", keep=0.02))
        thinned_at, before = time.monotonic(), {topic: sent(exchange, topic) for topic in usual}
        await until(lambda: meters["ticker.*"].rate.ratio < 0.2)
        seconds = time.monotonic() - thinned_at
        scrape = await monitored.scrape()
        share = {topic: (sent(exchange, topic) - before[topic]) / seconds / rate for topic, rate in usual.items()}
        assert 0.0 < share["ticker.*"] < 0.1, "the exchange says that it sent next to nothing"
        assert 0.7 < share["rates.*"] < 1.3
        assert scrape.value("alpmon_topic_rate_ratio", topic="ticker.*") < 0.2
        assert 0.5 < scrape.value("alpmon_topic_rate_ratio", topic="rates.*") < 1.5
        assert [state(scrape, topic) for topic in usual] == ["live", "live"]
        assert scrape.value("alpmon_topic_stale_episodes_total") == 0


async def read(port: int) -> Scrape | None:
    """A process's metrics, if it serves them already."""

    def get() -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()  # type: ignore[no-any-return]

    try:
        return Scrape(await asyncio.to_thread(get))
    except OSError:
        return None


class Run:
    """`alpmon run` in a process of its own."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    async def until(self, enough: int) -> Scrape:
        """Its metrics, once it is up and so many messages have come."""
        async with asyncio.timeout(60):
            while True:
                scrape = await read(self._port)
                if scrape is not None and scrape.value("alpmon_connection_up"):
                    messages = scrape.value("alpmon_messages_total")
                    if messages >= enough:
                        return scrape
                await asyncio.sleep(0.05)

    async def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()


@asynccontextmanager
async def running(config: Path, port: int) -> AsyncIterator[Run]:
    """A process with this configuration, which listens there."""
    command = (sys.executable, "-m", "alpmon", "run", "--config", config)
    async with process(*command, stderr=asyncio.subprocess.DEVNULL) as started:
        yield Run(started, port)


async def test_a_new_process_judges_by_what_the_last_one_learnt(start_exchange: StartExchange, tmp_path: Path) -> None:
    """The exchange says nothing to the second, so what it knows can only come from the file."""
    exchange = await start_exchange(market=True, rate=FAST)
    port, state_file, config = free_port(), tmp_path / "state.json", tmp_path / "alpmon.yaml"
    rule = {"mode": "adaptive", "floor": "1ms", "ceiling": "10m"}
    one = target(exchange.url, ["ticker.*"], freshness={"default": rule})
    config.write_text(configuration(one, listen=f"127.0.0.1:{port}", state_file=str(state_file)))
    async with running(config, port) as first:
        last = (await first.until(enough=300)).value("alpmon_topic_stale_after_seconds")
        exchange.faults.add(Freeze())
        assert await first.end() == 0
    assert os.stat(state_file).st_mode & 0o777 == 0o600  # noqa: PTH116
    learnt = Cadence(0.001, 600.0)
    learnt.restore(json.loads(state_file.read_bytes())["topics"][TARGET]["ticker.*"]["cadence"])
    assert last / 5 < learnt.stale_after() < min(5 * last, 60.0)
    async with running(config, port) as second:
        scrape = await second.until(enough=0)
        assert scrape.value("alpmon_messages_total") == 0
        assert scrape.value("alpmon_topic_stale_after_seconds") == pytest.approx(learnt.stale_after())
        assert await second.end() == 0
