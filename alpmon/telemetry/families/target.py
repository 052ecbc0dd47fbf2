"""What is told of a target as a whole, and of its server's clock."""

from __future__ import annotations

from typing import Final

from alpmon.masking import mask_urls
from alpmon.telemetry.family import Family, Kind
from alpmon.telemetry.readers import SeenClock
from alpmon.telemetry.state import TargetRecord

OF_TARGET: Final[tuple[Family[TargetRecord], ...]] = (
    Family(
        "alpmon_target_info",
        Kind.INFO,
        ("target", "url"),
        "Information about a configured target.",
        lambda target: [((mask_urls(target.url),), 1.0)],
    ),
    Family(
        "alpmon_symbols_dropped_total",
        Kind.COUNTER,
        ("target",),
        "Total number of distinct symbols beyond max_symbols, which are counted as 'other'.",
        lambda target: [((), target.symbols_dropped_total)],
    ),
    Family(
        "alpmon_reference_checks_total",
        Kind.COUNTER,
        ("target",),
        "Total number of REST reads about topics past their threshold.",
        lambda target: [((), target.reference_checks)],
    ),
    Family(
        "alpmon_reference_failures_total",
        Kind.COUNTER,
        ("target",),
        "Total number of REST reads that gave no answer.",
        lambda target: [((), target.reference_failures)],
    ),
)

OF_CLOCK: Final[tuple[Family[SeenClock], ...]] = (
    Family(
        "alpmon_clock_offset_seconds",
        Kind.GAUGE,
        ("target",),
        "Server clock minus the monitor's, NaN until an acknowledgement has bounded it.",
        lambda seen: [((), seen.clock.reading(seen.now, seen.wall).offset_seconds)],
    ),
    Family(
        "alpmon_clock_offset_error_seconds",
        Kind.GAUGE,
        ("target",),
        "Half-width of the interval around alpmon_clock_offset_seconds that surely holds the truth, NaN until known.",
        lambda seen: [((), seen.clock.reading(seen.now, seen.wall).error_seconds)],
    ),
)
