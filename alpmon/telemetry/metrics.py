"""The metrics of a running monitor: which collectors make them, and their two text formats."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

from alpmon.telemetry.collector import MonitorCollector

if TYPE_CHECKING:
    from alpmon.telemetry.monitor import Monitor

_GZIP_LEVEL: Final = 1
"""Measured at 20 000 series: level 9 costs 70 ms of CPU, level 1 costs 4 ms and is hardly larger."""

_NO_WEIGHT: Final = re.compile(r"q=0(\.0*)?")


def register(
    registry: CollectorRegistry,
    monitor: Monitor,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> None:
    """Let a registry collect the monitor's families and the process's own.

    Raises:
        ValueError: the registry already holds a family of the same name.
    """
    registry.register(MonitorCollector(monitor, monotonic, wall))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)


@dataclass(slots=True, frozen=True)
class Exposition:
    """One rendered scrape."""

    content_type: str
    body: bytes
    gzipped: bool


def render(registry: CollectorRegistry, accept: str, accept_encoding: str, names: Sequence[str] = ()) -> Exposition:
    """Render a scrape in the format that is asked for: OpenMetrics 1.0, or the text format 0.0.4.

    Args:
        registry: what to collect.
        accept: the request's `Accept`.
        accept_encoding: the request's `Accept-Encoding`.
        names: collect only these samples, as the other client libraries do for `name[]`; all where empty.
    """
    encode, content_type = _encoder(accept)
    body = encode(registry.restricted_registry(names) if names else registry)
    gzipped = takes_gzip(accept_encoding)
    return Exposition(content_type, gzip.compress(body, _GZIP_LEVEL) if gzipped else body, gzipped)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` names gzip and gives it more weight than 0 (RFC 9110, 12.5.3)."""
    for coding in accept_encoding.lower().split(","):
        name, *parameters = map(str.strip, coding.split(";"))
        if name == "gzip":
            return not any(map(_NO_WEIGHT.fullmatch, parameters))
    return False


def _encoder(accept: str) -> tuple[Callable[..., bytes], str]:
    try:
        return choose_encoder(accept)
    except TypeError:  # A version that is no number: the library compares text with numbers.
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
