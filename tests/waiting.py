"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

POLL_SECONDS = 0.005


async def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail the test if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition, not one that could set an event
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        pytest.fail(f"the condition did not come to hold within {seconds} s")
