"""The facts that REST and the stream are brought to: the sides of a pair's book, its newest trade's id, its ticker.

Numbers are compared as numbers, however they are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from alpmon.core.events import Number

Level: TypeAlias = tuple[float, float]


class Sides(NamedTuple):
    """A book as a fact: price and amount, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Quote(NamedTuple):
    """A pair's ticker as a fact, with the server's stamp."""

    time: float
    last: float
    buy: float
    sell: float


Fact: TypeAlias = Sides | Quote | int
Facts: TypeAlias = Mapping[str, Fact]
"""By pair."""


def sides(bids: Iterable[tuple[Number, Number]], asks: Iterable[tuple[Number, Number]]) -> Sides:
    """The fact in a book's levels.

    Raises:
        ValueError: a number that is none.
    """
    return Sides(*(tuple((_number(price), _number(amount)) for price, amount in side) for side in (bids, asks)))


def quote(time: Number, last: Number, buy: Number, sell: Number) -> Quote:
    """The fact in a ticker's row.

    Raises:
        ValueError: a number that is none.
    """
    return Quote(_number(time), _number(last), _number(buy), _number(sell))


def _number(value: Number) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number that is not finite")
    return number
