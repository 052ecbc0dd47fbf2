"""A real Chromium that looks at a page, and writes down whatever it complains about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

from tests.tools import require_tool

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Locator, Page

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
ACCESSIBILITY = (Path(__file__).parent / "accessibility.js").read_text()
_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""
WAIT_MILLISECONDS = 30_000


class Visit:
    """One page in one window."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.set_default_timeout(WAIT_MILLISECONDS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    async def until_live(self) -> None:
        """The script has drawn at least one status."""
        await self.page.locator("#link[data-link=live]").wait_for()

    async def complaints(self) -> list[str]:
        """Errors on the console, violations of the policy, exceptions."""
        violations: list[str] = await self.page.evaluate("window.violations")
        return self.errors + violations

    async def accessibility(self) -> list[str]:
        """What stands in somebody's way."""
        found: list[str] = await self.page.evaluate(ACCESSIBILITY)
        return found

    def rows(self) -> Locator:
        """The topics that are shown."""
        return self.page.locator("#targets tbody tr")

    async def topics(self) -> list[str]:
        """Their names, in their order."""
        return await self.page.locator("#targets tbody th").all_inner_texts()

    async def until(self, expression: str) -> Any:
        """Wait until JavaScript finds something to be so, and return what it found."""
        async with asyncio.timeout(WAIT_MILLISECONDS / 1e3):
            # not wait_for_function: it evaluates text, which the page's policy forbids
            while not (found := await self.page.evaluate(expression)):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.02)
            return found


class Visitor:
    """Opens pages."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def open(self, url: str, **context: Any) -> Visit:
        """A window of its own; `context` as Playwright's `new_context` takes it."""
        window = await self._browser.new_context(**context)
        await window.add_init_script(_WATCH_POLICY)
        visit = Visit(await window.new_page())
        await visit.page.goto(url)
        return visit


@asynccontextmanager
async def visiting() -> AsyncIterator[Visitor]:
    """A browser for as long as the context lasts."""
    chromium = require_tool("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            yield Visitor(browser)
        finally:
            await browser.close()
