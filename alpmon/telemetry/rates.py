"""Message rates from the counters that are there anyway, read every few seconds: no message costs anything more."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from alpmon.core.freshness import TopicState
from alpmon.core.rates import SLOT_SECONDS, Rate
from alpmon.telemetry.entries import Counted

if TYPE_CHECKING:
    from alpmon.telemetry.state import ConnectionRecord, Monitor, TopicRecord

_LONGEST_SLOT_SECONDS: Final = 5 * SLOT_SECONDS
"""Who slept for longer (a stopped process, a suspended machine) knows nothing about the rate meanwhile."""
_SUBSCRIBED: Final = (TopicState.LIVE, TopicState.QUIET, TopicState.STALE, TopicState.SILENT)


class RateMeter:
    """One topic's rate, and where its counter stood when it was last read.

    Only slots count that lie wholly within one session, after the acknowledgement: time while down is no thin feed.

    Attributes:
        rate: what the slots come to.
        seen: messages when the counter was last read.
    """

    __slots__ = ("_at", "_session_wall", "rate", "seen")

    def __init__(self) -> None:
        self.rate = Rate()
        self._at = 0.0
        self.seen = 0
        self._session_wall = 0.0

    def read(self, topic: TopicRecord, session_wall: float, now: float, wall: float) -> None:
        """Close a slot.

        Args:
            topic: whose counter it is.
            session_wall: when the present session was welcomed, 0.0 while down; tells one session from the next.
            now: monotonic seconds.
            wall: unix seconds.
        """
        if topic.freshness is None:
            return
        messages, self.seen = topic.messages - self.seen, topic.messages
        seconds, self._at = now - self._at, now
        state = topic.freshness.state(now)
        before, self._session_wall = self._session_wall, session_wall if state in _SUBSCRIBED else 0.0
        if not self._session_wall or self._session_wall != before or not 0.0 < seconds <= _LONGEST_SLOT_SECONDS:
            return
        if state is TopicState.QUIET:
            self.rate.excuse()
        else:
            self.rate.observe(messages, seconds, topic.freshness.stale_after(), wall)


async def watch_rates(monitor: Monitor, interval: float = SLOT_SECONDS) -> None:
    """Read all counters every `interval` seconds until cancelled, letting others run between two connections."""
    while True:
        await asyncio.sleep(interval)
        for target in list(monitor.targets.values()):
            for record in list(target.connections.values()):
                now, wall = time.monotonic(), time.time()
                if target.tape is not None:
                    target.tape.write(Counted(now=now, wall=wall, line=f"{target.name}/{record.label}"))
                read_rates(record, now, wall)
                await asyncio.sleep(0)


def read_rates(record: ConnectionRecord, now: float, wall: float) -> None:
    """Close a slot of every topic of one connection."""
    for topic in record.topics.values():
        topic.meter.read(topic, record.established_wall, now, wall)
