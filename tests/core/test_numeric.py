"""Reading decimals as numbers changes what a frame costs, never what it says."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core import protocol
from alpmon.core.events import Book, Malformed, Tickers
from alpmon.core.numeric import NumericBook, NumericTickers, NumericTrade, decode

BOOK = b'["p",1694178331,{"Asks":[["26100.11","0.302"]],"Bids":[["25768.09",2]],"Symbol":"BTC_USDT","TotalAsks":"1.5"}]'
TICKERS = b'["tk",1694003337.5,["XRP_USDT","1","2","3","-0.25","5","6","7","8"]]'
TRADE = b'["t",1694003848,293107798,"BTC_USDT","0.20285052","25705.02","buy"]'


def test_a_book_of_numbers_is_numbers() -> None:
    """Texts and JSON numbers alike."""
    book = decode(BOOK)
    assert isinstance(book, NumericBook)
    assert (book.time, book.symbol) == (1694178331.0, "BTC_USDT")
    assert book.levels.asks == [(26100.11, 0.302)]
    assert book.levels.bids == [(25768.09, 2.0)]
    assert book.levels.total_asks == 1.5


def test_tickers_of_numbers_are_numbers() -> None:
    """The change may be negative."""
    tickers = decode(TICKERS)
    assert isinstance(tickers, NumericTickers)
    assert tickers.time == 1694003337.5
    assert msgspec.structs.astuple(tickers.rows[0]) == ("XRP_USDT", 1, 2, 3, -0.25, 5, 6, 7, 8)


def test_a_trade_of_numbers_is_numbers() -> None:
    """Its id is a number by itself."""
    trade = decode(TRADE)
    assert isinstance(trade, NumericTrade)
    expected = ("t", 1694003848.0, 293107798, "BTC_USDT", 0.20285052, 25705.02, "buy")
    assert msgspec.structs.astuple(trade) == expected


@pytest.mark.parametrize("symbol", ["LINK_TON", "n_N", "BTC_USDT"])
def test_a_pair_may_be_named_with_an_n(symbol: str) -> None:
    """Only the numbers may not."""
    named = symbol.encode()
    assert isinstance(decode(BOOK.replace(b"BTC_USDT", named)), NumericBook)
    assert isinstance(decode(TICKERS.replace(b"XRP_USDT", named)), NumericTickers)
    assert isinstance(decode(BOOK.replace(b"BTC_USDT", named).replace(b"0.302", b"nan")), Book)
    assert isinstance(decode(TICKERS.replace(b"XRP_USDT", named).replace(b"-0.25", b"INF")), Tickers)


@pytest.mark.parametrize("text", ["nan", "-inf", "Infinity", "", " 1", "1_0", "0x1", "1.", ".5", "ten", "1e400", "1,5"])
def test_one_bad_number_leaves_every_text_as_it_is(text: str) -> None:
    """The frame is read as ever, so that somebody can say what is wrong with it."""
    book, tickers = BOOK.replace(b"0.302", text.encode()), TICKERS.replace(b"-0.25", text.encode())
    assert isinstance(decode(book), Book)
    assert decode(book) == protocol.decode(book)
    assert isinstance(decode(tickers), Tickers)
    assert decode(tickers) == protocol.decode(tickers)


@pytest.mark.parametrize(
    "payload",
    [
        BOOK.replace(b"1694178331", b'"1694178331"'),
        TICKERS.replace(b"1694003337.5", b'"1694003337.5"'),
        TRADE.replace(b"1694003848", b'"1694003848"'),
        TRADE.replace(b"293107798", b'"293107798"'),
        BOOK.replace(b'"0.302"', b"null"),
        TICKERS.replace(b'"XRP_USDT"', b"7"),
        b'["tk",1]',
    ],
)
def test_what_no_edition_allows_stays_malformed(payload: bytes) -> None:
    """A stamp is never a text, however well it could be read as a number."""
    assert isinstance(decode(payload), Malformed)


@given(st.binary(max_size=60), st.sampled_from([b'["p",', b'["tk",', b'["t",', b""]))
def test_nothing_raises_and_everything_else_is_read_as_ever(tail: bytes, head: bytes) -> None:
    """Whatever is not a book or a ticker of numbers comes out as the protocol reads it."""
    event = decode(head + tail)
    if not isinstance(event, NumericTrade | NumericBook | NumericTickers):
        assert event == protocol.decode(head + tail)
