"""Message rates, by reading every topic's counter every few seconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from alpmon.core.rates import SLOT_SECONDS
from alpmon.telemetry.entries import Counted

if TYPE_CHECKING:
    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.state import ConnectionRecord


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
        if topic.freshness is not None:
            topic.meter.read(topic.messages, topic.freshness, record.established_wall, now, wall)
