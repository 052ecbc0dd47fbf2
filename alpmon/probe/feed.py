"""Data frames counted where they belong: the way that every message takes, so nothing on it is looked up twice."""

from __future__ import annotations

from bisect import bisect_left
from math import isnan
from typing import TYPE_CHECKING, Final

from alpmon.core import sanity
from alpmon.core.clock import SLOWED
from alpmon.core.events import Book, Diff, Private, Rates, Tickers, Trade
from alpmon.core.numeric import NumericBook, NumericTickers, NumericTrade
from alpmon.core.sanity import Anomaly
from alpmon.core.topics import Channel
from alpmon.probe.routes import Routes
from alpmon.telemetry.histogram import INTERARRIVAL_BUCKETS, LAG_BUCKETS, Exemplar

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.core.numeric import Event
    from alpmon.probe.routes import Route
    from alpmon.telemetry.state import ChannelRecord, ConnectionRecord, SymbolRecord, TargetRecord, TopicRecord

_MAX_LAG_SECONDS: Final = 86_400.0
"""More is a stamp that means nothing, and must not drown the sum of all others."""
_EXEMPLAR_EVERY_SECONDS: Final = 1.0
"""How often a bucket names its session anew: an exemplar costs more than all else about a lag."""


class Feed:
    """Counts one connection's data: to the exact topic if subscribed, else to its wildcard, and inside it by symbol.

    What its stamps tell of the server's clock, and what is wrong with a message, is found on the same way.

    Args:
        target: whose symbols are capped, and whose clock the stamps tell.
        record: where everything is counted.
        doubt: told when a stamp is one that the server's clock cannot have reached.
    """

    def __init__(self, target: TargetRecord, record: ConnectionRecord, doubt: Callable[[float], None]) -> None:
        self._record = record
        self._doubt = doubt
        self._clock = target.clock
        self._routes = Routes(target, record)
        self._found = self._routes.found
        self._find = self._routes.find
        self._trade_routes = self._found[Channel.TRADE]
        self._book_routes = self._found[Channel.MARKET_DEPTH]
        self._ticker_routes = self._found[Channel.TICKER]
        self._ticker_channel = record.channels[Channel.TICKER]
        self._trade_channel = record.channels[Channel.TRADE]
        self._book_channel = record.channels[Channel.MARKET_DEPTH]
        self._rarer: dict[type, Callable[..., None]] = {
            Trade: self._text_trade,
            Book: self._text_book,
            Tickers: self._text_tickers,
            Diff: self._diff,
            Rates: self._rates,
            Private: self._private,
        }

    def forget_routes(self) -> None:
        """The topics changed, or a session ended: find every route anew, and let nothing follow from what came."""
        self._routes.forget()

    def take(self, event: Event, size: int, now: float, wall: float) -> bool:
        """Count an event, if it is data. What nearly all data is, is told apart and routed without a call.

        Args:
            event: what was received.
            size: bytes of its payload.
            now: its arrival, monotonic.
            wall: its arrival, seconds since the epoch.

        Returns:
            Whether it was data.
        """
        if type(event) is NumericTrade:
            symbol = event.symbol
            route = self._trade_routes.get(symbol) or self._find(Channel.TRADE, symbol)
            if route is not None:
                self._count(route.topic, route.symbol, self._trade_channel, event.time, size, now, wall)
                found = route.stream.trade(event)
                if found:
                    self._trade_channel.anomalies.update(found)
            else:
                self._record.unrouted += 1
        elif type(event) is NumericTickers:
            self._tickers(event, size, now, wall)
        elif type(event) is NumericBook:
            symbol = event.levels.symbol
            route = self._book_routes.get(symbol) or self._find(Channel.MARKET_DEPTH, symbol)
            if route is not None:
                self._count(route.topic, route.symbol, self._book_channel, event.time, size, now, wall)
                found = route.stream.book(event)
                if found:
                    self._book_channel.anomalies.update(found)
            else:
                self._record.unrouted += 1
        else:
            count = self._rarer.get(type(event))
            if count is None:
                return False
            count(event, size, now, wall)
        latest = self._record.latest
        if latest is not None:
            latest.keep(event)
        return True

    # One method a kind of frame: `(event, payload bytes, monotonic, wall)`

    def _text_trade(self, event: Trade, size: int, now: float, wall: float) -> None:
        route = self._counted(Channel.TRADE, event, size, now, wall)
        if route is not None:
            self._trade_channel.anomalies.update(route.stream.text_trade(event))

    def _text_book(self, event: Book, size: int, now: float, wall: float) -> None:
        route = self._counted(Channel.MARKET_DEPTH, event, size, now, wall)
        if route is not None:
            self._book_channel.anomalies.update(route.stream.text_book(event))

    def _diff(self, event: Diff, size: int, now: float, wall: float) -> None:
        route = self._counted(Channel.DIFF, event, size, now, wall)
        if route is not None:
            anomalies = self._record.channels[Channel.DIFF].anomalies
            anomalies.update(route.stream.stamped(event.time))
            anomalies.update(sanity.numbers_of_diff(event))

    def _tickers(self, event: NumericTickers | Tickers, size: int, now: float, wall: float) -> bool:
        return self._count_rows(Channel.TICKER, self._ticker_channel, self._ticker_routes, event, size, now, wall)

    def _text_tickers(self, event: Tickers, size: int, now: float, wall: float) -> None:
        if self._tickers(event, size, now, wall):
            self._ticker_channel.anomalies.update(sanity.numbers_of_tickers(event))

    def _rates(self, event: Rates, size: int, now: float, wall: float) -> None:
        record = self._record.channels[Channel.RATES]
        if self._count_rows(Channel.RATES, record, self._found[Channel.RATES], event, size, now, wall):
            record.anomalies.update(sanity.numbers_of_rates(event))

    def _private(self, event: Private, size: int, now: float, wall: float) -> None:
        route, channel = self._routes.private(event.channel), self._record.channels[event.channel]
        if route is None:
            self._record.unrouted += 1
            return
        self._count(route.topic, None, channel, event.time, size, now, wall)
        channel.anomalies.update(route.stream.stamped(event.time))

    # Shared by them

    def _count(
        self,
        topic: TopicRecord,
        symbol: SymbolRecord | None,
        channel: ChannelRecord | None,
        time: float,
        size: int,
        now: float,
        wall: float,
    ) -> None:
        """Count a frame for a topic; with its channel, let its stamp tell the clock, and the clock the lag.

        The way of every frame: one long function, as each call spared is a few percent.
        """
        topic.messages += 1
        topic.bytes += size
        topic.last_message_wall = wall
        freshness = topic.freshness
        if freshness is not None:
            gap = freshness.message(now)
            if gap == 0.0:
                topic.interarrival.counts[0] += 1
            elif gap > 0.0:
                histogram = topic.interarrival
                histogram.counts[bisect_left(INTERARRIVAL_BUCKETS, gap)] += 1
                histogram.sum += gap
        if symbol is not None:
            symbol.messages += 1
            symbol.last_message_wall = wall
        if channel is None:
            return
        clock = self._clock
        if time - SLOWED * now > clock.bar:
            clock.heard(time, now)
        lag = now + clock.middle - time
        if 0.0 <= lag <= _MAX_LAG_SECONDS:
            histogram = channel.lag
            bucket = bisect_left(LAG_BUCKETS, lag)
            histogram.counts[bucket] += 1
            histogram.sum += lag
            if now >= channel.exemplar_due[bucket]:
                channel.exemplar_due[bucket] = now + _EXEMPLAR_EVERY_SECONDS
                histogram.exemplars[bucket] = Exemplar(self._record.client_id, lag, wall)
        elif not isnan(lag):
            self._measure_oddity(channel, lag, time, now, wall)

    def _counted(
        self, channel: Channel, event: Trade | Book | Diff, size: int, now: float, wall: float
    ) -> Route | None:
        """Count a frame of one pair that comes rarely; gives its route, None where no topic explains it."""
        symbol = event.symbol
        route = self._found[channel].get(symbol) or self._find(channel, symbol)
        if route is None:
            self._record.unrouted += 1
        else:
            self._count(route.topic, route.symbol, self._record.channels[channel], event.time, size, now, wall)
        return route

    def _count_rows(
        self,
        channel: Channel,
        record: ChannelRecord,
        routes: dict[str, Route],
        event: NumericTickers | Tickers | Rates,
        size: int,
        now: float,
        wall: float,
    ) -> bool:
        """Count a frame of several pairs: once for each topic it serves, once a row for each symbol."""
        served: list[TopicRecord] = []
        topic: TopicRecord | None = None
        time = event.time
        regressed = False
        for row in event.rows:
            pair = row.symbol
            route = routes.get(pair) or self._find(channel, pair)
            if route is None:
                continue
            if route.topic is not topic:
                topic = route.topic
                if topic not in served:
                    served.append(topic)
            symbol = route.symbol
            if symbol is not None:
                symbol.messages += 1
                symbol.last_message_wall = wall
            stream = route.stream
            if time < stream.stamp:
                regressed = True
            stream.stamp = time
        if topic is None:
            self._record.unrouted += 1
            return False
        self._count(served[0], None, record, time, size, now, wall)
        for topic in served[1:]:
            self._count(topic, None, None, time, size, now, wall)
        if regressed:
            record.anomalies[Anomaly.TIMESTAMP_REGRESSION] += 1
        return True

    def _measure_oddity(self, channel: ChannelRecord, lag: float, time: float, now: float, wall: float) -> None:
        """A lag below 0 is the clock's error where the clock can learn from it, else the stamp is from the future."""
        if lag < 0.0 and not self._clock.heard(time, now):
            channel.negative_lags += 1
            self._doubt(now)
        channel.lag.observe_for(min(max(lag, 0.0), _MAX_LAG_SECONDS), self._record.client_id, wall)
