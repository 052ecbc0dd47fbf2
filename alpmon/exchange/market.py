"""When the exchange says what: a queue of the next event of each feed. Pure: time and chance are given.

Paces follow the field survey: about 65 trades and 65 ticker frames in 75 s, books of an active pair about 5 s apart on
average with silences of a minute, and pairs whose book says nothing for minutes. No silence is longer than twenty
means, which for a book is twice the longest that was seen, or than five minutes where a pair is quiet. What is longer
is a fault, and faults are switched on by name.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from alpmon.exchange.pairs import PAIRS
from alpmon.exchange.quotes import Quotes
from alpmon.exchange.wire import MarketEvent

_TRADES_PER_SECOND: Final = 0.87
_TICKER_GAP_SECONDS: Final = 1.1
_RATES_GAP_SECONDS: Final = 5.0
_DIFF_GAP_SECONDS: Final = 2.5
_DEPTH_GAP_SECONDS: Final = 5.5
_QUIET_DEPTH_GAP_SECONDS: Final = 160.0
_QUIET_AT_LEAST_SECONDS: Final = 80.0
_QUIET_AT_MOST_SECONDS: Final = 300.0
_ACCOUNT_GAP_SECONDS: Final = 4.0
_TAIL: Final = 1.4
"""Sigma of the lognormal gaps: the median is a third of the mean, and one gap in a hundred is ten means long."""
_MEANS_AT_MOST: Final = 20.0
_DEPTH_LATENESS_SECONDS: Final = (0.589, 0.641)
"""Measured from the second written in a book's frame to its arrival."""

_Make = Callable[[float], MarketEvent]
_Gap = Callable[[], float]


@dataclass(slots=True, order=True)
class _Next:
    at: float
    serial: int
    make: _Make = field(compare=False)
    gap: _Gap = field(compare=False)


class Market:
    """All feeds.

    Args:
        rng: every chance taken; the same seed and start tell the same story.
        now: unix seconds at which the story starts.
        depth_on_whole_seconds: books keep to a grid of whole seconds, which their stamps name, and leave 0.6 s later.
        quiet_pairs: how many pairs send a book only every few minutes.
    """

    def __init__(self, rng: Random, now: float, *, depth_on_whole_seconds: bool = True, quiet_pairs: int = 10) -> None:
        self.quotes = Quotes(rng, now)
        self.quiet = frozenset(pair.symbol for pair in PAIRS[len(PAIRS) - quiet_pairs :])
        self._rng = rng
        self._queue: list[_Next] = []
        self._start_trades(now)
        for pair in PAIRS:
            self._start(now, partial(self.quotes.diff, pair.symbol), self._heavy(_DIFF_GAP_SECONDS))
            start_book = self._start_grid_book if depth_on_whole_seconds else self._start_book
            start_book(now, pair.symbol)
        self._start(now, self.quotes.tickers, self._steady(_TICKER_GAP_SECONDS))
        self._start(now, self.quotes.rates, self._steady(_RATES_GAP_SECONDS))
        self._start(now, self.quotes.account, self._heavy(_ACCOUNT_GAP_SECONDS))

    @property
    def next_at(self) -> float:
        """When the next event happens, unix seconds."""
        return self._queue[0].at

    def until(self, now: float) -> Iterator[tuple[float, MarketEvent]]:
        """The events up to `now`, in order, each with the time it is sent."""
        while self._queue[0].at <= now:
            following = self._queue[0]
            at = following.at
            event = following.make(at)
            following.at += following.gap()
            heapq.heapreplace(self._queue, following)
            yield at, event

    def _start_trades(self, now: float) -> None:
        total = sum(pair.activity for pair in PAIRS)
        for pair in PAIRS:
            gap = self._heavy(total / pair.activity / _TRADES_PER_SECOND)
            self._start(now, partial(self.quotes.trade, pair.symbol), gap)

    def _start_book(self, now: float, symbol: str) -> None:
        self._start(now, partial(self.quotes.book, symbol), self._book_gap(symbol))

    def _start_grid_book(self, now: float, symbol: str) -> None:
        gap, lateness = self._book_gap(symbol), self._rng.uniform(*_DEPTH_LATENESS_SECONDS)

        def whole_gap() -> float:
            return float(max(1, round(gap())))

        def make(at: float) -> MarketEvent:
            return self.quotes.book(symbol, round(at - lateness))

        self._push(math.floor(now) + whole_gap() + lateness, make, whole_gap)

    def _book_gap(self, symbol: str) -> _Gap:
        if symbol in self.quiet:
            return self._heavy(_QUIET_DEPTH_GAP_SECONDS, _QUIET_AT_LEAST_SECONDS, _QUIET_AT_MOST_SECONDS)
        return self._heavy(_DEPTH_GAP_SECONDS)

    def _start(self, now: float, make: _Make, gap: _Gap) -> None:
        self._push(now + gap(), make, gap)

    def _push(self, at: float, make: _Make, gap: _Gap) -> None:
        heapq.heappush(self._queue, _Next(at, len(self._queue), make, gap))

    def _heavy(self, mean: float, at_least: float = 0.0, at_most: float = math.inf) -> _Gap:
        mu, limit = math.log(mean) - _TAIL**2 / 2, min(_MEANS_AT_MOST * mean, at_most - at_least)

        def gap() -> float:
            while (drawn := self._rng.lognormvariate(mu, _TAIL)) > limit:
                pass
            return at_least + drawn

        return gap

    def _steady(self, mean: float) -> _Gap:
        return lambda: mean * self._rng.uniform(0.8, 1.2)
