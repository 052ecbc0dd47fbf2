"""What a session remembers of its latest messages."""

from __future__ import annotations

from alpmon.core.events import Trade
from alpmon.core.latest import MAX_REMEMBERED, Latest
from tests.core.stream_frames import book_frame, ticker_frame, told, trade_frame


def test_numbers_that_are_none_tell_nothing() -> None:
    """Of the pair that has them only."""
    assert told("market_depth.BTC_USDT", book_frame("x")) == {}
    assert set(told("ticker.*", ticker_frame(1, last="x"), ticker_frame(1, "ETH_USDT"))) == {"ETH_USDT"}


def test_a_pair_and_the_whole_are_told_apart() -> None:
    """A pair's topic knows that pair; `diff` knows nothing, as it tells changes only."""
    frames = [trade_frame(7), trade_frame(9, "ETH_USDT"), ticker_frame(1), ["d", 1, "BTC_USDT", [[], []]]]
    assert told("trade.BTC_USDT", *frames) == {"BTC_USDT": 7}
    assert told("trade.*", *frames) == {"BTC_USDT": 7, "ETH_USDT": 9}
    assert set(told("ticker.BTC_USDT", *frames)) == {"BTC_USDT"}
    assert told("ticker.ETH_USDT", *frames) == {}
    assert told("diff.BTC_USDT", *frames) == {}


def test_a_session_that_ended_told_nothing_of_the_next() -> None:
    """What came before a reconnect need not be followed on."""
    latest = Latest()
    latest.keep(Trade("t", 1.0, 7, "BTC_USDT", "1", "1", "buy"))
    assert latest.facts("trade.*") == {"BTC_USDT": 7}
    latest.clear()
    assert latest.facts("trade.*") == {}


def test_invented_pairs_do_not_grow_it_for_ever() -> None:
    """The first of them keep their place."""
    facts = told("ticker.*", *(ticker_frame(n, f"X{n}_USDT") for n in range(MAX_REMEMBERED + 10)))
    assert len(facts) == MAX_REMEMBERED
    assert "X0_USDT" in facts
