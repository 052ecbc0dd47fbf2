"""Where a topic stands in its present silence, for somebody who was not told how it got there."""

from __future__ import annotations

from msgspec import Struct


class Stand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that decides what a topic's present silence means; times are monotonic seconds.

    Attributes:
        phase: How its subscription fares: down, pending, rejected, or live however long it has been silent.
        since: When that began, or when data came again after it was late.
        seed: When its age began: the last message, or the acknowledgement before the first.
        threshold: The age from which on it is late.
        delivered: Whether a message came in this session.
        excused: Whether the silence is known to have missed nothing ...
        excused_changed: ... and when that was found out, or doubted again; None for never.
        said: What each source said last of this silence.
    """

    phase: str
    since: float
    seed: float
    threshold: float
    delivered: bool = False
    excused: bool = False
    excused_changed: float | None = None
    said: dict[str, bool | None] = {}


class Compared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What siblings know of a topic on one connection, each as `core.sightings.Standing` has it; None for never."""

    subscribed: float | None = None
    delivered: float | None = None
    newest: float | None = None
    lacking: float | None = None
    puzzling: float | None = None
    vouched: float | None = None
