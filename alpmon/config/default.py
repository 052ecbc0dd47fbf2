"""What `alpmon run` watches when nobody told it anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from alpmon.config.loader import parse
from alpmon.config.models import Config

DEFAULT_TEXT: Final = """\
targets:
  - name: alp
    url: wss://www.alp.com/ws
    topics:             # twelve of the twenty that one connection may hold
      - ticker.*
      - trade.*
      - market_depth.BTC_USDT
      - market_depth.BTC_USDC
      - market_depth.ETH_USDT
      - market_depth.ETH_USDC
      - market_depth.XRP_USDT
      - market_depth.XRP_USDC
      - market_depth.DOGE_USDT
      - market_depth.DOGE_USDC
      - market_depth.TRX_USDT
      - market_depth.TRX_USDC
"""


def default_config(env: Mapping[str, str] = os.environ) -> Config:
    """The public feed of the exchange: all tickers and trades, and the books of the ten busiest pairs.

    Raises:
        ConfigError: the environment's shard makes no sense.
    """
    return parse(DEFAULT_TEXT, "default", env)
