"""Many processes with one configuration: who holds what, by the account of the exchange they are connected to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from alpmon.core.layout import Group, mine, plan
from alpmon.exchange.faults import DelayAcks
from tests.integration.harness import target, until
from tests.integration.prometheus import free_port, until_ready
from tests.processes import end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from alpmon.exchange import Exchange
    from alpmon.exchange.ledger import ConnectionEntry
    from tests.conftest import StartExchange

SYMBOLS = [f"S{number}_USDT" for number in range(500)]
TOPICS = [f"{channel}.{symbol}" for channel in ("trade", "market_depth") for symbol in SYMBOLS]
GROUPS = plan(TOPICS, 20)
LONG = 60.0
"""Nothing here is judged by the clock, and eight processes that start at once keep a machine busy."""

pytestmark = pytest.mark.busy


def topics_of(shard: int, shard_count: int) -> set[str]:
    """What the plan gives to a shard."""
    groups: dict[int, Group] = mine("test", GROUPS, shard, shard_count)
    return {topic for group in groups.values() for topic in group}


def subscribed_at(entry: ConnectionEntry) -> dict[str, float]:
    """When the exchange acknowledged each topic of a connection."""
    return {topic: ack.at for ack in reversed(entry.acks) for topic in ack.topics}


class Fleet:
    """Processes of one configuration, and what the exchange says of them."""

    def __init__(self, exchange: Exchange, config: Path) -> None:
        self.exchange = exchange
        self._config = config
        self.processes: dict[int, asyncio.subprocess.Process] = {}
        self._addresses: dict[int, str] = {}

    async def start(self, ordinal: int, shard_count: int, replicas: int = 1) -> None:
        """Start a process as a StatefulSet starts a pod: named by its ordinal."""
        shard = {"INDEX": f"alpmon-{ordinal}", "COUNT": str(shard_count), "REPLICAS": str(replicas)}
        self._addresses[ordinal] = f"127.0.0.1:{free_port()}"
        with self._log(ordinal).open("ab") as log:
            self.processes[ordinal] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "alpmon", "run", "--config", str(self._config)),
                *("--listen", self._addresses[ordinal]),
                env=os.environ | {f"ALPMON_SHARD_{name}": value for name, value in shard.items()},
                stderr=log,
            )

    async def stop(self, ordinal: int) -> None:
        """End a process as Kubernetes does, and wait until the exchange has seen all of it go."""
        process = self.processes[ordinal]
        process.terminate()
        assert await process.wait() == 0
        del self.processes[ordinal]

    async def stop_all(self) -> None:
        """End every process, whichever ended before."""
        await asyncio.gather(*map(end, self.processes.values()))

    def held(self) -> Counter[str]:
        """How many open connections hold each topic now."""
        return Counter(topic for session in self.exchange.sessions for topic in session.topics)

    async def until_ready(self, ordinal: int) -> None:
        """Wait as the kubelet does, by the readiness probe."""
        await until_ready(f"http://{self._addresses[ordinal]}", self.processes[ordinal])

    async def until_held(self, expected: Counter[str]) -> None:
        """Wait until every topic is held as often as expected; a process that ends by itself ends the wait."""
        await until(lambda: self.held() == expected or self._fallen(), seconds=LONG)
        assert not self._fallen()

    def _fallen(self) -> dict[int, str]:
        """The last words of the processes that ended by themselves."""
        fallen = [ordinal for ordinal, process in self.processes.items() if process.returncode is not None]
        return {ordinal: self._log(ordinal).read_text()[-2000:] for ordinal in fallen}

    def _log(self, ordinal: int) -> Path:
        return self._config.with_name(f"{ordinal}.log")

    def gaps(self) -> dict[str, int]:
        """How often each topic went from held to unheld since it was first held, by the ledger."""
        turns = defaultdict(list)
        for entry in self.exchange.ledger.connections:
            for topic, at in subscribed_at(entry).items():
                turns[topic].append((at, 1))
                if entry.close is not None:
                    turns[topic].append((entry.close.at, -1))
        return {topic: _returns_to_zero(sorted(each)) for topic, each in turns.items()}


def _returns_to_zero(turns: list[tuple[float, int]]) -> int:
    level = zeros = 0
    for _, step in turns:
        level += step
        zeros += level == 0
    return zeros


@asynccontextmanager
async def running(start_exchange: StartExchange, folder: Path) -> AsyncIterator[Fleet]:
    """No process yet; all that are started end with the block."""
    exchange = await start_exchange(silent_symbols=frozenset(SYMBOLS))
    config = folder / "alpmon.yaml"
    quiet = {"ack_probe_interval": "0s", "rtt_interval": "0s"}
    patient = {"timeouts": dict.fromkeys(("connect", "welcome", "ack"), f"{LONG:g}s")}
    watched = target(exchange.url, TOPICS, **quiet, **patient)
    config.write_text(json.dumps({"listen": "127.0.0.1:0", "targets": [watched]}))
    fleet = Fleet(exchange, config)
    try:
        yield fleet
    finally:
        await fleet.stop_all()


@pytest.mark.slow
async def test_eight_shards_hold_1000_topics_once_each_and_a_ninth_joins_them(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Before and after each topic is held exactly once.

    In between, what moves to the ninth is held twice until its old holder is replaced, and never by nobody; what a
    replaced process keeps is held by nobody exactly once, while that process starts again; nothing else is touched.
    """
    async with running(start_exchange, tmp_path) as fleet:
        once = Counter(TOPICS)
        for ordinal in range(8):
            await fleet.start(ordinal, 8)
        await fleet.until_held(once)

        moving = topics_of(8, 9)
        await fleet.start(8, 9)
        await fleet.until_held(once + Counter(moving))

        for ordinal in reversed(range(8)):
            await fleet.stop(ordinal)
            assert set(TOPICS) - set(fleet.held()) == topics_of(ordinal, 9)
            await fleet.start(ordinal, 9)
            still_twice = moving & {topic for other in range(ordinal) for topic in topics_of(other, 8)}
            await fleet.until_held(once + Counter(still_twice))

        assert fleet.gaps() == {topic: 0 if topic in moving else 1 for topic in TOPICS}
        assert 0 < len(moving) < len(TOPICS) / 4


