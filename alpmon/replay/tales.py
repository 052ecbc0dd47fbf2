"""What a replay has told of each topic so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan

from alpmon.core.freshness import TopicState


@dataclass(slots=True)
class Tale:
    """What was told of one topic; times are monotonic seconds."""

    state: TopicState = TopicState.DOWN
    since: float = nan
    longest_silence: float = 0.0
    longest_late: float = 0.0
    thin_since: float = inf
    thin_seconds: float = 0.0
    missed: int = 0


@dataclass(slots=True)
class Tales:
    """What was told of one connection."""

    topics: dict[str, Tale] = field(default_factory=dict)
    anomalies: dict[tuple[str, str], int] = field(default_factory=dict)
