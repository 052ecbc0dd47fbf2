"""Processes that a test starts: none of them outlives it."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def process(*command: object, **options: Any) -> AsyncIterator[Process]:
    """A process that ends with the block, as `asyncio.create_subprocess_exec` starts it.

    The block belongs into the test, not into a fixture: when pytest's timeout breaks in, fixtures are torn down while
    the test goes on, and may start others; only then is the test cancelled.
    """
    started = await asyncio.create_subprocess_exec(*map(str, command), **options)
    try:
        yield started
    finally:
        await end(started)


async def end(started: Process) -> None:
    """Ask a process to end, and make it if it does not; it may have ended before."""
    with contextlib.suppress(ProcessLookupError):
        started.terminate()
    try:
        await asyncio.wait_for(started.wait(), PATIENCE_SECONDS)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        raise
