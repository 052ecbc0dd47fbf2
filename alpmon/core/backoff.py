"""How long to wait before the next connection attempt.

| attempt since the last reset | seconds waited |
|---|---|
| first | uniform in 0 .. min(initial, 0.5): at once, yet not all at the same instant |
| second | uniform in 0 .. initial |
| n-th | uniform in 0 .. min(maximum, initial * factor^(n-2)), the cap jittered like the rest |

Full jitter means that the whole interval is drawn from, down to zero. A draw near zero is one early attempt, not a
rate: a client at the cap still attempts once every `maximum / 2` on average, while a thousand clients that lost the
same server spread evenly over `maximum`. Any lower bound would only push them closer together.
"""

from __future__ import annotations

from random import Random
from typing import Final

_AT_ONCE_SECONDS: Final = 0.5
_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
"""A server may ask for patience, not switch a monitor off for ever."""
_LIVED_SECONDS: Final = 60.0


class Backoff:
    """The delays of one connection between two sessions that were worth having.

    Args:
        initial: ceiling of the second delay, seconds, above 0.
        maximum: ceiling of every delay, seconds, at least `initial`.
        factor: growth of the ceiling from one delay to the next, at least 1.
        rng: where the jitter comes from.
    """

    __slots__ = ("_ceiling", "_factor", "_following", "_initial", "_maximum", "_rng")

    def __init__(self, initial: float, maximum: float, factor: float, rng: Random) -> None:
        self._initial = min(initial, maximum)
        self._maximum = maximum
        self._factor = factor
        self._rng = rng
        self._ceiling = 0.0
        self._following = 0.0
        self.reset()

    def next_delay(self, retry_after: float | None = None) -> float:
        """The seconds to wait now; each call counts as one attempt.

        Args:
            retry_after: seconds that the server asked for with HTTP 429 or 503. The delay is never shorter (up to an
                hour) and may pass `maximum`; the jitter comes on top, because the server told everybody the same.
        """
        ceiling, self._ceiling = self._ceiling, self._following
        self._following = min(self._following * self._factor, self._maximum)
        return _bounded(retry_after) + self._rng.uniform(0.0, ceiling)

    def reset(self) -> None:
        """Forget all failures: the next retry is a first one."""
        self._ceiling = min(self._initial, _AT_ONCE_SECONDS)
        self._following = self._initial


def _bounded(retry_after: float | None) -> float:
    """What is left of the server's wish; one that is no number of seconds ahead counts for nothing."""
    if retry_after is None or not retry_after > 0.0:
        return 0.0
    return min(retry_after, _LONGEST_RETRY_AFTER_SECONDS)


def deserves_reset(acknowledged: bool, delivered: bool, lived_seconds: float) -> bool:
    """Whether a session that ended was good enough to retry at once.

    A welcome alone is not: a server that welcomes and closes at once would be hammered by a monitor that forgets.

    Args:
        acknowledged: at least one topic was acknowledged.
        delivered: at least one data frame came.
        lived_seconds: from the welcome to the end.
    """
    return (acknowledged and delivered) or lived_seconds >= _LIVED_SECONDS
