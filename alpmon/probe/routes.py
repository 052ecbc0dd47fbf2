"""Which record a pair's messages belong to: found with the first of them, and kept for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from alpmon.core.sanity import Stream, TradeStream
from alpmon.core.topics import Channel, is_symbol
from alpmon.telemetry.state import OTHER_SYMBOL, SymbolRecord

if TYPE_CHECKING:
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord

MAX_SYMBOL_CHARACTERS: Final = 41
_NO_SYMBOL: Final = ""
"""The route of a private channel, whose frames are all one stream."""


class Route:
    """Where one pair's messages of one channel are counted, `symbol` only inside a wildcard; and what they follow."""

    __slots__ = ("stream", "symbol", "topic")

    stream: Any

    def __init__(self, topic: TopicRecord, symbol: SymbolRecord | None, channel: Channel) -> None:
        self.topic = topic
        self.symbol = symbol
        self.stream = TradeStream() if channel is Channel.TRADE else Stream()


class Routes:
    """One connection's routes: to the exact topic if subscribed, else to its wildcard, and inside it by symbol.

    Args:
        target: whose symbols are capped.
        record: whose topics and symbols they lead to.

    Attributes:
        found: those that are kept, by channel and pair. The dictionaries stay the same ones, so that whoever counts
            every message may hold on to them.
    """

    def __init__(self, target: TargetRecord, record: ConnectionRecord) -> None:
        self.found: dict[Channel, dict[str, Route]] = {channel: {} for channel in Channel}
        self._target = target
        self._record = record

    def forget(self) -> None:
        """Find every route anew, and let nothing follow from what came."""
        for routes in self.found.values():
            routes.clear()

    def private(self, channel: Channel) -> Route | None:
        """The route of a private channel; None where it is not subscribed."""
        routes, topic = self.found[channel], self._record.topics.get(channel)
        if topic is not None and _NO_SYMBOL not in routes:
            routes[_NO_SYMBOL] = Route(topic, None, channel)
        return routes.get(_NO_SYMBOL)

    def find(self, channel: Channel, symbol: str) -> Route | None:
        """The route of a pair's first message, or of one of a pair beyond the cap, which is never kept.

        None where no topic explains the message.
        """
        topics = self._record.topics
        exact = topics.get(f"{channel}.{symbol}")
        if exact is not None:
            route = self.found[channel][symbol] = Route(exact, None, channel)
            return route
        wildcard = topics.get(f"{channel}.*")
        if wildcard is None:
            return None
        if not self._admit(symbol):
            return Route(wildcard, self._symbol(channel, OTHER_SYMBOL), channel)
        route = self.found[channel][symbol] = Route(wildcard, self._symbol(channel, symbol), channel)
        return route

    def _admit(self, symbol: str) -> bool:
        """Whether this pair may have series of its own: a plausible name, and within the target's cap."""
        target = self._target
        if symbol in target.symbols:
            return True
        if is_symbol(symbol) and len(target.symbols) < target.max_symbols:
            target.symbols.add(symbol)
            target.symbols_dropped.discard(symbol)
            return True
        target.drop_symbol(symbol[:MAX_SYMBOL_CHARACTERS])
        return False

    def _symbol(self, channel: Channel, symbol: str) -> SymbolRecord:
        return self._record.symbols.setdefault((channel, symbol), SymbolRecord())
