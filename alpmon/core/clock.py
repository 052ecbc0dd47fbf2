"""Bounds on the server's clock, from the stamps that it writes anyway.

A frame that arrived at `b` with the stamp `s` was stamped before it arrived, so the server's clock is at least `s - b`
ahead of ours. An acknowledgement of a request sent at `a` was also stamped after that, so the clock is at most `s - a`
ahead; where stamps are cut to whole seconds it may have read anything up to `s + 1`, and the bound is `s + 1 - a`.
All bounds of the last hour hold at once: the offset is where they overlap. Each loosens as it ages, by what two
clocks may drift apart, so a good bound gives way to a better one and never turns false.

Whole seconds bound the clock within milliseconds too, once requests have been stamped just before and just after a
second began; `Clock.aim` says when to send one so that its answer halves what is unknown.

Our side is the monotonic clock, so that a step of our own wall clock is known at once and never taken for the server's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from typing import Final, NamedTuple

MAX_DRIFT: Final = 100e-6
"""Seconds a second that the two clocks may part: a plain quartz is good for 50e-6, and there are two of them."""

SLOWED: Final = 1.0 - MAX_DRIFT
"""`stamp - SLOWED * now` is what `Clock.bar` compares: a bound that needs no ageing."""

_WINDOW_SECONDS: Final = 3600.0
_BUCKET_SECONDS: Final = 300.0
_RESOLUTION_SECONDS: Final = 1e-6
"""How finely a stamp is told at best: microseconds are written, and a double near the epoch holds 0.24 of one."""
_STAMP_DIGITS: Final = 6
_WORTHWHILE_SECONDS: Final = 1e-4
"""A data frame that would better the bound by less is not worth the time; the fastest feed costs next to nothing."""


class Reading(NamedTuple):
    """Server clock minus ours, and the half-width of the interval that surely holds it; both in seconds.

    Both are NaN before the first acknowledgement.
    """

    offset_seconds: float
    error_seconds: float


@dataclass(slots=True)
class _Bucket:
    """The best bounds of one stretch of the window, told as they would have been at monotonic zero."""

    ends: float
    lowest: float = -inf
    highest: float = inf


class Clock:
    """What is known of one server's clock. Times are monotonic seconds of ours, stamps are the server's epoch seconds.

    Attributes:
        middle: Server's epoch time minus our monotonic time in the middle of what is possible; NaN until known. The lag
            of a frame is `now + middle - stamp`.
        bar: A data frame can only teach something where `stamp - SLOWED * now` is above it; for callers that have no
            time to ask about each.
    """

    def __init__(self) -> None:
        self.middle = nan
        self.bar = -inf
        self._bounds = -inf, inf
        self._buckets: deque[_Bucket] = deque()
        self._whole_seconds = False
        self._one_way_seconds = 0.0

    def acknowledged(self, sent: float, received: float, stamp: float) -> bool:
        """An acknowledgement stamped `stamp` came at `received` for a request that left us at `sent` or later.

        Returns:
            False where no offset fits it and what was known before: one of the clocks has stepped, and what is known
            starts anew from this acknowledgement.
        """
        granularity = _granularity(stamp)
        self._whole_seconds = granularity == 1.0
        self._one_way_seconds = (received - sent) / 2
        lowest = stamp - _RESOLUTION_SECONDS - SLOWED * received
        highest = stamp + granularity + _RESOLUTION_SECONDS - (2.0 - SLOWED) * sent
        known_lowest, known_highest = self._bounds
        fits = max(lowest, known_lowest) <= min(highest, known_highest) + 2 * MAX_DRIFT * received
        if not fits:
            self._buckets.clear()
        self._learn(received, lowest, highest)
        return fits

    def heard(self, stamp: float, received: float) -> bool:
        """A data frame stamped `stamp` came.

        Returns:
            False where it bears a time that the server's clock cannot have reached; nothing is learnt from it, as only
            an acknowledgement can tell a clock that has stepped from a stamp that is wrong.
        """
        lowest = stamp - _RESOLUTION_SECONDS - SLOWED * received
        if lowest > self._bounds[1] + 2 * MAX_DRIFT * received:
            return False
        self._learn(received, lowest, inf)
        return True

    def reading(self, now: float, wall: float) -> Reading:
        """The offset from our wall clock, which reads `wall` at monotonic `now`; safe to ask from another thread."""
        lowest, highest = self._bounds
        if not isfinite(highest - lowest):
            return Reading(nan, nan)
        return Reading(_middle(lowest, highest) + now - wall, (highest - lowest) / 2 + MAX_DRIFT * now)

    def aim(self, due: float) -> float:
        """The moment within half a second of `due` at which a request's answer will tell most.

        A clock of whole seconds tells most where it is expected to turn: whichever second is written halves what is
        possible. For any finer clock it is `due` itself.
        """
        if not self._whole_seconds or isnan(self.middle):
            return due
        reads = due + self._one_way_seconds + self.middle
        return due + round(reads) - reads

    def _learn(self, now: float, lowest: float, highest: float) -> None:
        bucket = self._bucket(now)
        bucket.lowest, bucket.highest = max(bucket.lowest, lowest), min(bucket.highest, highest)
        self.bar = bucket.lowest + _RESOLUTION_SECONDS + _WORTHWHILE_SECONDS
        self._bounds = max(each.lowest for each in self._buckets), min(each.highest for each in self._buckets)
        self.middle = _middle(*self._bounds)

    def _bucket(self, now: float) -> _Bucket:
        """The present bucket; those that have left the window are dropped."""
        buckets = self._buckets
        if not buckets or now >= buckets[-1].ends:
            buckets.append(_Bucket(now + _BUCKET_SECONDS))
            while buckets[0].ends < now - _WINDOW_SECONDS:
                buckets.popleft()
        return buckets[-1]


def _middle(lowest: float, highest: float) -> float:
    """Drift widens the interval on both sides alike, so its middle stays where it is."""
    return (lowest + highest) / 2 if isfinite(highest - lowest) else nan


def _granularity(stamp: float) -> float:
    """The unit of the last digit written, seconds: a stamp may have been cut there, and mean all up to the next."""
    return next((10.0**-digits for digits in range(_STAMP_DIGITS) if round(stamp, digits) == stamp), 1e-6)
