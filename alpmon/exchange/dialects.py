"""Where the exchange's documents and its measured behaviour differ, one field a rule.

Sources: the page ws-overview for `DOCUMENTED`, the field survey of `wss://www.alp.com/ws` for `OBSERVED`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from alpmon.core.events import Dialect
from alpmon.core.topics import Channel, split_topic

WILDCARD: Final = "*"


class PingStyle(StrEnum):
    """How the server asks whether the client lives."""

    TEXT = "text"
    """`1` every interval, whatever else is sent."""
    PROTOCOL = "protocol"
    """A WebSocket ping once the server has sent nothing for an interval."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one dialect does; None where it sets no limit."""

    dialect: Dialect
    ping_style: PingStyle
    late_pong_close_code: int | None
    whole_seconds: bool
    max_topics: int | None
    max_frame_bytes: int | None
    drops_bad_frames: bool
    names_culprits: bool
    wildcards: frozenset[Channel]
    """Channels whose `channel.*` is a topic."""
    silent_topics: frozenset[Channel]
    """Channels whose topics other than a delivering wildcard are acknowledged and never deliver."""
    silent_wildcards: frozenset[Channel]
    depth_on_whole_seconds: bool

    def stamp(self, wall: float) -> int | float:
        """Unix seconds as this dialect writes them."""
        rounded = round(wall, 6)
        return int(rounded) if self.whole_seconds else rounded

    def knows(self, topic: object, pairs: Collection[str]) -> bool:
        """Whether a request for `topic` is accepted."""
        try:
            channel, symbol = split_topic(topic if isinstance(topic, str) else "")
        except ValueError:
            return False
        return channel in self.wildcards if symbol == WILDCARD else symbol in pairs

    def delivers(self, topic: str) -> bool:
        """Whether an accepted topic ever sends anything."""
        channel, symbol = split_topic(topic)
        return channel not in (self.silent_wildcards if symbol == WILDCARD else self.silent_topics)


DOCUMENTED: Final = Rules(
    dialect=Dialect.DOCUMENTED,
    ping_style=PingStyle.TEXT,
    late_pong_close_code=1008,
    whole_seconds=False,
    max_topics=None,
    max_frame_bytes=None,
    drops_bad_frames=False,
    names_culprits=False,
    wildcards=frozenset({Channel.TICKER, Channel.TRADE, Channel.RATES}),
    silent_topics=frozenset(),
    silent_wildcards=frozenset(),
    depth_on_whole_seconds=False,
)

OBSERVED: Final = Rules(
    dialect=Dialect.OBSERVED,
    ping_style=PingStyle.PROTOCOL,
    late_pong_close_code=None,
    whole_seconds=True,
    max_topics=20,
    max_frame_bytes=800,
    drops_bad_frames=True,
    names_culprits=True,
    wildcards=frozenset({Channel.TICKER, Channel.TRADE, Channel.RATES, Channel.DIFF}),
    silent_topics=frozenset({Channel.TICKER, Channel.DIFF}),
    silent_wildcards=frozenset({Channel.DIFF}),
    depth_on_whole_seconds=True,
)

_RULES: Final = {rules.dialect: rules for rules in (DOCUMENTED, OBSERVED)}


def rules_of(dialect: Dialect) -> Rules:
    """The rules of a dialect.

    Raises:
        ValueError: `Dialect.UNKNOWN` is nobody's dialect.
    """
    try:
        return _RULES[dialect]
    except KeyError:
        raise ValueError(f"the exchange speaks {' or '.join(_RULES)}, not {dialect}") from None
