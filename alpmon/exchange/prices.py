"""One pair's price and book, counted in ticks so that text, order and the gap between the sides are exact."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from alpmon.core.events import Number, TickerRow
from alpmon.exchange.pairs import Pair

_VOLATILITY: Final = 0.0002
"""Standard deviation of the log price over one second; about 6 % over a day."""
_RANGE: Final = 2.0
"""A price stays within half and double its start, so that years of simulation stay plausible."""
_MEAN_LEVEL_GAP: Final = 0.0002
_MAX_LEVEL_GAP: Final = 0.02
"""Shares of the price between two levels; twenty of the largest still leave the lowest bid above zero."""
_CHANGED_LEVELS: Final = 3
_TAKEN_AWAY: Final = 0.2


class Price:
    """A best bid that wanders and the spread above it; `now` is unix seconds."""

    def __init__(self, pair: Pair, now: float) -> None:
        self.pair = pair
        self._scale = int(10**pair.decimals)
        self._start = self.bid = self._high = self._low = round(pair.price * self._scale)
        self._spread = max(1, self.bid // 20_000)
        self._moved = now
        self._base_volume = 50_000_000 / pair.price * pair.activity
        self._quote_volume = self._base_volume * pair.price

    @property
    def ask(self) -> int:
        """The best ask in ticks; always above the best bid."""
        return self.bid + self._spread

    def text(self, ticks: int) -> str:
        """Ticks as the exchange writes a price."""
        decimals = self.pair.decimals
        return f"{ticks // self._scale}.{ticks % self._scale:0{decimals}d}".rstrip("0").rstrip(".")

    def move(self, now: float, rng: Random) -> None:
        """Let the price wander up to `now`."""
        elapsed = max(0.0, now - self._moved)
        self._moved = max(now, self._moved)
        moved = self.bid * math.exp(rng.gauss(0.0, _VOLATILITY * math.sqrt(elapsed)))
        self.bid = round(min(max(moved, self._start / _RANGE), self._start * _RANGE))
        self._high, self._low = max(self._high, self.bid), min(self._low, self.bid)

    def trade(self, now: float, side: str, rng: Random) -> tuple[str, str]:
        """Amount and price of one trade against the better side."""
        self.move(now, rng)
        price = self.ask if side == "buy" else self.bid
        amount = self._amount(rng)
        self._base_volume += amount
        self._quote_volume += amount * price / self._scale
        return _amount_text(amount), self.text(price)

    def row(self) -> TickerRow:
        """The pair's row in a ticker frame."""
        change = (self.bid / self._start - 1) * 100
        numbers = (self.bid, self._high, self._low, self.bid, self.ask)
        close, high, low, bid, ask = (self.text(ticks) for ticks in numbers)
        volumes = f"{self._base_volume:.8f}", f"{self._quote_volume:.8f}"
        return TickerRow(self.pair.symbol, close, *volumes, f"{change:.8f}", high, low, bid, ask)

    def side(self, levels: int, direction: int, rng: Random) -> list[tuple[Number, Number]]:
        """One side of the book, best first: `direction` is 1 for asks, -1 for bids."""
        ticks = self.ask if direction > 0 else self.bid
        side: list[tuple[Number, Number]] = []
        for _ in range(levels):
            side.append((self.text(ticks), _amount_text(self._amount(rng))))
            ticks += direction * self._level_gap(rng)
        return side

    def changes(self, direction: int, rng: Random) -> list[tuple[Number, Number]]:
        """A few levels of one side that changed; an amount of 0 takes the level away."""
        side = self.side(_CHANGED_LEVELS, direction, rng)
        return [(price, "0" if rng.random() < _TAKEN_AWAY else amount) for price, amount in side]

    def _level_gap(self, rng: Random) -> int:
        share = min(rng.expovariate(1 / _MEAN_LEVEL_GAP), _MAX_LEVEL_GAP)
        return max(1, int(self._start / _RANGE * share))

    def _amount(self, rng: Random) -> float:
        return rng.lognormvariate(0.0, 1.5) * 200 / self.pair.price + 1e-8


def _amount_text(amount: float) -> str:
    return f"{amount:.8f}".rstrip("0").rstrip(".")


def total(side: list[tuple[Number, Number]]) -> str:
    """The amounts of one side together, as a book frame carries them."""
    return _amount_text(math.fsum(float(amount) for _, amount in side))
