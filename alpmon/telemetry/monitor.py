"""The root of all that has been seen: every target, and what the monitor knows of itself."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alpmon.telemetry.histogram import Histogram, latency
from alpmon.telemetry.history import History

if TYPE_CHECKING:
    from alpmon.telemetry.state import TargetRecord
    from alpmon.telemetry.tape import Tape


@dataclass(slots=True)
class Monitor:
    """Everything that has been seen; the root that `/metrics` and the status page read."""

    started_wall: float
    targets: dict[str, TargetRecord] = field(default_factory=dict)
    loop_lag: Histogram = field(default_factory=latency)
    recent_lag: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    last_tick: float = 0.0
    reload_successful: bool = True
    reload_success_wall: float = 0.0
    shard_index: int = 0
    shard_count: int = 1
    shard_replicas: int = 1
    first_attempts_made: bool = False
    login_failures: int = 0
    web_refusals: Counter[str] = field(default_factory=Counter)
    history: History = field(default_factory=History)
    tape: Tape | None = None
