"""The two clocks of a recording: what they may show, and how a moment is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from alpmon.telemetry.entries import AnyEntry

_LAST_SECOND: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""No clock shows more: neither time since 1970, nor time since a machine was started."""
_LONGEST_PAUSE_SECONDS: Final = 30 * 86400.0
"""A connection that is held writes a line every few seconds; a process that was stopped, or a part that somebody took
away, leaves out more."""
_LONGEST_WAY_BACK_SECONDS: Final = 60.0
"""Lines bear the time of the read that they are about, and what was read at once may take a while to be handled."""


class ClockError(Exception):
    """No monitor's clocks go like this; says how they do."""


class Clocks:
    """Where the clocks of a recording stand.

    Attributes:
        now: monotonic seconds, by the line that is told.
        wall: unix seconds.
    """

    def __init__(self) -> None:
        self.now = self.wall = 0.0
        self._begun = False

    def check(self, entry: AnyEntry) -> None:
        """Look at the clocks of the next line before anything is made of them.

        Raises:
            ClockError: they make no sense.
        """
        self.check_alone(entry)
        passed = entry.now - self.now
        if self._begun and passed < -_LONGEST_WAY_BACK_SECONDS:
            raise ClockError(f"the monotonic clock goes back by {-passed} s{self._after()}")
        if self._begun and passed > _LONGEST_PAUSE_SECONDS:
            raise ClockError(f"the monotonic clock goes on by {passed} s at once{self._after()}")

    def check_alone(self, entry: AnyEntry) -> None:
        """Look at the clocks of a line that need not follow the one before.

        Raises:
            ClockError: they make no sense.
        """
        for shown in (entry.now, entry.wall):
            if not 0.0 <= shown <= _LAST_SECOND:
                raise ClockError(f"a clock shows {shown} s{self._after()}")

    def go_on(self, entry: AnyEntry) -> None:
        """Stand where they stood when the line was written."""
        self.now, self.wall, self._begun = entry.now, entry.wall, True

    def _after(self) -> str:
        return f" after {moment_of(self.wall)}" if self._begun else ""


def moment_of(wall: float) -> str:
    """Unix seconds as UTC, to the millisecond; nothing is older than the clock's own beginning."""
    return datetime.fromtimestamp(max(0.0, wall), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
