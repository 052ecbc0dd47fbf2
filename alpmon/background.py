"""Tasks beside the connections: a bug in one is told, never swallowed, and the task goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

RESTART_SECONDS: Final = 1.0


def in_background(name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run something for as long as the task is not cancelled; `run` is called again after an exception."""
    return asyncio.create_task(_keep(name, run), name=name)


async def _keep(name: str, run: Callable[[], Awaitable[None]]) -> None:
    log = structlog.get_logger("alpmon")
    while True:
        try:
            await run()
        except Exception:
            log.exception("a task died of a bug and will be restarted", task=name)
            await asyncio.sleep(RESTART_SECONDS)
        else:
            return
