"""What a simulated exchange is told at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from alpmon.core.events import Dialect

MEBIBYTE: Final = 1 << 20


class WelcomeUnit(StrEnum):
    """How the welcome writes its intervals; the older edition of the documents wrote nanoseconds."""

    MILLISECONDS = "ms"
    NANOSECONDS = "ns"

    @property
    def per_second(self) -> float:
        """How many of the unit make a second."""
        return 1e3 if self is WelcomeUnit.MILLISECONDS else 1e9


@dataclass(frozen=True, slots=True)
class Settings:
    """A simulated exchange. The defaults behave as the real one was measured to, at its own pace.

    Attributes:
        dialect: whose rules to follow: the exchange's documents or what was measured.
        port: 0 takes a free one.
        seed: decides the market, the client ids and every chance taken by a fault.
        rate: how many times faster than the real market.
        market: False sends only what is injected.
        quiet_pairs: how many of the pairs say nothing for minutes.
        silent_symbols: accepted beside the 22 pairs, and never heard of: for plans larger than the exchange.
        refused_tokens: what `auth` answers with an error; any other text that is not empty is accepted.
        api_keys: secrets by key, which `POST /api/v3/auth` trades for a token.
        token_seconds: how long such a token is good.
        max_write_buffer_bytes: a client that lets more than this wait is dropped.
    """

    dialect: Dialect = Dialect.OBSERVED
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    ping_interval_seconds: float = 20.0
    ping_timeout_seconds: float = 30.0
    welcome_unit: WelcomeUnit = WelcomeUnit.MILLISECONDS
    market: bool = True
    rate: float = 1.0
    quiet_pairs: int = 10
    silent_symbols: frozenset[str] = frozenset()
    refused_tokens: frozenset[str] = frozenset({"refused"})
    api_keys: Mapping[str, str] = field(default_factory=lambda: {"demo-key": "demo-secret"})
    token_seconds: float = 600.0
    max_write_buffer_bytes: int = 32 * MEBIBYTE
    close_timeout_seconds: float = 5.0
