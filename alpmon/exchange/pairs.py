"""The 22 pairs and what is usual for each: where its price starts, how fine it is quoted, how busy it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pair:
    """One market.

    Attributes:
        symbol: `BASE_QUOTE`.
        price: where it starts, in the quote currency.
        decimals: digits after the point of a price; one tick is the last of them.
        activity: its share of the trades relative to the others.
    """

    symbol: str
    price: float
    decimals: int
    activity: float


PAIRS: Final = (
    Pair("BTC_USDT", 87164.0, 2, 30.0),
    Pair("ETH_USDT", 3021.4, 2, 20.0),
    Pair("XRP_USDT", 1.6451, 5, 12.0),
    Pair("DOGE_USDT", 0.10382, 6, 9.0),
    Pair("TRX_USDT", 0.28114, 5, 8.0),
    Pair("BTC_USDC", 87160.0, 2, 10.0),
    Pair("ETH_USDC", 3020.9, 2, 8.0),
    Pair("XRP_USDC", 1.6449, 5, 6.0),
    Pair("DOGE_USDC", 0.1038, 6, 5.0),
    Pair("USDC_USDT", 1.0001, 5, 6.0),
    Pair("SOL_USDT", 136.2, 3, 6.0),
    Pair("LTC_USDT", 81.03, 3, 5.0),
    Pair("TRX_USDC", 0.2811, 5, 0.5),
    Pair("LTC_USDC", 81.01, 3, 0.4),
    Pair("SOL_USDC", 136.1, 3, 0.4),
    Pair("ZEC_USDT", 412.6, 2, 0.3),
    Pair("ZEC_USDC", 412.3, 2, 0.3),
    Pair("ALP_USDT", 0.014205, 7, 0.2),
    Pair("EURQ_USDT", 1.1602, 5, 0.2),
    Pair("EURQ_USDC", 1.1601, 5, 0.2),
    Pair("ADA_USDT", 0.4231, 5, 0.2),
    Pair("BNB_USDT", 861.2, 2, 0.2),
)
"""Busiest first, so the last of them are the quiet ones."""

SYMBOLS: Final = frozenset(pair.symbol for pair in PAIRS)
