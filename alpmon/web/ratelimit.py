"""How often the monitor may be asked: a token bucket."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """Full at first; each answer takes a token, and one comes back each interval.

    Args:
        interval: seconds above zero.
        burst: how many tokens it holds.
        clock: monotonic seconds.
    """

    def __init__(self, interval: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._seen = clock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._seen) / self._interval)
        self._seen = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    @property
    def seconds_to_wait(self) -> float:
        """Until there was a token again, when `take` was last called."""
        return max(0.0, (1.0 - self._tokens) * self._interval)
