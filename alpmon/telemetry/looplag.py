"""How late the event loop's own timer runs: tells a slow monitor from a slow exchange."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from alpmon.telemetry.monitor import Monitor


TICK_SECONDS: Final = 0.1


async def watch_loop(monitor: Monitor, interval: float = TICK_SECONDS) -> None:
    """Tick every `interval` seconds until cancelled; each tick's lateness goes into the monitor's record."""
    while True:
        due = time.monotonic() + interval
        await asyncio.sleep(interval)
        now = time.monotonic()
        late = max(0.0, now - due)
        monitor.loop_lag.observe(late)
        monitor.recent_lag.append(late)
        monitor.last_tick = now


def late_share(lateness: Collection[float]) -> float:
    """For how much of some ticks' time the loop was late, which is given for each in seconds."""
    late = sum(lateness)
    return late / (len(lateness) * TICK_SECONDS + late) if lateness else 0.0
