"""One topic's message rate, from the counter that is there anyway: no message costs anything more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alpmon.core.freshness import TopicState
from alpmon.core.rates import SLOT_SECONDS, Rate

if TYPE_CHECKING:
    from alpmon.core.freshness import TopicFreshness

_LONGEST_SLOT_SECONDS: Final = 5 * SLOT_SECONDS
"""Who slept for longer (a stopped process, a suspended machine) knows nothing about the rate meanwhile."""
_SUBSCRIBED: Final = (TopicState.LIVE, TopicState.QUIET, TopicState.STALE, TopicState.SILENT)


class RateMeter:
    """One topic's rate, and where its counter stood when it was last read.

    Only slots count that lie wholly within one session, after the acknowledgement: time while down is no thin feed.

    Attributes:
        rate: what the slots come to.
        seen: messages when the counter was last read.
    """

    __slots__ = ("_at", "_session_wall", "rate", "seen")

    def __init__(self) -> None:
        self.rate = Rate()
        self._at = 0.0
        self.seen = 0
        self._session_wall = 0.0

    def read(self, messages: int, freshness: TopicFreshness, session_wall: float, now: float, wall: float) -> None:
        """Close a slot.

        Args:
            messages: where the topic's counter stands.
            freshness: of the same topic.
            session_wall: when the present session was welcomed, 0.0 while down; tells one session from the next.
            now: monotonic seconds.
            wall: unix seconds.
        """
        came, self.seen = messages - self.seen, messages
        seconds, self._at = now - self._at, now
        state = freshness.state(now)
        before, self._session_wall = self._session_wall, session_wall if state in _SUBSCRIBED else 0.0
        if not self._session_wall or self._session_wall != before or not 0.0 < seconds <= _LONGEST_SLOT_SECONDS:
            return
        if state is TopicState.QUIET:
            self.rate.excuse()
        else:
            self.rate.observe(came, seconds, freshness.stale_after(), wall)
