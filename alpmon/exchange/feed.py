"""Which frames one session gets of an event, and what the faults that are on make of them."""

from __future__ import annotations

from collections.abc import Iterator, Set
from random import Random
from typing import Final, TypeVar

import msgspec

from alpmon.core.events import Book, Diff, Rates, Tickers, Trade
from alpmon.core.topics import Channel
from alpmon.exchange.active import Faults
from alpmon.exchange.dialects import Rules
from alpmon.exchange.faults import (
    CrossBook,
    DelayData,
    Duplicate,
    Freeze,
    Mute,
    Reorder,
    Thin,
    TopicFault,
)
from alpmon.exchange.wire import AccountEvent, MarketEvent

_SINGLE: Final = {Trade: Channel.TRADE, Book: Channel.MARKET_DEPTH, Diff: Channel.DIFF}
F = TypeVar("F", bound=TopicFault)


def route(
    event: MarketEvent, held: Set[str], rules: Rules, *, authenticated: bool
) -> Iterator[tuple[str, MarketEvent]]:
    """The frames for a session that holds the topics `held`, each with the topic it counts for.

    A frame that an exact topic and its wildcard both ask for is sent once and counts for the exact one. Tickers and
    rates hold many pairs: the wildcard gets them all in one frame, else each exact topic its own.
    """
    match event:
        case AccountEvent():
            if authenticated:
                yield event.channel, event
        case Tickers():
            yield from _route_rows(event, held, rules, Channel.TICKER)
        case Rates():
            yield from _route_rows(event, held, rules, Channel.RATES)
        case _:
            channel = _SINGLE[type(event)]
            for topic in (f"{channel}.{event.symbol}", f"{channel}.*"):
                if topic in held and rules.delivers(topic):
                    yield topic, event
                    return


def _route_rows(
    event: Tickers | Rates, held: Set[str], rules: Rules, channel: Channel
) -> Iterator[tuple[str, MarketEvent]]:
    wildcard = f"{channel}.*"
    if wildcard in held and rules.delivers(wildcard):
        yield wildcard, event
        return
    for row in event.rows:
        topic = f"{channel}.{row.symbol}"
        if topic in held and rules.delivers(topic):
            yield topic, msgspec.structs.replace(event, rows=[row])


class Shaper:
    """Applies the data faults to one session's frames; remembers the frame that waits to be overtaken."""

    def __init__(self, faults: Faults, number: int, rng: Random) -> None:
        self._faults = faults
        self._number = number
        self._rng = rng
        self._waiting: dict[str, MarketEvent] = {}

    def shape(self, topic: str, event: MarketEvent) -> list[tuple[float, MarketEvent]]:
        """What is sent instead of this frame: delays in seconds and frames, in order."""
        if not self._faults and not self._waiting:
            return [(0.0, event)]
        if self._is_lost(topic):
            return []
        events = self._reordered(topic, self._crossed(topic, event))
        if self._find(Duplicate, topic):
            events = [same for event in events for same in (event, event)]
        late = self._find(DelayData, topic)
        return [(late.by if late else 0.0, event) for event in events]

    def _find(self, kind: type[F], topic: str) -> F | None:
        return self._faults.find(kind, self._number, topic)

    def _is_lost(self, topic: str) -> bool:
        if self._find(Mute, topic) or self._find(Freeze, topic):
            return True
        thin = self._find(Thin, topic)
        return thin is not None and self._rng.random() >= thin.keep

    def _crossed(self, topic: str, event: MarketEvent) -> MarketEvent:
        if not isinstance(event, Book) or not self._find(CrossBook, topic):
            return event
        levels = event.levels
        return msgspec.structs.replace(
            event, levels=msgspec.structs.replace(levels, asks=levels.bids, bids=levels.asks)
        )

    def _reordered(self, topic: str, event: MarketEvent) -> list[MarketEvent]:
        waiting = self._waiting.pop(topic, None)
        if not self._find(Reorder, topic):
            return [event] if waiting is None else [waiting, event]
        if waiting is not None:
            return [event, waiting]
        self._waiting[topic] = event
        return []
