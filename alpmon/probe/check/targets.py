"""A check of every target of a configuration, each as the monitor would connect to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Final

from alpmon.core.layout import plan
from alpmon.probe.check.request import CheckRequest
from alpmon.probe.check.steps import check

if TYPE_CHECKING:
    from alpmon.config import Target
    from alpmon.probe.check.report import Report
    from alpmon.probe.check.request import Audience

AT_ONCE: Final = 16
"""Checks that run side by side: hundreds of targets are done in a minute, and no server sees a flood."""
_NAMED: Final = 10


class UnknownTargetError(Exception):
    """The configuration has no target of that name."""


def chosen(targets: Sequence[Target], names: Sequence[str]) -> list[Target]:
    """The targets with these names, in the order of the configuration; all of them without names.

    Raises:
        UnknownTargetError: a name is not among them; says which there are.
    """
    known = [target.name for target in targets]
    for name in names:
        if name not in known:
            raise UnknownTargetError(f"no target is named {shortened(name)}; {_way_out(name, known)}")
    return [target for target in targets if not names or target.name in names]


def _way_out(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known[:_NAMED])}{' and others' if len(known) > _NAMED else ''}"


def check_of(target: Target, topics: tuple[str, ...], messages: int, timeout_seconds: float) -> CheckRequest:
    """What to check of a target: the topics given, or else those of its first connection."""
    return CheckRequest(
        target.url,
        topics or plan(target.topics, target.max_topics_per_connection)[0],
        messages,
        timeout_seconds,
        ca_file=target.tls.ca_file,
        insecure_skip_verify=target.tls.insecure_skip_verify,
        server_name=target.tls.server_name,
        max_frame_bytes=target.max_frame_bytes,
        target=target.name,
    )


async def check_each(
    requests: Sequence[CheckRequest], audience: Audience, told: Callable[[Report], None]
) -> list[Report]:
    """Check all of them, several at a time; `told` hears of each in the order of the requests.

    What `told` raises ends them all, and comes out as it is, which a task group would wrap.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: CheckRequest) -> Report:
        async with gate:
            return await check(request, audience)

    reports = []
    tasks = [asyncio.create_task(one(request)) for request in requests]
    try:
        for task in tasks:
            reports.append(await task)
            told(reports[-1])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return reports
