"""Figures as people read them: each with its unit, and a dash for what never was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

NOTHING: Final = "\N{EN DASH}"

_TENTHS_BELOW: Final = 10
_TENTH_OF_A_MILLISECOND: Final = 1e-4
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def latency(seconds: float | None) -> str:
    """A time that something takes: `40 µs` or `3.2 ms` where that is less than a second, else as a duration."""
    if seconds is None or not 0 < seconds < 1:
        return duration(seconds)
    return f"{seconds * 1e3:.1f} ms" if seconds >= _TENTH_OF_A_MILLISECOND else f"{seconds * 1e6:.0f} µs"


def duration(seconds: float | None) -> str:
    """A duration with its unit, in two units at most: `0.4 s`, `12 s`, `2 min 5 s`, `3 h`, `4 d 7 h`."""
    if seconds is None:
        return NOTHING
    if seconds < _TENTHS_BELOW:
        return f"{int(seconds * 10) / 10:g} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole // _MINUTE, "min", whole % _MINUTE, "s")
    if whole < _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _two(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def clock(timestamp_seconds: float | None, now: float) -> str:
    """A time of day, in UTC; with its day where that is not the last such time before `now`."""
    if timestamp_seconds is None:
        return NOTHING
    return moment(timestamp_seconds) if now - timestamp_seconds >= _DAY else _moment(timestamp_seconds, "%H:%M:%S")


def moment(timestamp_seconds: float) -> str:
    """A day and a time of day, in UTC."""
    return _moment(timestamp_seconds, "%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str) -> str:
    """`1 topic`, `1,000 topics`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _two(large: int, unit: str, small: int, smaller_unit: str) -> str:
    return f"{large} {unit} {small} {smaller_unit}" if small else f"{large} {unit}"


def _moment(timestamp_seconds: float, shape: str) -> str:
    return datetime.fromtimestamp(timestamp_seconds, UTC).strftime(shape)
