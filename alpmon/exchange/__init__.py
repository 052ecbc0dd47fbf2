"""The simulated exchange: a server, a market, and the ways it fails."""

from alpmon.exchange.server import Exchange
from alpmon.exchange.settings import Settings, WelcomeUnit

__all__ = ["Exchange", "Settings", "WelcomeUnit"]