@pytest.mark.slow
async def test_with_two_replicas_no_topic_is_ever_held_by_nobody_while_a_shard_is_added(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Two shards become three, each held twice; the exchange never sees a topic without a subscriber."""
    async with running(start_exchange, tmp_path) as fleet:
        for ordinal in range(4):
            await fleet.start(ordinal, 2, replicas=2)
        await fleet.until_held(Counter(TOPICS * 2))
        for ordinal in (4, 5):
            await fleet.start(ordinal, 3, replicas=2)
        added = Counter([*topics_of(1, 3), *topics_of(2, 3)])
        await fleet.until_held(Counter(TOPICS * 2) + added)
        for ordinal in (3, 2, 1, 0):
            before = fleet.held() - Counter(topics_of(ordinal % 2, 2))
            await fleet.stop(ordinal)
            assert set(fleet.held()) == set(TOPICS)
            await fleet.start(ordinal, 3, replicas=2)
            await fleet.until_held(before + Counter(topics_of(ordinal % 3, 3)))
        await fleet.until_held(Counter(TOPICS * 2))
        assert fleet.gaps() == dict.fromkeys(TOPICS, 0)


@pytest.mark.slow
async def test_a_holder_is_ready_when_it_has_its_topics_so_that_the_other_may_go(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Kubernetes replaces the next pod as soon as one is ready, and the exchange takes its time to acknowledge."""
    async with running(start_exchange, tmp_path) as fleet:
        fleet.exchange.faults.add(DelayAcks(by=1.0))
        for ordinal in (0, 1):
            await fleet.start(ordinal, 1, replicas=2)
        await fleet.until_held(Counter(TOPICS * 2))
        for ordinal in (1, 0):
            await fleet.stop(ordinal)
            await fleet.start(ordinal, 1, replicas=2)
            await fleet.until_ready(ordinal)
        await fleet.until_held(Counter(TOPICS * 2))
        assert fleet.gaps() == dict.fromkeys(TOPICS, 0)
