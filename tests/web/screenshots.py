"""The pictures of the status page in the README and in docs/status-page.md, taken anew.

    python -m tests.web.screenshots [NAME ...]

Takes those that are named, or all. The README's two are of `alpmon demo`, in a process of its own, in its second
round, so that timelines have something to tell, which takes nine minutes. The others are of `tests.web.scenes`. Needs
Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from alpmon.core.freshness import TopicState
from alpmon.telemetry.monitor import Monitor
from tests.integration.prometheus import free_port
from tests.processes import process
from tests.telemetry.records import STARTED_WALL
from tests.web.browser import Visit, visiting
from tests.web.scenes import a_thousand, every_state, served

IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUALITY = 85
DESK: dict[str, Any] = {"viewport": {"width": 1200, "height": 760}, "device_scale_factor": 1.5}
HEAD: dict[str, Any] = {"viewport": {"width": 1200, "height": 360}, "device_scale_factor": 1.5}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 760}, "device_scale_factor": 2, "is_mobile": True}
LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}
DEMO_SECONDS = 8 * 60 + 50.0
"""In each round of eight minutes `trade.*` is muted from 0:20 to 1:00, and stale from 0:40 on."""
API = "**/api/**"


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """`alpmon demo`, when a topic has gone stale."""
    address = f"127.0.0.1:{free_port()}"
    command = (sys.executable, "-m", "alpmon", "demo", "--listen", address)
    async with process(*command, stderr=asyncio.subprocess.DEVNULL):
        await asyncio.sleep(DEMO_SECONDS)
        yield f"http://{address}/"


def states() -> AbstractAsyncContextManager[str]:
    """Each state of a topic."""
    return every_state(late="5s")


def thousand() -> AbstractAsyncContextManager[str]:
    """On fifty connections, one of them stale."""
    return served(a_thousand())


def none() -> AbstractAsyncContextManager[str]:
    """A shard without a connection."""
    return served(Monitor(started_wall=STARTED_WALL))


async def all_states(visit: Visit) -> None:
    for state in TopicState:
        await visit.page.locator(f"#targets tr[data-state={state}]").first.wait_for()


async def loading(visit: Visit) -> None:
    """As the server drew it, while the first answer is waited for."""
    await visit.page.route(API, lambda route: None)
    await visit.page.reload()


async def reconnecting(visit: Visit) -> None:
    await visit.until_live()
    await visit.page.route(API, lambda route: route.abort())
    await visit.page.locator("#link[data-link=reconnecting]").wait_for()


async def unreachable(visit: Visit) -> None:
    await reconnecting(visit)
    await visit.page.get_by_role("alert").wait_for()


async def login(visit: Visit) -> None:
    await visit.until_live()
    await visit.page.route(API, lambda route: route.fulfill(status=401))
    await visit.page.get_by_role("alert").wait_for()


async def unmatched(visit: Visit) -> None:
    await visit.until_live()
    await visit.page.locator("#filter").fill("no such topic")


class Picture(NamedTuple):
    """Of a scene, in a window, after something was done there."""

    scene: Callable[[], AbstractAsyncContextManager[str]]
    window: dict[str, Any]
    done: Callable[[Visit], Awaitable[None]] = Visit.until_live


PICTURES = {
    "status-desk": Picture(demo, DESK | LIGHT),
    "status-phone": Picture(demo, PHONE | DARK),
    "states-desk": Picture(states, DESK | DARK, all_states),
    "states-phone": Picture(states, PHONE | LIGHT, all_states),
    "loading": Picture(states, HEAD | LIGHT, loading),
    "reconnecting": Picture(states, HEAD | LIGHT, reconnecting),
    "unreachable": Picture(states, HEAD | LIGHT, unreachable),
    "login": Picture(states, HEAD | LIGHT, login),
    "none": Picture(none, HEAD | LIGHT),
    "thousand": Picture(thousand, DESK | LIGHT),
    "unmatched": Picture(thousand, HEAD | LIGHT, unmatched),
}


async def photograph(visit: Visit) -> bytes:
    """What a person sees without scrolling; as WebP, which Playwright itself cannot write, a third of the size."""
    session = await visit.page.context.new_cdp_session(visit.page)
    taken = await session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(taken["data"])


async def take(scene: Callable[[], AbstractAsyncContextManager[str]], names: list[str]) -> None:
    """The pictures of one scene, all of the same moment."""
    async with scene() as url, visiting() as visitor:
        for name in names:
            picture = PICTURES[name]
            visit = await visitor.open(url, **picture.window)
            await picture.done(visit)
            (IMAGES / f"{name}.webp").write_bytes(await photograph(visit))
            await visit.page.unroute_all(behavior="ignoreErrors")


async def main(names: list[str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for scene in dict.fromkeys(PICTURES[name].scene for name in names):
        await take(scene, [name for name in names if PICTURES[name].scene is scene])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", choices=[*PICTURES, []], help=", ".join(PICTURES))
    asyncio.run(main(parser.parse_args().names or list(PICTURES)))
