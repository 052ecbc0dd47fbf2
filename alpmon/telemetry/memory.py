"""What freshness and the rates have learnt, carried over restarts in the state file."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from alpmon.telemetry import statefile
from alpmon.telemetry.statefile import Learning, Learnt, StateFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import TopicRecord

SAVE_SECONDS: Final = 60.0


class Memory:
    """Gives every topic what was learnt of it before, and writes down what is learnt now.

    A file that is not ours is kept aside with one warning, and never written over. Nothing here ends the monitor: what
    cannot be read is learnt anew, and what cannot be written is tried again.

    Args:
        path: the state file; read at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = structlog.get_logger("alpmon").bind(state_file=str(path))
        self._writable = True
        self._failing = False
        self._writing: asyncio.Future[None] | None = None
        self._learning = self._load()

    def _load(self) -> Learning:
        try:
            return statefile.load(self._path)
        except StateFileError as error:
            self._set_aside(str(error))
        except OSError as error:
            self._writable = False
            self._log.warning("state file cannot be read and is left alone", error=error.strerror)
        return {}

    def _set_aside(self, why: str) -> None:
        try:
            aside = statefile.set_aside(self._path)
        except OSError as error:
            self._writable = False
            self._log.warning("state file is no use and is left alone", why=why, error=error.strerror)
        else:
            self._log.warning("state file is no use and was set aside", why=why, set_aside=str(aside))

    def recall(self, target: str, topic: TopicRecord) -> Learnt | None:
        """Give a topic that was just set up what is known of it; returns that."""
        learnt = self._learning.get(target, {}).get(topic.topic)
        if learnt is None:
            return None
        try:
            restore(topic, learnt.cadence, learnt.rate)
        except ValueError as error:
            self._log.warning("what was saved of a topic is no use", target=target, topic=topic.topic, why=str(error))
        return learnt

    async def keep(self, monitor: Monitor, interval: float = SAVE_SECONDS) -> None:
        """Write the file every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.save(monitor)

    async def save(self, monitor: Monitor) -> None:
        """Write down what is known now; topics that are no longer held are left out."""
        self._learning = await _gather(monitor)
        if not self._writable:
            return
        if self._writing is not None:
            await asyncio.wait([self._writing])  # A `keep` that was cancelled left it running.
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._learning))
        await asyncio.shield(self._writing)

    def _write(self, learning: Learning) -> None:
        try:
            statefile.save(self._path, learning, time.time())
        except OSError as error:
            if not self._failing:
                self._log.warning("state file cannot be written; will be tried again", error=error.strerror)
            self._failing = True
        else:
            self._failing = False


def restore(topic: TopicRecord, cadence: Mapping[str, object] | None, rate: Mapping[str, object] | None) -> None:
    """Give a topic what was learnt before; None for nothing.

    Raises:
        ValueError: one of them is no use; what comes before it was taken.
    """
    if topic.freshness is None:
        return
    if cadence is not None:
        topic.freshness.restore(cadence)
    if rate is not None:
        topic.meter.rate.restore(rate)


async def _gather(monitor: Monitor) -> Learning:
    """Letting others run between two topics: a snapshot takes a part of a millisecond."""
    learning: Learning = {}
    for target in list(monitor.targets.values()):
        busiest: dict[str, TopicRecord] = {}
        for record in list(target.connections.values()):
            for topic in list(record.topics.values()):
                busiest[topic.topic] = max(topic, busiest.get(topic.topic, topic), key=lambda each: each.messages)
        known = learning[target.name] = {}
        for name, topic in busiest.items():
            if topic.freshness is not None:
                known[name] = Learnt(topic.freshness.snapshot(), topic.meter.rate.snapshot())
                await asyncio.sleep(0)
    return learning
