"""What the monitor tells of itself."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Final

from alpmon import __version__
from alpmon.telemetry import readers
from alpmon.telemetry.family import Family, Kind
from alpmon.telemetry.labels import WebRefusal
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.readers import Row


def _monitor(kind: Kind, name: str, text: str, get: Callable[[Monitor], readers.Figure]) -> Family[Monitor]:
    return Family(name, kind, (), text, lambda monitor: (((), get(monitor)),))


def _build(_: Monitor) -> Iterable[Row]:
    return [((__version__, platform.python_version(), version("websockets")), 1.0)]


OF_MONITOR: Final[tuple[Family[Monitor], ...]] = (
    Family(
        "alpmon_build_info",
        Kind.GAUGE,
        ("version", "python_version", "websockets_version"),
        "A metric with a constant '1' value labeled by the versions that alpmon runs with.",
        _build,
    ),
    _monitor(
        Kind.GAUGE,
        "alpmon_config_last_reload_successful",
        "Whether the last configuration reload attempt was successful.",
        lambda monitor: monitor.reload_successful,
    ),
    _monitor(
        Kind.GAUGE,
        "alpmon_config_last_reload_success_timestamp_seconds",
        "Timestamp of the last successful configuration reload.",
        lambda monitor: monitor.reload_success_wall,
    ),
    _monitor(
        Kind.HISTOGRAM,
        "alpmon_event_loop_lag_seconds",
        "How late the event loop's own timer runs: whether a delay is the monitor's or the exchange's.",
        lambda monitor: monitor.loop_lag,
    ),
    _monitor(
        Kind.COUNTER,
        "alpmon_web_login_failures_total",
        "Total number of HTTP requests with a wrong user or password.",
        lambda monitor: monitor.login_failures,
    ),
    Family(
        "alpmon_web_requests_refused_total",
        Kind.COUNTER,
        ("reason",),
        "Total number of HTTP requests answered with 429.",
        lambda monitor: [((reason,), monitor.web_refusals[reason]) for reason in WebRefusal],
    ),
    _monitor(Kind.GAUGE, "alpmon_shard_index", "Index of this shard.", lambda monitor: monitor.shard_index),
    _monitor(Kind.GAUGE, "alpmon_shard_count", "Number of shards.", lambda monitor: monitor.shard_count),
    _monitor(
        Kind.GAUGE,
        "alpmon_shard_replicas",
        "Number of monitors that are meant to hold each shard.",
        lambda monitor: monitor.shard_replicas,
    ),
)
