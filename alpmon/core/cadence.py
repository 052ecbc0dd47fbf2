"""How long a silence is normal for one topic, learnt from its own gaps."""

from __future__ import annotations

from collections import deque
from typing import Final

_ENOUGH: Final = 8


class Cadence:
    """A threshold from the longest of the recent gaps; `floor` and `ceiling` in seconds bound it."""

    __slots__ = ("_ceiling", "_floor", "_gaps")

    def __init__(self, floor: float, ceiling: float) -> None:
        self._floor, self._ceiling = floor, ceiling
        self._gaps: deque[float] = deque(maxlen=64)

    def observe(self, gap: float) -> None:
        """Learn from the seconds between two messages of one session."""
        self._gaps.append(gap)

    def stale_after(self) -> float:
        """Seconds of silence that are no longer normal; the ceiling until eight gaps are known."""
        if len(self._gaps) < _ENOUGH:
            return self._ceiling
        return min(max(self._floor, 3.0 * max(self._gaps)), self._ceiling)
