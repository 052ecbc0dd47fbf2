"""The state as a person asks for it: what is up, what is not, since when and why. The page and the JSON show this.

Durations are in `..._seconds`, times in `..._timestamp_seconds` since the epoch; what never happened is null.
"""

from __future__ import annotations

from msgspec import Struct

from alpmon import __version__
from alpmon.telemetry.looplag import late_share
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.targetstatus import TargetStatus, target_status
from alpmon.telemetry.verdict import Own, Verdict, judge


class Status(Struct, frozen=True, kw_only=True):
    """Everything, at one moment."""

    version: str
    timestamp_seconds: float
    uptime_seconds: float
    ready: bool
    worst_recent_event_loop_lag_seconds: float
    shard_index: int
    shard_count: int
    verdict: Verdict
    targets: list[TargetStatus]


def status(monitor: Monitor, now: float, wall: float) -> Status:
    """Tell the state at monotonic `now`, wall clock `wall`; safe in a thread while the event loop writes."""
    targets = [target_status(target, now, wall) for target in list(monitor.targets.values())]
    lag = monitor.recent_lag.copy()
    own = Own(monitor.started_wall, late_share(lag), not monitor.reload_successful)
    return Status(
        version=__version__,
        timestamp_seconds=wall,
        uptime_seconds=max(0.0, wall - monitor.started_wall),
        ready=monitor.first_attempts_made,
        worst_recent_event_loop_lag_seconds=max(lag, default=0.0),
        shard_index=monitor.shard_index,
        shard_count=monitor.shard_count,
        verdict=judge(targets, own, wall),
        targets=targets,
    )
