"""What the status says of troubles that no present state shows."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from alpmon.exchange.faults import CrossBook, DelayData, Garbage
from tests.integration.harness import monitoring, target

if TYPE_CHECKING:
    from tests.conftest import StartExchange
    from tests.integration.harness import Monitored

BOOK = "market_depth.BTC_USDT"
WAIT_SECONDS = 30.0


async def findings(monitored: Monitored, kinds: set[str]) -> list[dict[str, Any]]:
    """All, once those kinds are told."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            _, text = await monitored.get("/api/v1/status")
            found: list[dict[str, Any]] = json.loads(text)["verdict"]["findings"]
            if kinds <= {finding["kind"] for finding in found}:
                return found
            await asyncio.sleep(0.1)


async def test_a_feed_that_is_live_and_wrong_is_not_called_well(start_exchange: StartExchange) -> None:
    """Old, crossed and garbled: each by the words of its alert, and nothing that is not so."""
    exchange = await start_exchange(market=True, rate=20.0)
    async with monitoring(target(exchange.url, ["ticker.*", BOOK])) as monitored:
        await monitored.until_live()
        exchange.faults.add(DelayData(topic="ticker.*", by=3.0))
        exchange.faults.add(CrossBook(topic=BOOK))
        for _ in range(2):
            exchange.faults.add(Garbage())
        kinds = {"lagging", "anomalies", "malformed"}
        found = await findings(monitored, kinds)
        assert {finding["kind"] for finding in found} == kinds
        assert all(finding["since_timestamp_seconds"] is not None for finding in found)
        because = {finding["because"]: finding["alert"] for finding in found}
        assert because["market_depth crossed_book, in the last 10 min"] == "AlpmonFeedAnomalies"
        lag = "ticker messages came over 2 s after their stamps, in the last 5 min"
        assert because[f"{lag}, while round trips were quick"] == "AlpmonFeedLagging"
