"""Data frames to the records they belong to: the way that every message takes, so nothing on it is looked up twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alpmon.core.protocol import (
    Book,
    Channel,
    Diff,
    Private,
    Rate,
    Rates,
    TickerRow,
    Tickers,
    Trade,
    is_symbol,
)
from alpmon.telemetry.state import OTHER_SYMBOL, ConnectionRecord, SymbolRecord, TargetRecord, TopicRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_SYMBOL_CHARACTERS: Final = 41
MAX_DROPPED_REMEMBERED: Final = 10_000
"""How many symbols beyond the cap are told apart; a peer that invents more is not worth the memory."""


class Route:
    """Where one pair's messages of one channel are counted; `symbol` only inside a wildcard."""

    __slots__ = ("symbol", "topic")

    def __init__(self, topic: TopicRecord, symbol: SymbolRecord | None) -> None:
        self.topic = topic
        self.symbol = symbol


class Feed:
    """Counts one connection's data: to the exact topic if subscribed, else to its wildcard, and inside it by symbol."""

    def __init__(self, target: TargetRecord, record: ConnectionRecord) -> None:
        self._target = target
        self._record = record
        self._routes: dict[Channel, dict[str, Route]] = {channel: {} for channel in Channel}
        self._trade_routes = self._routes[Channel.TRADE]
        self._book_routes = self._routes[Channel.MARKET_DEPTH]
        self._ticker_routes = self._routes[Channel.TICKER]
        self.counters: dict[type, Callable[..., None]] = {
            Trade: self._trade,
            Book: self._book,
            Tickers: self._tickers,
            Diff: self._diff,
            Rates: self._rates,
            Private: self._private,
        }
        if record.latest is not None:
            self.counters = record.latest.wrap(self.counters)

    def forget_routes(self) -> None:
        """The topics changed: find every route anew."""
        for routes in self._routes.values():
            routes.clear()

    # One method a kind of frame: `(event, payload bytes, monotonic, wall)`

    def _trade(self, event: Trade, size: int, now: float, wall: float) -> None:
        symbol = event.symbol
        route = self._trade_routes.get(symbol) or self._find(Channel.TRADE, symbol)
        self._count(route, size, now, wall)

    def _book(self, event: Book, size: int, now: float, wall: float) -> None:
        symbol = event.levels.symbol
        route = self._book_routes.get(symbol) or self._find(Channel.MARKET_DEPTH, symbol)
        self._count(route, size, now, wall)

    def _diff(self, event: Diff, size: int, now: float, wall: float) -> None:
        self._count(self._route(Channel.DIFF, event.symbol), size, now, wall)

    def _tickers(self, event: Tickers, size: int, now: float, wall: float) -> None:
        self._count_rows(Channel.TICKER, event.rows, size, now, wall)

    def _rates(self, event: Rates, size: int, now: float, wall: float) -> None:
        self._count_rows(Channel.RATES, event.rows, size, now, wall)

    def _private(self, event: Private, size: int, now: float, wall: float) -> None:
        topic = self._record.topics.get(event.channel)
        if topic is None:
            self._record.unrouted += 1
        else:
            _count_topic(topic, size, now, wall)

    # Shared by them

    def _count(self, route: Route | None, size: int, now: float, wall: float) -> None:
        if route is None:
            self._record.unrouted += 1
            return
        _count_topic(route.topic, size, now, wall)
        symbol = route.symbol
        if symbol is not None:
            symbol.messages += 1
            symbol.last_message_wall = wall

    def _count_rows(
        self, channel: Channel, rows: Sequence[TickerRow] | Sequence[Rate], size: int, now: float, wall: float
    ) -> None:
        """A frame of several pairs: once for each topic it serves, once a row for each symbol."""
        served: list[TopicRecord] = []
        routes = self._routes[channel]
        for row in rows:
            pair = row.symbol
            route = routes.get(pair) or self._find(channel, pair)
            if route is None:
                continue
            if route.topic not in served:
                served.append(route.topic)
                _count_topic(route.topic, size, now, wall)
            if route.symbol is not None:
                route.symbol.messages += 1
                route.symbol.last_message_wall = wall
        if not served:
            self._record.unrouted += 1

    def _route(self, channel: Channel, symbol: str) -> Route | None:
        return self._routes[channel].get(symbol) or self._find(channel, symbol)

    def _find(self, channel: Channel, symbol: str) -> Route | None:
        """The first message of a pair, or one of a pair beyond the cap, which is never kept."""
        topics = self._record.topics
        exact = topics.get(f"{channel}.{symbol}")
        if exact is not None:
            route = self._routes[channel][symbol] = Route(exact, None)
            return route
        wildcard = topics.get(f"{channel}.*")
        if wildcard is None:
            return None
        if not self._admit(symbol):
            return Route(wildcard, self._symbol(channel, OTHER_SYMBOL))
        route = self._routes[channel][symbol] = Route(wildcard, self._symbol(channel, symbol))
        return route

    def _admit(self, symbol: str) -> bool:
        """Whether this pair may have series of its own: a plausible name, and within the target's cap."""
        target = self._target
        if symbol in target.symbols:
            return True
        if is_symbol(symbol) and len(target.symbols) < target.max_symbols:
            target.symbols.add(symbol)
            return True
        if len(target.symbols_dropped) < MAX_DROPPED_REMEMBERED:
            target.symbols_dropped.add(symbol[:MAX_SYMBOL_CHARACTERS])
        return False

    def _symbol(self, channel: Channel, symbol: str) -> SymbolRecord:
        return self._record.symbols.setdefault((channel, symbol), SymbolRecord())


def _count_topic(topic: TopicRecord, size: int, now: float, wall: float) -> None:
    topic.messages += 1
    topic.bytes += size
    topic.last_message_wall = wall
    freshness = topic.freshness
    if freshness is not None:
        gap = freshness.message(now)
        if gap >= 0.0:
            topic.interarrival.observe(gap)
