"""How a recording goes on whose first parts are lost: its connections are taken up where they stood by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from alpmon.telemetry import entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.replay.events import Events
    from alpmon.replay.line import ReplayedLine
    from alpmon.replay.lines import Lines
    from alpmon.replay.telling import Teller

_Kind = TypeVar("_Kind", bound=entries.Entry)


class Beginning:
    """Is told what the oldest part that is left repeats of those before it, then takes up all connections at once.

    What is repeated happens as of the part's first moment, for nobody looked at it meanwhile; what it comes to is then
    dated by when it was. A part of an older alpmon says less of that, and its topics begin anew.
    """

    def __init__(self, header: entries.Header, lines: Lines, events: Events, teller: Teller) -> None:
        self._header = header
        self._lines = lines
        self._events = events
        self._teller = teller
        self._welcomes: dict[str, entries.AnyEntry] = {}
        self._down_since: dict[str, float] = {}
        self._stood: list[entries.Stood] = []
        self._doers: dict[type, Callable[..., None]] = {
            entries.Held: self._held,
            entries.Learnt: lines.learn,
            entries.Stood: self._stood.append,
        }

    def tell(self, entry: entries.AnyEntry) -> None:
        """One line that is repeated."""
        self._doers.get(type(entry), self._happened)(entry)

    def take_up(self) -> None:
        """Let everything go on from here, and tell what was so by then.

        Raises:
            ValueError: what is repeated makes no sense.
        """
        for stood in self._stood:
            line = self._lines.get(stood.line)
            if line is not None:
                self._lines.take_up(line, self._at_first(stood))
        for line in self._lines:
            self._take_up(line)

    def _take_up(self, line: ReplayedLine) -> None:
        welcome = self._welcomes.get(line.name)
        if line.session.up and welcome is not None:
            line.session.welcomed_at, line.record.established_wall = welcome.now, welcome.wall
            self._teller.welcomed(line, welcome.now, welcome.wall)
            down_since = None
        else:
            down_since = self._down_since[line.name]
        self._teller.take_up(line, self._header.now, down_since)

    def _held(self, held: entries.Held) -> None:
        self._lines.hold(self._at_first(held))
        known = self._header.now if held.down_since is None else held.down_since
        self._down_since[held.line] = min(known, self._header.now)

    def _happened(self, entry: entries.AnyEntry) -> None:
        line = self._lines.get(entry.line)
        if line is not None:
            was_up = line.session.up
            self._events.let(line, self._at_first(entry))
            if line.session.up and not was_up:
                self._welcomes[line.name] = entry

    def _at_first(self, entry: _Kind) -> _Kind:
        return msgspec.structs.replace(entry, now=self._header.now, wall=self._header.wall)
