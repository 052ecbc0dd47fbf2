"""What the stream told last, kept at the price of a reference a message, so that REST can be held against it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, TypeVar

from alpmon.core.events import Book, TickerRow, Tickers, Trade
from alpmon.core.facts import Fact, quote, sides
from alpmon.core.numeric import Event, NumericBook, NumericRow, NumericTickers, NumericTrade
from alpmon.core.topics import Channel, split_topic

MAX_REMEMBERED: Final = 1000
"""Pairs whose latest message is kept a connection; a peer that invents more is not worth the memory."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Latest:
    """The latest messages of one connection's session, kept as they were decoded: one reference each, no copy."""

    __slots__ = ("_books", "_tickers", "_trades")

    def __init__(self) -> None:
        self._books: dict[str, Book | NumericBook] = {}
        self._tickers: dict[str, tuple[float, TickerRow | NumericRow]] = {}
        self._trades: dict[str, int] = {}

    def clear(self) -> None:
        """The session ended: what comes next need not follow from what came."""
        for remembered in (self._books, self._tickers, self._trades):
            remembered.clear()

    def keep(self, event: Event) -> None:
        """Keep an event that REST can be held against, and nothing of any other."""
        match event:
            case NumericTrade() | Trade():
                self._keep_trade(event)
            case NumericTickers() | Tickers():
                self._keep_tickers(event)
            case NumericBook() | Book():
                _keep(self._books, event.symbol, event)

    def facts(self, topic: str) -> dict[str, Fact]:
        """What this session told of a topic: no number that is none, and nothing of `diff`, which has changes only."""
        channel, symbol = split_topic(topic)
        facts: dict[str, Fact] = {}
        match channel:
            case Channel.TRADE:
                facts.update((pair, number) for pair, number in self._trades.items() if symbol in ("*", pair))
            case Channel.MARKET_DEPTH if symbol in self._books:
                levels = self._books[symbol].levels
                with suppress(ValueError):
                    facts[symbol] = sides(levels.bids, levels.asks)
            case Channel.TICKER:
                for pair, (time, row) in self._tickers.items():
                    if symbol in ("*", pair):
                        with suppress(ValueError):
                            facts[pair] = quote(time, row.close, row.bid, row.ask)
        return facts

    def _keep_tickers(self, event: Tickers | NumericTickers) -> None:
        for row in event.rows:
            _keep(self._tickers, row.symbol, (event.time, row))

    def _keep_trade(self, event: Trade | NumericTrade) -> None:
        if event.id > self._trades.get(event.symbol, -1):
            _keep(self._trades, event.symbol, event.id)


def _keep(remembered: dict[Key, Value], key: Key, value: Value) -> None:
    if key in remembered or len(remembered) < MAX_REMEMBERED:
        remembered[key] = value
