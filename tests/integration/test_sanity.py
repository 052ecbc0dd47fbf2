"""Every anomaly that the exchange commits is counted, exactly, and nothing that it does right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alpmon.core.events import Dialect
from alpmon.core.sanity import POSSIBLE
from alpmon.exchange.faults import Close, CrossBook, Duplicate, Freeze, Payload, Reorder
from tests.integration.harness import Monitored, Scrape, monitoring, target, until

if TYPE_CHECKING:
    from pathlib import Path

    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

TOPICS = ["trade.*", "ticker.*", "rates.*", "diff.BTC_USDT", "market_depth.BTC_USDT", "market_depth.ETH_USDT"]


def trade(number: int, stamp: float = 1790139142, symbol: str = "BTC_USDT", price: str = "1") -> str:
    return f'["t",{stamp},{number},"{symbol}","1","{price}","buy"]'


def book(asks: str, bids: str, stamp: int = 1790139142, symbol: str = "BTC_USDT") -> str:
    return f'["p",{stamp},{{"Asks":[{asks}],"Bids":[{bids}],"Symbol":"{symbol}","TotalAsks":"1","TotalBids":"1"}}]'


def ticker(stamp: int, *symbols: str, ask: str = "1") -> str:
    rows = ",".join(f'["{symbol}","1","1","1","-1","1","1","1","{ask}"]' for symbol in symbols)
    return f'["tk",{stamp},{rows}]'


async def counted(exchange: Exchange, monitored: Monitored, *frames: str) -> dict[tuple[str, str], float]:
    """The anomalies, by channel and kind, after these frames."""
    before = monitored.connection().data_frames
    for frame in frames:
        exchange.send(Payload(text=frame))
    await until(lambda: monitored.connection().data_frames == before + len(frames))
    return anomalies(await monitored.scrape())


def anomalies(scrape: Scrape) -> dict[tuple[str, str], float]:
    """What is not zero."""
    samples = [sample for sample in scrape.samples if sample.name == "alpmon_feed_anomalies_total"]
    return {(s.labels["channel"], s.labels["kind"]): s.value for s in samples if s.value}


ASKS, BIDS = '["101","1"],["102","1"]', '["100","1"],["99","1"]'
CASES = {
    "trade ids rise in each pair": ([trade(5), trade(1, symbol="ETH_USDT"), trade(6), trade(2, symbol="ETH_USDT")], {}),
    "a trade twice": ([trade(5), trade(5), trade(6)], {("trade", "trade_id_repeat"): 1}),
    "a trade late": ([trade(6), trade(5), trade(7)], {("trade", "trade_id_regression"): 1}),
    "a stamp that goes back": ([trade(1, 20), trade(2, 19.5), trade(3, 21)], {("trade", "timestamp_regression"): 1}),
    "an older trade of another pair": ([trade(2, 20), trade(1, 19, "ETH_USDT")], {}),
    "a price that is none": ([trade(1, price="abc"), trade(2, price="NaN")], {("trade", "bad_number"): 2}),
    "books in order": ([book(ASKS, BIDS), book(ASKS, BIDS)], {}),
    "a book of JSON numbers": ([book("[101,1.5]", "[100,2]")], {}),
    "a crossed book": ([book('["100","1"]', BIDS), book('["99.5","1"]', BIDS)], {("market_depth", "crossed_book"): 2}),
    "asks out of order": ([book('["102","1"],["101","1"]', BIDS)], {("market_depth", "unsorted_book"): 1}),
    "bids out of order": ([book(ASKS, '["99","1"],["100","1"]')], {("market_depth", "unsorted_book"): 1}),
    "prices of different length": ([book('["999","1"],["1000","1"]', '["998","1"],["97","1"]')], {}),
    "no asks": ([book("", BIDS)], {("market_depth", "empty_side"): 1}),
    "no bids": ([book(ASKS, "")], {("market_depth", "empty_side"): 1}),
    "an amount that is none": ([book('["101","-"]', BIDS)], {("market_depth", "bad_number"): 1}),
    "an older book": ([book(ASKS, BIDS, 9), book(ASKS, BIDS, 8)], {("market_depth", "timestamp_regression"): 1}),
    "an older book of another pair": ([book(ASKS, BIDS, 9), book(ASKS, BIDS, 8, "ETH_USDT")], {}),
    "an older ticker": (
        [ticker(9, "BTC_USDT", "ETH_USDT"), ticker(8, "ETH_USDT", "BTC_USDT"), ticker(7, "TRX_USDT")],
        {("ticker", "timestamp_regression"): 1},
    ),
    "a ticker without a number": (
        [ticker(1, "BTC_USDT", "ETH_USDT", ask="inf"), ticker(2, "BTC_USDT", ask="")],
        {("ticker", "bad_number"): 2},
    ),
    "rates": (
        ['["r",9,[["1","BTC","USDT"]]]', '["r",8,[["x","BTC","USDT"]]]'],
        {("rates", "timestamp_regression"): 1, ("rates", "bad_number"): 1},
    ),
    "diffs": (
        ['["d",9,"BTC_USDT",[[["1","1"]],[]]]', '["d",8,"BTC_USDT",[[["1","x"]],[]]]'],
        {("diff", "timestamp_regression"): 1, ("diff", "bad_number"): 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_frames_that_are_wrong_are_counted_once_a_kind(start_exchange: StartExchange, case: str) -> None:
    """And nothing else is."""
    frames, expected = CASES[case]
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, TOPICS)) as monitored:
        await monitored.until_live()
        assert await counted(exchange, monitored, *frames) == expected


async def test_every_kind_of_a_held_channel_is_there_from_the_first_scrape(start_exchange: StartExchange) -> None:
    """At 0; channels without a topic have no children."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*", "market_depth.BTC_USDT"])) as monitored:
        scrape = await monitored.scrape()
        shown = {(s.labels["channel"], s.labels["kind"]) for s in scrape.samples if "anomalies" in s.name}
        held = [channel for channel in POSSIBLE if channel in ("trade", "market_depth")]
        assert shown == {(channel, kind) for channel in held for kind in POSSIBLE[channel]}
        lags = {s.labels["channel"] for s in scrape.samples if s.name == "alpmon_feed_lag_seconds_count"}
        assert lags == {"trade", "market_depth"}


