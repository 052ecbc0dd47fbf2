"""What can be subscribed to: channels, topics and pairs, by the names that the exchange gives them."""

from __future__ import annotations

import re
from enum import StrEnum
from reprlib import repr as shortened
from typing import Final

_SYMBOL = re.compile(r"[A-Z0-9]{1,20}_[A-Z0-9]{1,20}")


class Channel(StrEnum):
    """What a frame is about; the `channel` label."""

    TICKER = "ticker"
    TRADE = "trade"
    RATES = "rates"
    DIFF = "diff"
    MARKET_DEPTH = "market_depth"
    WALLET = "wallet"
    ORDER = "order"
    ACCOUNT_TRADE = "account_trade"


PRIVATE_CHANNELS: Final = (Channel.WALLET, Channel.ORDER, Channel.ACCOUNT_TRADE)
PUBLIC_CHANNELS: Final = tuple(c for c in Channel if c not in PRIVATE_CHANNELS)


def is_symbol(text: str) -> bool:
    """Whether text from the wire is a plausible pair, safe to become a label value once it is capped."""
    return _SYMBOL.fullmatch(text) is not None


def split_topic(topic: str) -> tuple[Channel, str]:
    """``"trade.BTC_USDT"`` to ``(Channel.TRADE, "BTC_USDT")``; the symbol of a wildcard is ``"*"``.

    Raises:
        ValueError: the topic names no public channel or no plausible symbol.
    """
    name, dot, symbol = topic.partition(".")
    if not dot or name not in PUBLIC_CHANNELS:
        hint = f"it starts with {', '.join(PUBLIC_CHANNELS)}, a dot, and * or a pair"
        raise ValueError(f"{shortened(topic)} names no public channel: {hint}")
    if symbol != "*" and not is_symbol(symbol):
        raise ValueError(f"{shortened(topic)} names no pair: after the dot comes * or a pair like BTC_USDT")
    return Channel(name), symbol
