"""The event loop's own lateness."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from alpmon.telemetry.looplag import watch_loop
from alpmon.telemetry.monitor import Monitor
from tests.waiting import eventually


@pytest.fixture
async def watched() -> AsyncIterator[Monitor]:
    """A monitor whose loop is being watched, every 10 ms."""
    monitor = Monitor(started_wall=0.0)
    watcher = asyncio.create_task(watch_loop(monitor, 0.01))
    yield monitor
    watcher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watcher


async def test_every_tick_is_observed(watched: Monitor) -> None:
    """The histogram, the recent values and the moment of the last tick move together."""
    await eventually(lambda: watched.loop_lag.count >= 3)
    assert len(watched.recent_lag) == watched.loop_lag.count
    assert 0.0 <= time.monotonic() - watched.last_tick < 5.0
    assert min(watched.recent_lag) >= 0.0


async def test_a_blocked_loop_is_late_by_as_long_as_it_was_blocked(watched: Monitor) -> None:
    """Something that holds the loop for 200 ms makes one tick late by at least what its interval does not cover."""
    await eventually(lambda: watched.loop_lag.count >= 1)
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the case
    await eventually(lambda: max(watched.recent_lag) >= 0.15)
