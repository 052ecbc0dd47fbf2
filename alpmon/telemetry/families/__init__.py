"""The one table of metric families: name, type, labels, help, and where each figure is read. It has a part a subject.

Scrapes, the documentation and the tests all go by this table. The names, labels and meanings are the public face:
adding is fine, renaming or removing needs a major version.
"""

from __future__ import annotations

from typing import Final

from alpmon.telemetry.families.feed import OF_FEED
from alpmon.telemetry.families.life import OF_LIFE
from alpmon.telemetry.families.monitor import OF_MONITOR
from alpmon.telemetry.families.protocol import OF_PROTOCOL
from alpmon.telemetry.families.target import OF_CLOCK, OF_TARGET
from alpmon.telemetry.family import Family
from alpmon.telemetry.monitor import Monitor
from alpmon.telemetry.readers import Seen, SeenClock
from alpmon.telemetry.state import TargetRecord

__all__ = ["FAMILIES", "OF_CLOCK", "OF_CONNECTION", "OF_MONITOR", "OF_TARGET"]

OF_CONNECTION: Final[tuple[Family[Seen], ...]] = (*OF_LIFE, *OF_PROTOCOL, *OF_FEED)

FAMILIES: Final[tuple[Family[Monitor] | Family[TargetRecord] | Family[SeenClock] | Family[Seen], ...]] = (
    *OF_MONITOR,
    *OF_TARGET,
    *OF_CLOCK,
    *OF_CONNECTION,
)
"""Every family of alpmon's own, in the order of a scrape."""
