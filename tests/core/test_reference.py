"""The reference's verdict: news, agreement, or nothing, and what becomes of it over a silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alpmon.core.facts import Facts
from alpmon.core.reference import BOOK_LEVELS, IN_FLIGHT_SECONDS, Verdict, Watch, compare
from alpmon.core.rest import Endpoint, Question, question, read
from tests.core.stream_frames import book_frame, ticker_frame, told, trade_frame

BOOK = Question(Endpoint.ORDERBOOK, "BTC_USDT")
TICKERS = Question(Endpoint.TICKER, None)
TRADES = Question(Endpoint.TRADES, None)
INTERVAL = 30.0


def shown(asked: Question, answer: Any) -> Facts:
    """The facts in what REST answers."""
    return read(asked, json.dumps(answer).encode())


def rest_book(*bids: Any) -> dict[str, Any]:
    levels = [{"amount": 0.5, "price": bid} for bid in bids]
    return {"buy": levels, "sell": [{"amount": "1.00000000", "price": "102.00"}]}


FULL = range(100, 100 - BOOK_LEVELS, -1)
"""The prices of a side that holds all that a frame can."""


def rest_ticker(time: float, pair: str = "BTC_USDT", last: Any = "100.0") -> dict[str, Any]:
    return {"pair": pair, "last": last, "buy": "99", "sell": 101, "timestamp": time, "vol": "7"}


def rest_trade(number: int | str, pair: str = "BTC_USDT") -> dict[str, Any]:
    return {"id": number, "pair": pair, "timestamp": 1790139143.5, "amount": "1"}


class TestCompare:
    def test_the_same_book_however_its_numbers_are_written(self) -> None:
        """Numbers are compared as numbers."""
        facts = told("market_depth.BTC_USDT", book_frame("100", "99.50"))
        assert compare(shown(BOOK, rest_book("100.00", 99.5)), facts) is Verdict.AGREES

    def test_levels_beyond_a_full_frame_are_no_news(self) -> None:
        """The stream cannot show them."""
        facts = told("market_depth.BTC_USDT", book_frame(*FULL))
        assert compare(shown(BOOK, rest_book(*FULL, 50, 49)), facts) is Verdict.AGREES
        assert compare(shown(BOOK, rest_book(*FULL[1:], 50, 49)), facts) is Verdict.NEWS

    @pytest.mark.parametrize("bids", [(), (100,), tuple(FULL[:-1])], ids=len)
    def test_a_level_more_than_a_thin_book_had_is_news(self, bids: tuple[int, ...]) -> None:
        """There was room for it, so a stream that does not show it is behind."""
        facts = told("market_depth.BTC_USDT", book_frame(*bids))
        assert compare(shown(BOOK, rest_book(*bids)), facts) is Verdict.AGREES
        assert compare(shown(BOOK, rest_book(*bids, 50)), facts) is Verdict.NEWS

    @pytest.mark.parametrize("bids", [("100", "99.51"), ("99.5", "100"), ("100",), ()])
    def test_a_book_that_differs_is_news(self, bids: tuple[str, ...]) -> None:
        """A level changed, moved or gone."""
        facts = told("market_depth.BTC_USDT", book_frame("1", "2"), book_frame("100", "99.5"))
        assert compare(shown(BOOK, rest_book(*bids)), facts) is Verdict.NEWS

    @pytest.mark.parametrize(
        ("newest", "verdict"), [(8, Verdict.NEWS), ("7", Verdict.AGREES), (6, Verdict.UNKNOWN), (None, Verdict.UNKNOWN)]
    )
    def test_trades_by_the_newest_id(self, newest: int | str | None, verdict: Verdict) -> None:
        """REST that is behind, or shows none, cannot vouch for the stream."""
        facts = told("trade.*", trade_frame(7), trade_frame(5))
        answer = [] if newest is None else [rest_trade(newest), rest_trade(3)]
        assert compare(shown(TRADES, answer), facts) is verdict

    @pytest.mark.parametrize(("newest", "verdict"), [(8, Verdict.NEWS), (7, Verdict.AGREES)])
    def test_trades_are_compared_pair_by_pair(self, newest: int, verdict: Verdict) -> None:
        """Ids rise within a pair; another pair's may be far higher."""
        facts = told("trade.*", trade_frame(7), trade_frame(900, "ETH_USDT"))
        assert compare(shown(TRADES, [rest_trade(900, "ETH_USDT"), rest_trade(newest)]), facts) is verdict

    @pytest.mark.parametrize(
        ("row", "verdict"),
        [
            (rest_ticker(1000.0), Verdict.AGREES),
            (rest_ticker(1005.0), Verdict.AGREES),
            (rest_ticker(1005.0, last=101), Verdict.NEWS),
            (rest_ticker(1000.9, last=101), Verdict.UNKNOWN),
            (rest_ticker(999.0, last=101), Verdict.UNKNOWN),
            (rest_ticker(1005.0, "ETH_USDT"), Verdict.UNKNOWN),
        ],
    )
    def test_a_ticker_is_news_when_it_is_other_and_newer(self, row: dict[str, Any], verdict: Verdict) -> None:
        """A stamp that moves alone is none, nor is a value that is older than the stream's or of the same second."""
        assert compare(shown(TICKERS, [row]), told("ticker.*", ticker_frame(1000))) is verdict

    def test_one_pair_with_news_is_news_for_the_wildcard(self) -> None:
        """However many agree."""
        facts = told("ticker.*", ticker_frame(1000), ticker_frame(1000, "ETH_USDT"))
        answer = [rest_ticker(1000.0), rest_ticker(1002.0, "ETH_USDT", "7")]
        assert compare(shown(TICKERS, answer), facts) is Verdict.NEWS


