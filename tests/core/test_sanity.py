"""Messages that are well formed and wrong, and that nothing else is called so."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alpmon.core.events import Book, Diff, Levels, Number, Rate, Rates, TickerRow, Tickers, Trade
from alpmon.core.numeric import NumericBook, NumericLevels, NumericRow, NumericTrade, decode
from alpmon.core.sanity import (
    IDS_REMEMBERED,
    POSSIBLE,
    Anomaly,
    Found,
    Stream,
    TradeStream,
    numbers_of_diff,
    numbers_of_rates,
    numbers_of_tickers,
)
from alpmon.core.topics import Channel

NO_NUMBERS: list[Number] = ["nan", "NaN", "inf", "-Infinity", "", "ten", "1,5", "0x10", "1e400", "--1"]

Pair = tuple[Number, Number]


def trade(number: int, time: float = 1.0) -> NumericTrade:
    return NumericTrade("t", time, number, "BTC_USDT", 1.0, 2.0, "buy")


def text_trade(number: int, time: float = 1.0, amount: Number = "1", price: Number = "2") -> Trade:
    return Trade("t", time, number, "BTC_USDT", amount, price, "buy")


def numeric(asks: list[tuple[float, float]], bids: list[tuple[float, float]], time: float = 1.0) -> NumericBook:
    return NumericBook("p", time, NumericLevels(asks, bids, "BTC_USDT"))


def texts(asks: list[Pair], bids: list[Pair], time: float = 1.0) -> Book:
    return Book("p", time, Levels(asks, bids, "BTC_USDT"))


def kinds(*found: Found) -> list[list[str]]:
    return [[kind.value for kind in each] for each in found]


def told(numbers: list[int]) -> list[list[str]]:
    """What is found of trades with these ids, in order."""
    stream = TradeStream()
    return kinds(*(stream.trade(trade(number)) for number in numbers))


REPEAT, REGRESSION = ["trade_id_repeat"], ["trade_id_regression"]


# Stamps


@given(st.lists(st.integers(0, 5)))
def test_time_going_back_is_counted_each_time(times: list[int]) -> None:
    """Against the message before; the same second twice is fine."""
    stream = Stream()
    found = [stream.stamped(time) for time in times]
    regressions = [before > after for before, after in pairwise(times)]
    assert [bool(each) for each in found[1:]] == regressions
    assert not found or not found[0], "nothing comes before the first"


def test_every_kind_of_message_has_its_stamp_judged() -> None:
    """Trades and books of either sort, whatever else is wrong or not."""
    back = [Anomaly.TIMESTAMP_REGRESSION]
    trades, books = TradeStream(), Stream()
    trades.trade(trade(1, time=2.0))
    assert list(trades.trade(trade(2, time=1.0))) == back
    assert list(trades.trade(trade(3, time=1.5))) == []
    books.book(numeric([(2, 1)], [(1, 1)], time=2.0))
    assert list(books.book(numeric([(2, 1)], [(1, 1)], time=1.0))) == back
    assert list(books.text_book(texts([("2", "1")], [("1", "1")], time=0.5))) == back
    assert list(books.book(numeric([(2, 1)], [(1, 1)], time=1.0))) == []


# Trade ids


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2, 5, 9], [[], [], [], []]),
        ([1, 1], [[], REPEAT]),
        ([1, 2, 3, 1, 2, 3, 4], [[], [], [], REPEAT, REPEAT, REPEAT, []]),
        ([2, 1], [[], REGRESSION]),
        ([2, 1, 4, 3], [[], REGRESSION, [], REGRESSION]),
        ([3, 1, 1], [[], REGRESSION, REPEAT]),
        ([100, 5, 6, 7, 100, 101], [[], REGRESSION, [], [], REPEAT, []]),
        ([-5, -4, 0], [[], [], []]),
    ],
)
def test_ids_that_come_again_or_go_back(ids: list[int], expected: list[list[str]]) -> None:
    """A late batch goes back once; what was seen before is a repeat wherever it comes."""
    assert told(ids) == expected


@given(st.lists(st.integers(0, 50), unique=True).map(sorted))
def test_rising_ids_are_never_odd(ids: list[int]) -> None:
    """With gaps of any size."""
    assert not any(told(ids))


def test_an_id_is_remembered_for_a_hundred_trades() -> None:
    """After that it only goes back: memory is bounded."""
    assert told([*range(IDS_REMEMBERED), 0])[-1] == REPEAT
    assert told([*range(IDS_REMEMBERED + 1), 0])[-1] == REGRESSION


def test_a_trade_may_be_odd_in_every_way_at_once() -> None:
    """Each kind counts once."""
    stream = TradeStream()
    stream.trade(trade(1, time=2.0))
    found = stream.text_trade(text_trade(1, time=1.0, amount="x", price="nan"))
    assert kinds(found) == [["timestamp_regression", "trade_id_repeat", "bad_number"]]


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_trade_without_a_number_is_told_and_still_remembered(number: Number) -> None:
    """In either place; its id counts as seen."""
    stream = TradeStream()
    assert kinds(stream.text_trade(text_trade(1, amount=number))) == [["bad_number"]]
    assert kinds(stream.text_trade(text_trade(2, price=number))) == [["bad_number"]]
    assert kinds(stream.trade(trade(2))) == [REPEAT]


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_a_trade_read_as_no_number_is_told(number: float) -> None:
    """The decoder takes the texts NaN and infinity for numbers."""
    assert kinds(TradeStream().trade(NumericTrade("t", 1.0, 1, "A_B", number, 1.0, "buy"))) == [["bad_number"]]
    assert kinds(TradeStream().trade(NumericTrade("t", 1.0, 1, "A_B", 1.0, number, "buy"))) == [["bad_number"]]
    assert kinds(TradeStream().trade(NumericTrade("t", 1.0, 1, "A_B", 1e308, -0.0, "buy"))) == [[]]


@pytest.mark.parametrize("number", ["1", "0.00000001", "26100.11000000", "-1", "1e5", 3.5, 0.0])
def test_numbers_are_numbers_however_they_are_written(number: Number) -> None:
    """Texts as the exchange writes them, and JSON numbers."""
    assert kinds(TradeStream().text_trade(text_trade(1, amount=number, price=number))) == [[]]


# Books

BOOKS: list[tuple[list[tuple[float, float]], list[tuple[float, float]], list[str]]] = [
    ([(101, 1), (102, 1)], [(100, 1), (99, 1)], []),
    ([(101, 1)], [(100, 1)], []),
    ([(101, 2), (101, 1), (102, 5)], [(100, 1), (100, 2), (99, 1)], []),
    ([(100, 1), (102, 1)], [(100, 1), (99, 1)], ["crossed_book"]),
    ([(99.5, 1), (102, 1)], [(100, 1), (99, 1)], ["crossed_book"]),
    ([(102, 1), (101, 1)], [(100, 1), (99, 1)], ["unsorted_book"]),
    ([(101, 1), (102, 1)], [(99, 1), (100, 1)], ["unsorted_book"]),
    ([(9, 1), (100, 1)], [(8, 1), (7, 1)], []),
    ([(100, 1), (99, 1)], [(101, 1), (102, 1)], ["crossed_book", "unsorted_book"]),
    ([(105, 1), (98, 1)], [(100, 1), (99, 1)], ["crossed_book", "unsorted_book"]),
    ([], [(100, 1), (99, 1)], ["empty_side"]),
    ([(101, 1)], [], ["empty_side"]),
    ([], [], ["empty_side"]),
    ([], [(99, 1), (100, 1)], ["empty_side", "unsorted_book"]),
]


@pytest.mark.parametrize(("asks", "bids", "expected"), BOOKS)
def test_books(asks: list[tuple[float, float]], bids: list[tuple[float, float]], expected: list[str]) -> None:
    """Best first on both sides, the bid below the ask; the same whether the decimals were read or are texts."""
    assert kinds(Stream().book(numeric(asks, bids))) == [expected]
    written = [[(str(price), str(amount)) for price, amount in side] for side in (asks, bids)]
    assert kinds(Stream().text_book(texts(*written))) == [expected]  # type: ignore[arg-type]


sides = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 3)), min_size=1, max_size=6)


@given(sides, sides)
def test_the_quick_judgement_of_a_book_is_the_slow_one(
    asks: list[tuple[int, int]], bids: list[tuple[int, int]]
) -> None:
    """Exactly: from the definitions."""
    expected = set()
    if max(price for price, _ in bids) >= min(price for price, _ in asks):
        expected.add(Anomaly.CROSSED_BOOK)
    asked, bid = [price for price, _ in asks], [price for price, _ in bids]
    if asked != sorted(asked) or bid != sorted(bid, reverse=True):
        expected.add(Anomaly.UNSORTED_BOOK)
    found = Stream().book(numeric([(p, a) for p, a in asks], [(p, a) for p, a in bids]))
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_book_without_a_number_is_told_and_the_rest_of_it_judged(number: Number) -> None:
    """In a price or an amount; what can be compared is."""
    crossed = texts([("99", number), ("101", "1")], [("100", "1"), (number, "1")])
    assert kinds(Stream().text_book(crossed)) == [["crossed_book", "bad_number"]]


@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=40, unique=True).map(sorted), st.data())
def test_an_orderly_book_passes_through_the_decoder_without_a_word(prices: list[float], data: st.DataObject) -> None:
    """As it is written on the wire."""
    middle = data.draw(st.integers(1, len(prices) - 1))
    bids = ",".join(f'["{price:.8f}","1"]' for price in reversed(prices[:middle]))
    asks = ",".join(f'["{price:.8f}","1"]' for price in prices[middle:])
    assume(f"{prices[middle]:.8f}" != f"{prices[middle - 1]:.8f}")
    book = decode(f'["p",1,{{"Asks":[{asks}],"Bids":[{bids}],"Symbol":"BTC_USDT"}}]'.encode())
    assert isinstance(book, NumericBook)
    assert kinds(Stream().book(book)) == [[]]


# Tickers, rates, diffs


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_rows_without_a_number_count_once_a_frame(number: Number) -> None:
    """However many there are."""
    good, bad = TickerRow("A_B", *["1"] * 8), TickerRow("A_B", *[*["1"] * 7, number])
    assert kinds(numbers_of_tickers(Tickers(1.0, [good, bad, bad]))) == [["bad_number"]]
    assert kinds(numbers_of_rates(Rates("r", 1.0, [Rate("1", "A", "B"), Rate(number, "A", "B")]))) == [["bad_number"]]
    assert kinds(numbers_of_diff(Diff("d", 1.0, "A_B", ([("1", "1")], [("1", number)])))) == [["bad_number"]]


def test_rows_of_numbers_are_not_odd() -> None:
    """An empty side of a diff is none of its anomalies: nothing changed there."""
    assert kinds(numbers_of_tickers(Tickers(1.0, [TickerRow("A_B", *["1"] * 8)]))) == [[]]
    assert kinds(numbers_of_rates(Rates("r", 1.0, [Rate(1.5, "A", "B")]))) == [[]]
    assert kinds(numbers_of_diff(Diff("d", 1.0, "A_B", ([("1", "1")], [])))) == [[]]


def test_what_can_be_wrong_covers_every_channel_and_every_kind() -> None:
    """These are the children that a scrape shows."""
    assert set(POSSIBLE) == set(Channel)
    assert {kind for possible in POSSIBLE.values() for kind in possible} == set(Anomaly)
    assert NumericRow.__struct_fields__ == TickerRow.__struct_fields__
