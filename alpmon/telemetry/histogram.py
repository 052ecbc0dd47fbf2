"""Histograms that are bumped in place, and the buckets of each kind of figure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True, frozen=True)
class Exemplar:
    """The session behind one observation: who to ask the exchange about."""

    client_id: str
    value: float
    wall: float


class Histogram:
    """Counts a bucket, not cumulated; `bounds` are inclusive upper limits, ascending, without +Inf."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        """Count one value, in the histogram's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_for(self, value: float, client_id: str, wall: float) -> None:
        """Count one value and remember the session as its bucket's exemplar."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        self.exemplars[bucket] = Exemplar(client_id, value, wall)

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


CONNECT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATENCY_BUCKETS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
SPACING_BUCKETS: Final = (
    1.0,
    5.0,
    10.0,
    15.0,
    18.0,
    19.0,
    20.0,
    21.0,
    22.0,
    25.0,
    30.0,
    40.0,
    50.0,
    65.0,
    100.0,
)
INTERARRIVAL_BUCKETS: Final = (
    0.01,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
SESSION_BUCKETS: Final = (
    1.0,
    10.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    14400.0,
    43200.0,
    86400.0,
    259200.0,
    604800.0,
)
LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0)


def latency() -> Histogram:
    """An empty histogram of latencies."""
    return Histogram(LATENCY_BUCKETS)
