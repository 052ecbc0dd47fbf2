"""What a feed looks like that is well formed and wrong.

Judged for each pair of each channel, within one session of one connection: a redundant connection repeats nothing,
and a new session starts from nothing. Each kind counts at most once a frame.

| kind | when |
|---|---|
| `timestamp_regression` | the stamp is before that of the message before |
| `trade_id_repeat` | the id is one of the pair's last hundred |
| `trade_id_regression` | the id is below that of the trade before, and no repeat |
| `crossed_book` | the best bid is at or above the best ask |
| `unsorted_book` | a side's prices do not run from best to worst |
| `empty_side` | no bids, or no asks |
| `bad_number` | a decimal that is not a finite number |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from math import inf, isfinite
from typing import Final, TypeAlias

from alpmon.core.events import Book, Diff, Number, Rates, Tickers, Trade
from alpmon.core.numeric import NumericBook, NumericTrade
from alpmon.core.topics import Channel

IDS_REMEMBERED: Final = 100


class Anomaly(StrEnum):
    """What is wrong with a message; the `kind` label of `alpmon_feed_anomalies_total`."""

    TIMESTAMP_REGRESSION = "timestamp_regression"
    TRADE_ID_REPEAT = "trade_id_repeat"
    TRADE_ID_REGRESSION = "trade_id_regression"
    CROSSED_BOOK = "crossed_book"
    UNSORTED_BOOK = "unsorted_book"
    EMPTY_SIDE = "empty_side"
    BAD_NUMBER = "bad_number"


_OF_TRADES: Final = (Anomaly.TRADE_ID_REPEAT, Anomaly.TRADE_ID_REGRESSION)
_OF_BOOKS: Final = (Anomaly.CROSSED_BOOK, Anomaly.UNSORTED_BOOK, Anomaly.EMPTY_SIDE)
POSSIBLE: Final[dict[Channel, tuple[Anomaly, ...]]] = {
    Channel.TICKER: (Anomaly.TIMESTAMP_REGRESSION, Anomaly.BAD_NUMBER),
    Channel.TRADE: (Anomaly.TIMESTAMP_REGRESSION, *_OF_TRADES, Anomaly.BAD_NUMBER),
    Channel.RATES: (Anomaly.TIMESTAMP_REGRESSION, Anomaly.BAD_NUMBER),
    Channel.DIFF: (Anomaly.TIMESTAMP_REGRESSION, Anomaly.BAD_NUMBER),
    Channel.MARKET_DEPTH: (Anomaly.TIMESTAMP_REGRESSION, *_OF_BOOKS, Anomaly.BAD_NUMBER),
    Channel.WALLET: (Anomaly.TIMESTAMP_REGRESSION,),
    Channel.ORDER: (Anomaly.TIMESTAMP_REGRESSION,),
    Channel.ACCOUNT_TRADE: (Anomaly.TIMESTAMP_REGRESSION,),
}
"""What can be wrong on each channel; of a private frame only the stamp is read."""

Found: TypeAlias = Sequence[Anomaly]
Side: TypeAlias = Sequence[tuple[Number, Number]]

NOTHING: Final[Found] = ()


class Stream:
    """One pair's messages of one channel in one session; of a private channel, all of them.

    Attributes:
        stamp: of the message before, epoch seconds.
    """

    __slots__ = ("stamp",)

    def __init__(self) -> None:
        self.stamp = -inf

    def stamped(self, time: float) -> Found:
        """Judge a message of which only the stamp is known."""
        regressed, self.stamp = time < self.stamp, time
        return (Anomaly.TIMESTAMP_REGRESSION,) if regressed else NOTHING

    def book(self, book: NumericBook) -> Found:
        """Judge a book that holds nothing but numbers."""
        levels, time = book.levels, book.time
        asks, bids = levels.asks, levels.bids
        if asks and bids and time >= self.stamp and asks[0][0] > bids[0][0] and _sorted(asks, bids):
            self.stamp = time
            return NOTHING
        return (*self.stamped(time), *_sides(asks, bids))

    def text_book(self, book: Book) -> Found:
        """Judge a book whose decimals are texts: what can be compared is compared."""
        levels = book.levels
        numbers = (number for side in (levels.asks, levels.bids) for level in side for number in level)
        sane = _finite(*numbers, levels.total_asks, levels.total_bids)
        odd = NOTHING if sane else (Anomaly.BAD_NUMBER,)
        return (*self.stamped(book.time), *_sides(levels.asks, levels.bids), *odd)


class TradeStream(Stream):
    """One pair's trades in one session."""

    __slots__ = ("_highest_id", "_ids")

    def __init__(self) -> None:
        super().__init__()
        self._highest_id: float = -inf
        self._ids: deque[int] = deque(maxlen=IDS_REMEMBERED)

    def trade(self, trade: NumericTrade) -> Found:
        """Judge a trade whose decimals were read as numbers."""
        number, time = trade.id, trade.time
        # Zero times anything finite is zero, times anything else NaN, which equals nothing.
        if number > self._highest_id and time >= self.stamp and trade.amount * 0.0 == trade.price * 0.0:
            self.stamp = time
            self._highest_id = number
            self._ids.append(number)
            return NOTHING
        return self.text_trade(trade)

    def text_trade(self, trade: Trade | NumericTrade) -> Found:
        """Judge any trade."""
        time, number = trade.time, trade.id
        numbers = NOTHING if _finite(trade.amount, trade.price) else (Anomaly.BAD_NUMBER,)
        return (*self.stamped(time), *self._identified(number), *numbers)

    def _identified(self, number: int) -> Found:
        if number in self._ids:
            return (Anomaly.TRADE_ID_REPEAT,)
        regressed = bool(self._ids) and number < self._ids[-1]
        self._highest_id = max(self._highest_id, number)
        self._ids.append(number)
        return (Anomaly.TRADE_ID_REGRESSION,) if regressed else NOTHING


