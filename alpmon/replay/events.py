"""What a recording says that one connection went through, gone through again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from alpmon.core.freshness import Source
from alpmon.core.states import State
from alpmon.probe.records import clear_session
from alpmon.telemetry import entries
from alpmon.telemetry.rates import read_rates
from alpmon.telemetry.state import SessionEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.probe.connection import ProbeConnection
    from alpmon.replay.line import ReplayedLine
    from alpmon.replay.lines import Lines
    from alpmon.replay.telling import Teller


class Events:
    """Lets connections go through what is told of them, and says what comes of it.

    Args:
        lines: remember what was learnt of a topic before.
        teller: says it.
    """

    def __init__(self, lines: Lines, teller: Teller) -> None:
        self._lines = lines
        self._teller = teller
        self._doers: dict[type, Callable[[ReplayedLine, Any], None]] = {
            entries.Open: self._open,
            entries.Text: lambda line, entry: line.intake.text(entry.payload, entry.now, entry.wall),
            entries.Binary: lambda line, entry: line.intake.binary(entry.size, entry.now, entry.wall),
            entries.Ping: lambda line, entry: line.intake.protocol_ping(b"", entry.now, entry.wall, entry.answered),
            entries.Pong: lambda line, entry: line.intake.protocol_pong(entry.payload, entry.now, entry.wall),
            entries.Tick: lambda line, entry: line.intake.tick(entry.now, entry.wall),
            entries.Asked: self._asked,
            entries.Closing: lambda line, entry: line.intake.closing(entry.now),
            entries.Lost: lambda line, entry: line.intake.lost(entry.now),
            entries.Failed: self._failed,
            entries.Disconnected: self._disconnected,
            entries.Evidence: self._evidence,
            entries.Counted: self._counted,
        }

    def tell(self, line: ReplayedLine, entry: entries.AnyEntry) -> None:
        """Let it happen to a connection, and look at the connection before and after."""
        self._teller.look(line, entry.now)
        was_up = line.session.up
        self.let(line, entry)
        if line.session.up and not was_up:
            self._teller.welcomed(line, entry.now, entry.wall)
        self._teller.look(line, entry.now)
        self._teller.conditions.look(line, entry.now)

    def let(self, line: ReplayedLine, entry: entries.AnyEntry) -> None:
        """Let it happen, and nobody look; what no connection goes through is let pass."""
        line.connection.now = entry.now
        doer = self._doers.get(type(entry))
        if doer is not None:
            doer(line, entry)

    # One method a kind of entry

    def _open(self, line: ReplayedLine, entry: entries.Open) -> None:
        self._retry(line, entry)
        line.record.attempts += 1
        line.intake.opened(cast("ProbeConnection", line.connection), entry.now, entry.wall)

    def _asked(self, line: ReplayedLine, entry: entries.Asked) -> None:
        match entry.what:
            case "add":
                line.add(entry.topics, entry.now)
                self._lines.recall(line)
                line.intake.add(entry.topics, entry.now, entry.wall)
            case "remove":
                line.intake.remove(entry.topics, entry.now, entry.wall)
                line.record.drop_topics(topic for topic in entry.topics if topic in line.record.topics)
            case _:
                line.intake.carry_out(line.session.reauthenticate(entry.now), entry.now, entry.wall)

    def _failed(self, line: ReplayedLine, entry: entries.Failed) -> None:
        record = line.record
        if line.session.state is not State.WELCOMING:
            self._retry(line, entry)
            record.attempts += 1
        record.failures[entry.reason] += 1
        self._teller.report(line.name, entry.now, f"connection attempt failed: {entry.reason}: {entry.detail}")
        self._end(line, entry)

    def _disconnected(self, line: ReplayedLine, entry: entries.Disconnected) -> None:
        record = line.record
        record.disconnects[entry.initiator, entry.code, entry.reason] += 1
        record.session_duration.observe(entry.now - line.session.welcomed_at)
        record.last_end = SessionEnd(
            entry.wall, entry.initiator, entry.code, entry.reason, entry.close_reason, entry.error
        )
        said = f", saying “{entry.close_reason}”" if entry.close_reason else ""
        error = f" ({entry.error})" if entry.error else ""
        how = f"disconnected by {entry.initiator}: {entry.code} {entry.reason}{said}{error}"
        self._teller.report(line.name, entry.now, how)
        self._end(line, entry)

    def _end(self, line: ReplayedLine, entry: entries.Failed | entries.Disconnected) -> None:
        opened = line.session.state is not State.CONNECTING
        line.intake.carry_out(line.session.ended(entry.now), entry.now, entry.wall)
        if opened:
            clear_session(line.record, entry.now)

    def _retry(self, line: ReplayedLine, entry: entries.Open | entries.Failed) -> None:
        if line.session.state is State.BACKOFF:
            line.intake.carry_out(line.session.retry(), entry.now, entry.wall)

    def _evidence(self, line: ReplayedLine, entry: entries.Evidence) -> None:
        topic = line.record.topics.get(entry.topic)
        if topic is not None and topic.freshness is not None:
            topic.freshness.evidence(entry.now, entry.nothing_missed, Source.REFERENCE)

    def _counted(self, line: ReplayedLine, entry: entries.Counted) -> None:
        read_rates(line.record, entry.now, entry.wall)
        self._teller.look_at_rates(line, entry.now)
