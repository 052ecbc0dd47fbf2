"""The pictures of the status page in the README, taken anew.

    python -m tests.web.screenshots [--after SECONDS]

Runs `alpmon demo` in a process of its own, waits until one of its topics has gone stale (20 s after it is muted), and
takes one picture for a desk and one for a phone in the dark. Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.prometheus import free_port
from tests.web.browser import Visitor, visiting

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESK = {"viewport": {"width": 1200, "height": 760}, "color_scheme": "light", "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 390, "height": 760}, "color_scheme": "dark", "device_scale_factor": 2}
AFTER_SECONDS = 50.0
"""In the demo `trade.*` is muted from 0:20 to 1:00, and stale from 0:40 on."""


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """A demo that has just begun; yields its URL."""
    url = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alpmon", "demo", "--listen", url, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://{url}/"
    finally:
        process.terminate()
        await process.wait()


async def take(visitor: Visitor, url: str, name: str, **window: object) -> None:
    """One picture, of what a person sees without scrolling."""
    visit = await visitor.open(url, **window)
    await visit.until_live()
    await visit.page.screenshot(path=IMAGES / f"{name}.png")


async def main(after: float) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with demo() as url, visiting() as visitor:
        await asyncio.sleep(after)
        await take(visitor, url, "status-desk", **DESK)
        await take(visitor, url, "status-phone", **PHONE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--after", type=float, default=AFTER_SECONDS, help="seconds of the demo to let pass")
    asyncio.run(main(parser.parse_args().after))
