"""The troubles that no frame tells of, found by looking once a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from alpmon.telemetry.recorder import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import ConnectionRecord

LOOK_SECONDS: Final = 1.0


class Lookout:
    """Finds them: topics gone stale, and what the feed's own sanity counts."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._episodes: dict[tuple[str, str, str], int] = {}
        self._anomalies: dict[tuple[str, str, str, str], int] = {}

    def look(self, now: float, wall: float) -> None:
        """Keep the frames of every connection where something new is wrong."""
        for target in self._monitor.targets.values():
            for record in target.connections.values():
                self._look_at_topics(target.name, record, now, wall)
                self._look_at_feed(target.name, record, wall)

    def _look_at_topics(self, target: str, record: ConnectionRecord, now: float, wall: float) -> None:
        for topic in record.topics.values():
            if topic.freshness is None:
                continue
            key, episodes = (target, record.label, topic.topic), topic.freshness.episodes(now)
            if episodes > self._episodes.get(key, 0):
                state, age = topic.freshness.state(now), topic.freshness.age(now)
                detail = f"{topic.topic} is {state}, {age:.1f} s old"
                record.recorder.trouble(Trouble.STALE, topic.topic, detail, record.client_id, wall)
            self._episodes[key] = episodes

    def _look_at_feed(self, target: str, record: ConnectionRecord, wall: float) -> None:
        for channel, seen in record.channels.items():
            for kind, count in seen.anomalies.items():
                key = (target, record.label, channel, kind)
                if count > self._anomalies.get(key, 0):
                    reason = f"{channel} {kind}"
                    detail = f"{count - self._anomalies.get(key, 0)} times within a second"
                    record.recorder.trouble(Trouble.ANOMALY, reason, detail, record.client_id, wall)
                self._anomalies[key] = count


async def watch_troubles(monitor: Monitor, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
    """Look out once a second, until cancelled."""
    lookout = Lookout(monitor)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        lookout.look(monotonic(), wall())