@pytest.mark.parametrize("dialect", [Dialect.DOCUMENTED, Dialect.OBSERVED])
async def test_a_market_that_does_nothing_wrong_has_no_anomalies(
    start_exchange: StartExchange, dialect: Dialect
) -> None:
    """Some thousand frames of every channel."""
    exchange = await start_exchange(dialect=dialect, market=True, rate=200.0)
    async with monitoring(target(exchange.url, TOPICS)) as monitored:
        await until(lambda: monitored.connection().data_frames >= 2_000)
        assert anomalies(await monitored.scrape()) == {}


async def run_until(exchange: Exchange, monitored: Monitored, topic: str, frames: int) -> tuple[Scrape, int]:
    """Let the market run under its fault, stop it, and tell what was sent of a topic."""
    await monitored.until_live()
    await until(lambda: monitored.connection().topics[topic].messages >= frames)
    exchange.faults.add(Freeze())
    sent = exchange.ledger.connections[0].topics[topic].frames
    await until(lambda: monitored.connection().topics[topic].messages == sent)
    return await monitored.scrape(), sent


async def test_duplicated_trades_are_repeats_to_the_last(start_exchange: StartExchange) -> None:
    """Each frame came twice: half of them are repeats."""
    exchange = await start_exchange(market=True, rate=100.0)
    exchange.faults.add(Duplicate(topic="trade.*"))
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        scrape, sent = await run_until(exchange, monitored, "trade.*", 100)
        assert anomalies(scrape) == {("trade", "trade_id_repeat"): sent / 2}


async def test_reordered_trades_are_regressions_to_the_last(start_exchange: StartExchange) -> None:
    """Of one pair, each second frame overtakes the one before: every pair of frames goes back once, stamp and id."""
    exchange = await start_exchange(dialect=Dialect.DOCUMENTED, market=True, rate=500.0)
    exchange.faults.add(Reorder(topic="trade.*"))
    async with monitoring(target(exchange.url, ["trade.BTC_USDT"])) as monitored:
        scrape, sent = await run_until(exchange, monitored, "trade.BTC_USDT", 40)
        found = anomalies(scrape)
        assert found == {("trade", "trade_id_regression"): sent / 2, ("trade", "timestamp_regression"): sent / 2}


async def test_crossed_books_are_found_to_the_last(start_exchange: StartExchange) -> None:
    """The fault swaps the sides, so each of them is also in the wrong order."""
    exchange = await start_exchange(market=True, rate=100.0)
    exchange.faults.add(CrossBook())
    async with monitoring(target(exchange.url, ["market_depth.BTC_USDT"])) as monitored:
        scrape, sent = await run_until(exchange, monitored, "market_depth.BTC_USDT", 20)
        found = anomalies(scrape)
        assert found == {("market_depth", "crossed_book"): sent, ("market_depth", "unsorted_book"): sent}


async def test_redundant_connections_repeat_nothing(start_exchange: StartExchange) -> None:
    """Each of them has every trade once."""
    exchange = await start_exchange(market=True, rate=100.0)
    async with monitoring(target(exchange.url, ["trade.*"], redundancy=2)) as monitored:
        await until(lambda: all(monitored.connection(label).data_frames >= 50 for label in ("0-0", "0-1")))
        assert anomalies(await monitored.scrape()) == {}


async def test_a_new_session_follows_from_nothing(start_exchange: StartExchange) -> None:
    """What the last session had may come again, older and lower."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"])) as monitored:
        await monitored.until_live()
        assert await counted(exchange, monitored, trade(7, 20)) == {}
        exchange.faults.add(Close())
        await until(lambda: monitored.connection().session_duration.count == 1)
        await monitored.until_live()
        assert await counted(exchange, monitored, trade(7, 20), trade(8, 20)) == {}
        assert await counted(exchange, monitored, trade(7, 19)) == {
            ("trade", "trade_id_repeat"): 1,
            ("trade", "timestamp_regression"): 1,
        }


async def test_private_frames_are_judged_by_their_stamps(start_exchange: StartExchange, tmp_path: Path) -> None:
    """Nothing else of them is read."""
    token = tmp_path / "token"
    token.write_text("a-token")
    exchange = await start_exchange()
    auth = {"token_file": str(token)}
    async with monitoring(target(exchange.url, ["trade.*"], auth=auth)) as monitored:
        await monitored.until_live()
        frames = [f'["w",{stamp},"USDT","SPOT","","5.0","1.0"]' for stamp in (9, 8, 9)]
        assert await counted(exchange, monitored, *frames) == {("wallet", "timestamp_regression"): 1}