def watching(topic: str = "trade.*") -> Watch:
    asked = question(topic)
    assert asked is not None
    watch = Watch(topic, asked, INTERVAL)
    watch.attend(1)
    return watch


class TestWatch:
    def test_agreement_is_known_at_once(self) -> None:
        """One read is enough; the next comes after the interval."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 7}, {"BTC_USDT": 7}, 100.0) is True
        assert watch.due == 100.0 + INTERVAL
        assert watch.divergence(200.0) == 0.0

    def test_news_counts_once_it_can_be_in_flight_no_more(self) -> None:
        """Looked at again soon; then it counts from when it was first seen."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 100.0) is None
        assert watch.divergence(101.0) == 0.0
        assert watch.due == 100.0 + IN_FLIGHT_SECONDS
        assert watch.answered({"BTC_USDT": 9}, {"BTC_USDT": 7}, 102.0) is False
        assert watch.divergence(105.0) == 5.0
        assert watch.due == 102.0 + INTERVAL

    def test_news_after_agreement_changes_nothing_until_it_lasts(self) -> None:
        """The silence stays excused while the news may be in flight."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 7}, {"BTC_USDT": 7}, 100.0) is True
        assert watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 130.0) is True
        assert watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 132.0) is False
        assert watch.divergence(132.0) == 2.0

    def test_another_silence_begins_from_nothing(self) -> None:
        """A message came in between: what was news is void, and due at once."""
        watch = watching()
        watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 100.0)
        watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 102.0)
        watch.attend(2)
        assert watch.divergence(103.0) == 0.0
        assert watch.due < 103.0
        assert watch.answered({"BTC_USDT": 9}, {"BTC_USDT": 8}, 103.0) is None

    def test_attending_to_the_same_silence_changes_nothing(self) -> None:
        """It is called with every look."""
        watch = watching()
        watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 100.0)
        watch.attend(1)
        assert watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, 102.0) is False

    def test_where_the_stream_told_nothing_the_first_read_stands_in(self) -> None:
        """After a reconnect, or on a topic that was never served: no verdict, agreement, news."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 7}, {}, 100.0) is None
        assert watch.due == 100.0 + IN_FLIGHT_SECONDS
        assert watch.answered({"BTC_USDT": 7}, {}, 102.0) is True
        assert watch.answered({"BTC_USDT": 8}, {}, 132.0) is True
        assert watch.answered({"BTC_USDT": 8}, {}, 134.0) is False

    def test_a_pair_that_trades_only_after_the_first_read_is_news(self) -> None:
        """REST shows the newest trades of all, so what appears among them is younger than the read before."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 7}, {"BTC_USDT": 7}, 100.0) is True
        assert watch.answered({"BTC_USDT": 7, "ETH_USDT": 1}, {"BTC_USDT": 7}, 130.0) is True
        assert watch.answered({"BTC_USDT": 7, "ETH_USDT": 1}, {"BTC_USDT": 7}, 132.0) is False

    def test_a_pair_that_the_stream_never_told_of_is_measured_by_the_first_read(self) -> None:
        """It may have traded long before this session."""
        watch = watching()
        shown = {"BTC_USDT": 7, "ETH_USDT": 1}
        assert watch.answered(shown, {"BTC_USDT": 7}, 100.0) is True
        assert watch.answered(shown, {"BTC_USDT": 7}, 130.0) is True
        assert watch.answered(shown | {"ETH_USDT": 2}, {"BTC_USDT": 7}, 160.0) is True
        assert watch.answered(shown | {"ETH_USDT": 2}, {"BTC_USDT": 7}, 162.0) is False

    def test_another_interval_brings_the_next_read_nearer_and_puts_none_off(self) -> None:
        """A verdict that is waited for does not wait longer."""
        watch = watching()
        watch.answered({"*": 7}, {"*": 7}, 100.0)
        watch.ask_every(INTERVAL * 2)
        assert watch.due == 100.0 + INTERVAL
        watch.ask_every(INTERVAL / 2)
        assert watch.due < 100.0 + INTERVAL
        watch.answered({"*": 7}, {"*": 7}, 200.0)
        assert watch.due == 200.0 + INTERVAL / 2

    def test_a_reference_that_is_behind_is_asked_at_the_usual_pace(self) -> None:
        """It gives no verdict, and is not pressed for one."""
        watch = watching()
        watch.answered({"BTC_USDT": 5}, {"BTC_USDT": 7}, 100.0)
        assert watch.answered({"BTC_USDT": 5}, {"BTC_USDT": 7}, 102.0) is None
        assert watch.due == 102.0 + INTERVAL

    def test_a_verdict_that_no_read_confirms_expires_by_time_alone(self) -> None:
        """It holds for three rounds, whether REST fails, is left alone, or is asked about other things; told once."""
        watch = watching()
        assert watch.answered({"BTC_USDT": 7}, {"BTC_USDT": 7}, 100.0) is True
        watch.failed(140.0)
        assert watch.due == 140.0 + INTERVAL
        assert not watch.expires(100.0 + 3 * INTERVAL, 1.0)
        assert watch.expires(101.0 + 3 * INTERVAL, 1.0)
        assert not watch.expires(102.0 + 3 * INTERVAL, 1.0)

    def test_a_round_is_as_long_as_its_questions_take(self) -> None:
        """Where more topics are silent than can be asked about in an interval, a verdict waits for its turn."""
        watch = watching()
        watch.answered({"BTC_USDT": 7}, {"BTC_USDT": 7}, 100.0)
        assert not watch.expires(100.0 + 3 * 45.0, 45.0)
        assert watch.expires(101.0 + 3 * 45.0, 45.0)

    def test_news_that_no_read_confirms_expires_as_well(self) -> None:
        """Nobody knows how long they have lasted, and whether they still do."""
        watch = watching()
        for now in (100.0, 102.0):
            watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, now)
        assert watch.divergence(110.0) == 10.0
        assert watch.expires(103.0 + 3 * INTERVAL, 1.0)
        assert watch.divergence(103.0 + 3 * INTERVAL) == 0.0

    def test_where_nothing_is_known_nothing_expires(self) -> None:
        """Neither before the first read nor after one that could not tell."""
        watch = watching()
        assert not watch.expires(1e6, 1.0)
        watch.answered({"BTC_USDT": 5}, {"BTC_USDT": 7}, 1e6)
        assert not watch.expires(2e6, 1.0)

    def test_a_pair_is_judged_by_its_own_row(self) -> None:
        """Though all tickers come in one answer."""
        watch = watching("ticker.BTC_USDT")
        for last, at in ((1, 100.0), (2, 102.0), (3, 104.0)):
            answer = shown(TICKERS, [rest_ticker(1000.0), rest_ticker(at, "ETH_USDT", last)])
            verdict = watch.answered(answer, {}, at)
        assert verdict is True
