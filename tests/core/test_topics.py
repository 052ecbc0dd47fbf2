"""Topics and pairs: what is one, and what it is of."""

from __future__ import annotations

import pytest

from alpmon.core.topics import Channel, split_topic


@pytest.mark.parametrize(
    ("topic", "parts"),
    [
        ("trade.BTC_USDT", (Channel.TRADE, "BTC_USDT")),
        ("ticker.*", (Channel.TICKER, "*")),
        ("market_depth.EURQ_USDC", (Channel.MARKET_DEPTH, "EURQ_USDC")),
    ],
)
def test_topic_is_a_channel_and_a_pair(topic: str, parts: tuple[Channel, str]) -> None:
    """The wildcard's symbol is the star."""
    assert split_topic(topic) == parts


@pytest.mark.parametrize(
    "topic",
    ["", "trade", "trade.", ".BTC_USDT", "trades.BTC_USDT", "wallet.*", "trade.btc_usdt", "trade.BTC", "trade.**",
     "trade.BTC_USDT\n", "trade.BTC_USDT.X", "trade.ÄÖ_USDT", f"trade.{'A' * 21}_USDT"],
)  # fmt: skip
def test_what_is_no_topic_is_refused(topic: str) -> None:
    """Private channels are not subscribed to, and only plausible pairs become labels."""
    with pytest.raises(ValueError, match="names no"):
        split_topic(topic)
