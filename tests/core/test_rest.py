"""What is asked of REST about a topic, and that no answer at all can do harm."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.rest import Endpoint, Question, UnreadableError, question, read

BOOK = Question(Endpoint.ORDERBOOK, "BTC_USDT")
TICKERS = Question(Endpoint.TICKER, None)
TRADES = Question(Endpoint.TRADES, None)


@pytest.mark.parametrize(
    ("topic", "path"),
    [
        ("market_depth.BTC_USDT", "orderbook?pair=BTC_USDT"),
        ("diff.BTC_USDT", "orderbook?pair=BTC_USDT"),
        ("trade.BTC_USDT", "trades?pair=BTC_USDT"),
        ("trade.*", "trades"),
        ("ticker.BTC_USDT", "ticker"),
        ("ticker.*", "ticker"),
    ],
)
def test_each_topic_has_its_read(topic: str, path: str) -> None:
    """All tickers come at once, so all ticker topics share a read."""
    asked = question(topic)
    assert asked is not None
    assert asked.path == path


@pytest.mark.parametrize("topic", ["rates.*", "rates.BTC_USDT", "diff.*"])
def test_what_rest_has_no_counterpart_of_is_not_asked(topic: str) -> None:
    """No endpoint, or none for all pairs at once."""
    assert question(topic) is None


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        (BOOK, b"[]"),
        (BOOK, b'{"buy": [{"price": "x", "amount": "1"}], "sell": []}'),
        (BOOK, b'{"buy": [{"price": "nan", "amount": "1"}], "sell": []}'),
        (TICKERS, b'[{"pair": "BTC_USDT"}]'),
        (TRADES, b'[{"id": "x", "pair": "BTC_USDT"}]'),
        (TRADES, b'[{"id": 7}]'),
        (TRADES, b"<html>"),
        (TRADES, b"\xff"),
    ],
)
def test_an_answer_of_another_shape_is_unreadable(asked: Question, body: bytes) -> None:
    """And says so, instead of a verdict."""
    with pytest.raises(UnreadableError, match=f"not what {asked.endpoint} should answer"):
        read(asked, body)


@given(st.sampled_from([BOOK, TICKERS, TRADES]), st.binary())
def test_no_answer_raises_anything_else(asked: Question, body: bytes) -> None:
    """Nothing from the wire is trusted."""
    with contextlib.suppress(UnreadableError):
        read(asked, body)
