"""Frames of the stream, and what a session that received them told."""

from __future__ import annotations

import json
from typing import Any

from alpmon.core.facts import Facts
from alpmon.core.latest import Latest
from alpmon.core.numeric import decode


def told(topic: str, *frames: list[Any]) -> Facts:
    """What a session that received these frames told of a topic."""
    latest = Latest()
    for frame in frames:
        latest.keep(decode(json.dumps(frame).encode()))
    return latest.facts(topic)


def book_frame(*bids: Any) -> list[Any]:
    levels = [[str(bid), "0.50"] for bid in bids]
    return ["p", 1790139143, {"Asks": [["102", "1"]], "Bids": levels, "Symbol": "BTC_USDT"}]


def ticker_frame(time: float, pair: str = "BTC_USDT", last: str = "100") -> list[Any]:
    return ["tk", time, [pair, last, "1", "1", "1", "1", "1", "99", "101"]]


def trade_frame(number: int, pair: str = "BTC_USDT") -> list[Any]:
    return ["t", 1790139143, number, pair, "1", "1", "buy"]