def numbers_of_tickers(tickers: Tickers) -> Found:
    """Judge the decimals of all rows."""
    return _judge(
        (row.close, row.base_volume, row.quote_volume, row.change, row.high, row.low, row.bid, row.ask)
        for row in tickers.rows
    )


def numbers_of_rates(rates: Rates) -> Found:
    """Judge the decimals of all rows."""
    return _judge((row.rate,) for row in rates.rows)


def numbers_of_diff(diff: Diff) -> Found:
    """Judge the decimals of both sides."""
    return _judge(level for side in diff.sides for level in side)


def _judge(rows: Iterable[tuple[Number, ...]]) -> Found:
    return NOTHING if all(_finite(*row) for row in rows) else (Anomaly.BAD_NUMBER,)


def _finite(*numbers: Number) -> bool:
    return all(isfinite(_value(number)) for number in numbers)


def _value(number: Number) -> float:
    """The number, or infinity for what is none."""
    try:
        return float(number)
    except ValueError:
        return inf


def _sorted(asks: Sequence[tuple[float, float]], bids: Sequence[tuple[float, float]]) -> bool:
    """Whether both sides run from best to worst; plain loops cost less than to sort what is sorted."""
    before, _ = asks[0]
    for price, _ in asks:
        if price < before:
            return False
        before = price
    before, _ = bids[0]
    for price, _ in bids:
        if price > before:
            return False
        before = price
    return True


def _sides(asks: Side, bids: Side) -> Found:
    asked, bid = ([price for price in map(_price, side) if isfinite(price)] for side in (asks, bids))
    found = []
    if not asks or not bids:
        found.append(Anomaly.EMPTY_SIDE)
    if asked and bid and max(bid) >= min(asked):
        found.append(Anomaly.CROSSED_BOOK)
    if any(one > other for one, other in pairwise(asked)) or any(one < other for one, other in pairwise(bid)):
        found.append(Anomaly.UNSORTED_BOOK)
    return found


def _price(level: tuple[Number, Number]) -> float:
    return _value(level[0])
