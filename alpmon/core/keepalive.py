"""Who is late: the peer by its own silence, the peer by an unanswered ping of ours. All by what the welcome advertised.

The server promises a sign of life every interval and grants a timeout on top; a peer from which nothing at all came
for both together is dead, whatever TCP still believes (a half-open connection looks exactly like this). Our own pings
measure the round trip, and find the peer that still talks but no longer listens. Sent every interval or more often,
they find the half-open connection first: the timeout of the first without an answer ends before the silence is as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NEVER: Final = float("inf")


class Lateness(StrEnum):
    """Why a peer is given up."""

    SILENCE = "silence"
    PING_TIMEOUT = "ping_timeout"


@dataclass(slots=True, frozen=True)
class SendPing:
    """Send a WebSocket ping with this payload, now."""

    payload: bytes


@dataclass(slots=True, frozen=True)
class GiveUp:
    """The peer is dead: drop the connection."""

    cause: Lateness


class Keepalive:
    """One session's deadlines; times are monotonic seconds.

    `last_frame` is written in place by whoever receives, once per read, because it happens for every message.

    Args:
        rtt_interval_seconds: how often to send a ping of our own; 0 for never.
        silence_seconds: how long a peer may say nothing; None for advertised interval + timeout.
    """

    __slots__ = (
        "_advertised",
        "_awaited",
        "_ping_due",
        "_pings_sent",
        "_rtt_interval",
        "_sent_at",
        "_silence",
        "_timeout",
        "last_frame",
    )

    def __init__(self, rtt_interval_seconds: float, silence_seconds: float | None) -> None:
        self._rtt_interval = rtt_interval_seconds
        self._silence = silence_seconds
        self._advertised = NEVER
        self._timeout = NEVER
        self._awaited: bytes | None = None
        self._sent_at = 0.0
        self._ping_due = NEVER
        self._pings_sent = 0
        self.last_frame = NEVER

    def welcomed(self, interval_seconds: float, timeout_seconds: float, now: float) -> None:
        """Start to watch, by the figures of the welcome; the first ping of our own is due at once."""
        self._advertised = interval_seconds + timeout_seconds
        self._timeout = timeout_seconds
        self._ping_due = now if self._rtt_interval > 0 else NEVER
        self.last_frame = now

    def hold_by(self, rtt_interval_seconds: float, silence_seconds: float | None, now: float) -> None:
        """Other limits, as for the constructor, are in force from here on; what is in flight stays so."""
        self._silence = silence_seconds
        if rtt_interval_seconds == self._rtt_interval:
            return
        self._rtt_interval = rtt_interval_seconds
        if self._awaited is None and self._timeout < NEVER:
            self._ping_due = self._next_ping(now)

    @property
    def silence_seconds(self) -> float:
        """The silence after which the peer counts as dead; infinite before the welcome, unless configured."""
        return self._advertised if self._silence is None else self._silence

    def deadline(self) -> float:
        """When `tick` next has something to do, if nothing arrives before."""
        answer_due = NEVER if self._awaited is None else self._sent_at + self._timeout
        return min(self.last_frame + self.silence_seconds, answer_due, self._ping_due)

    def tick(self, now: float) -> SendPing | GiveUp | None:
        """What is due by now. A driver reads its socket before it asks, or a stall of ours looks like theirs."""
        if now >= self.last_frame + self.silence_seconds:
            return GiveUp(Lateness.SILENCE)
        if self._awaited is not None and now >= self._sent_at + self._timeout:
            return GiveUp(Lateness.PING_TIMEOUT)
        if now >= self._ping_due:
            return self._ping(now)
        return None

    def ponged(self, payload: bytes, now: float) -> float | None:
        """The round trip in seconds if this answers the ping in flight; None for any other pong."""
        if payload != self._awaited:
            return None
        self._awaited = None
        self._ping_due = max(now, self._next_ping(self._sent_at))
        return now - self._sent_at

    def _next_ping(self, since: float) -> float:
        return since + self._rtt_interval if self._rtt_interval > 0 else NEVER

    def _ping(self, now: float) -> SendPing:
        # One at a time: a second ping before the first answer would only blur which answer is which.
        self._pings_sent += 1
        self._awaited = self._pings_sent.to_bytes(4)
        self._sent_at = now
        self._ping_due = NEVER
        return SendPing(self._awaited)
