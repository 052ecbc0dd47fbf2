"""A recording told to the same core again: what would have been alerted, and when.

Nothing here asks a clock, a socket or chance, so one recording and one configuration give one answer, byte for byte.
What the connections did is as it was, under the configuration that was in force; how their topics are judged is up to
another one, if it is given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from alpmon.core.states import IllegalMoveError
from alpmon.replay import ReplayError
from alpmon.replay.beginning import Beginning
from alpmon.replay.clocks import ClockError, Clocks, moment_of
from alpmon.replay.events import Events
from alpmon.replay.lines import Lines
from alpmon.replay.telling import Teller
from alpmon.telemetry import entries
from alpmon.telemetry.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alpmon.config import Config
    from alpmon.telemetry.entries import AnyEntry

LOOK_SECONDS: Final = 1.0
"""How often every topic is looked at where nothing is received; the times told are exact all the same."""
_MOST_LOOKS: Final = 3600
"""From one line to the next: after an hour of nothing there is less and less to see."""


class Replay:
    """Tells a recording to the core.

    Args:
        say: is given each line of the answer.
        parse: reads a configuration that the recording holds.
        judge_by: how topics are judged instead of what the recording holds; its targets are found by name.

    Attributes:
        monitor: what the monitor would have seen.
    """

    def __init__(self, say: Callable[[str], None], parse: Callable[[str], Config], judge_by: Config | None) -> None:
        self.monitor = Monitor(started_wall=0.0)
        self._say = say
        self._parse = parse
        self._judged_by_own = judge_by is None
        self._clocks = Clocks()
        self._teller = Teller(say, self._clocks)
        self._lines = Lines(self.monitor, self._teller, judge_by)
        self._events = Events(self._lines, self._teller)
        self._next_look = -math.inf
        self._header: entries.Header | None = None
        self._beginning: Beginning | None = None
        self._of_all: dict[type, Callable[[Any], None]] = {
            entries.Header: self._begins,
            entries.Reloaded: self._reloaded,
            entries.Held: self._lines.hold,
            entries.Released: self._lines.release,
            entries.Learnt: self._lines.learn,
            entries.Judged: self._judged,
        }

    def run(self, recording: Iterable[AnyEntry]) -> None:
        """Tell it all, then sum up.

        Raises:
            ReplayError: the recording holds a target that the configuration does not, or lines out of their order.
        """
        for entry in recording:
            try:
                self._tell(entry)
            except ClockError as error:
                raise ReplayError(f"the recording makes no sense: {error}") from error
            except (IllegalMoveError, ValueError) as error:
                raise ReplayError(f"the recording makes no sense at {moment_of(entry.wall)}: {error}") from error
        self._take_up()
        self._look_at_all(self._clocks.now)
        self._sum_up()

    def _tell(self, entry: AnyEntry) -> None:
        if entry.again and self._beginning is not None:
            self._clocks.check_alone(entry)
            self._beginning.tell(entry)
            return
        self._clocks.check(entry)
        self._take_up()
        self._look_until(entry.now)
        self._clocks.go_on(entry)
        of_all = self._of_all.get(type(entry))
        if of_all is not None:
            of_all(entry)
            return
        line = self._lines.get(entry.line)
        if line is not None:
            self._events.tell(line, entry)

    def _begins(self, header: entries.Header) -> None:
        if self._header is None:
            self._header = header
            self._beginning = Beginning(header, self._lines, self._events, self._teller)
            self._lines.hold_by(self._parse(header.config))

    def _take_up(self) -> None:
        """Nothing is repeated any more."""
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.take_up()

    def _reloaded(self, entry: entries.Reloaded) -> None:
        self._look_at_all(entry.now)
        config = self._parse(entry.config)
        self._teller.report("", entry.now, "configuration reloaded")
        self._lines.change(config, entry.now)
        self._look_at_all(entry.now)

    def _judged(self, entry: entries.Judged) -> None:
        self._look_at_all(entry.now)
        self._lines.judge(entry.now)
        self._look_at_all(entry.now)

    def _look_until(self, now: float) -> None:
        if self._next_look == -math.inf:
            self._next_look = now
        step = max(LOOK_SECONDS, (now - self._next_look) / _MOST_LOOKS)
        while self._next_look <= now:
            self._look_at_all(max(self._next_look, self._clocks.now))
            self._next_look += step

    def _look_at_all(self, now: float) -> None:
        for line in self._lines:
            self._teller.look(line, now)
            self._teller.look_at_feed(line)
            self._teller.conditions.look(line, now)
        self._teller.flush(now)

    def _sum_up(self) -> None:
        header = self._header
        if header is None:
            return
        self._say("")
        self._say(f"{moment_of(header.wall)} to {moment_of(self._clocks.wall)}, recorded by alpmon {header.alpmon}")
        chosen = "the recording's own configuration" if self._judged_by_own else "the configuration given"
        self._say(f"judged by {chosen}")
        if header.part:
            self._say("the recording's beginning was dropped: this is from its oldest part that is left")
        self._teller.sum_up_alerts()
        if not any(self._lines):
            self._say("no connection was begun")
        for line in self._lines:
            self._teller.sum_up(line, self._clocks.now)
