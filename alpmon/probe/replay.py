"""A recording told to the same core again: what would have been alerted, and when.

Nothing here asks a clock, a socket or chance, so one recording and one configuration give one answer, byte for byte.
What the connections did is as it was; how their topics are judged is up to the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from alpmon.core.freshness import Source, TopicState
from alpmon.core.session import IllegalMoveError, State
from alpmon.probe.replayed import ReplayedLine
from alpmon.probe.worker import clear_session
from alpmon.telemetry.entries import (
    AnyEntry,
    Asked,
    Binary,
    Disconnected,
    Evidence,
    Failed,
    Header,
    Held,
    Learnt,
    Lost,
    Open,
    Ping,
    Pong,
    Text,
    Tick,
)
from alpmon.telemetry.state import Monitor, SessionEnd, TargetRecord

if TYPE_CHECKING:
    from alpmon.config import Config
    from alpmon.probe.connection import ProbeConnection

LOOK_SECONDS: Final = 1.0
"""How often every topic is looked at where nothing is received; the times told are exact all the same."""

_TROUBLE: Final = frozenset({TopicState.STALE, TopicState.SILENT, TopicState.REJECTED, TopicState.QUIET})


class ReplayError(Exception):
    """The recording cannot be told, or not by this configuration; says why."""


class Replay:
    """Tells a recording to the core.

    Args:
        config: how topics are judged; its targets are found by name.
        say: is given each line of the answer.

    Attributes:
        monitor: what the monitor would have seen.
    """

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        self.monitor = Monitor(started_wall=0.0)
        self._config = {target.name: target for target in config.targets}
        self._max_symbols = config.limits.max_symbols
        self._say = say
        self._lines: dict[str, ReplayedLine] = {}
        self._learnt: dict[tuple[str, str], dict[str, Any]] = {}
        self._next_look = -math.inf
        self._now = self._wall = self._began = 0.0
        self._header: Header | None = None
        self._tellers: dict[type, Callable[[ReplayedLine, Any], None]] = {
            Open: self._open,
            Text: self._text,
            Binary: lambda line, entry: line.intake.binary(entry.size, entry.now, entry.wall),
            Ping: lambda line, entry: line.intake.protocol_ping(b"", entry.now, entry.wall, entry.answered),
            Pong: lambda line, entry: line.intake.protocol_pong(entry.payload, entry.now, entry.wall),
            Tick: lambda line, entry: line.intake.tick(entry.now, entry.wall),
            Asked: self._asked,
            Lost: lambda line, entry: line.intake.lost(entry.now),
            Failed: self._failed,
            Disconnected: self._disconnected,
            Evidence: self._evidence,
        }

    def run(self, recording: Iterable[AnyEntry]) -> None:
        """Tell it all, then sum up.

        Raises:
            ReplayError: the recording holds a target that the configuration does not, or lines out of their order.
        """
        for entry in recording:
            try:
                self._tell(self._in_time(entry))
            except (IllegalMoveError, ValueError) as error:
                raise ReplayError(f"the recording makes no sense at {_moment(entry.wall)}: {error}") from error
        self._look_at_all(self._now)
        self._sum_up()

    def _in_time(self, entry: AnyEntry) -> AnyEntry:
        """What an older part told, which is lost, counts as of the beginning of the oldest one that is left."""
        if entry.again and self._header is not None:
            return msgspec.structs.replace(entry, now=self._header.now, wall=self._header.wall)
        return entry

    def _tell(self, entry: AnyEntry) -> None:
        if isinstance(entry, Header):
            self._header = self._header or entry
        while self._next_look <= entry.now:
            if self._lines:
                self._look_at_all(max(self._next_look, self._now))
            self._next_look = entry.now if self._next_look == -math.inf else self._next_look
            self._next_look += LOOK_SECONDS
        self._now, self._wall = entry.now, entry.wall
        self._began = self._began or entry.wall
        if isinstance(entry, Header):
            return
        if isinstance(entry, Held):
            self._held(entry)
            return
        if isinstance(entry, Learnt):
            self._learnt[entry.line, entry.topic] = entry.snapshot
            return
        line = self._lines.get(entry.line)
        if line is None:
            return  # A recording that lost the beginning of this connection.
        self._look(line, entry.now)
        line.connection.now = entry.now
        self._tellers[type(entry)](line, entry)
        self._look(line, entry.now)

    # What the recording tells

    def _held(self, held: Held) -> None:
        known = self._lines.get(held.line)
        if known is not None:
            clear_session(known.record, held.now)
            known.begin(held)
            return
        name = held.line.rpartition("/")[0]
        config = self._config.get(name)
        if config is None:
            raise ReplayError(f"the recording holds a target {name!r}, and the configuration does not")
        target = self.monitor.targets.get(name)
        if target is None:
            target = self.monitor.targets[name] = TargetRecord(name, config.url, max_symbols=self._max_symbols)
        line = self._lines[held.line] = ReplayedLine(config, target, held)
        self._recall(line, held)

    def _recall(self, line: ReplayedLine, entry: Held | Asked) -> None:
        """Give topics that are new what the monitor knew of them, which was written down before."""
        for topic, freshness in line.judged():
            snapshot = self._learnt.pop((entry.line, topic), None)
            if snapshot is not None:
                with suppress(ValueError):  # The monitor could make nothing of it either.
                    freshness.restore(snapshot)

    def _open(self, line: ReplayedLine, entry: Open) -> None:
        self._retry(line)
        line.record.attempts += 1
        line.intake.opened(cast("ProbeConnection", line.connection), entry.now, entry.wall)

    def _text(self, line: ReplayedLine, entry: Text) -> None:
        was_up = line.session.up
        line.intake.text(entry.payload, entry.now, entry.wall)
        if line.session.up and not was_up:
            self._report(line, entry.now, f"welcomed, client id {line.record.client_id}")

    def _asked(self, line: ReplayedLine, entry: Asked) -> None:
        if entry.what == "add":
            line.add(entry.topics, entry.now)
            self._recall(line, entry)
            outputs = line.session.add(entry.topics, entry.now)
        elif entry.what == "remove":
            outputs = line.session.remove(entry.topics, entry.now)
            for topic in entry.topics:
                line.record.topics.pop(topic, None)
        else:
            outputs = line.session.reauthenticate(entry.now)
        line.intake.carry_out(outputs, entry.now, entry.wall)

    def _failed(self, line: ReplayedLine, entry: Failed) -> None:
        record = line.record
        if line.session.state is not State.WELCOMING:
            self._retry(line)
            record.attempts += 1
        record.failures[entry.reason] += 1
        self._report(line, entry.now, f"connection attempt failed: {entry.reason}: {entry.detail}")
        self._end(line, entry)

    def _disconnected(self, line: ReplayedLine, entry: Disconnected) -> None:
        record = line.record
        record.disconnects[entry.initiator, entry.code, entry.reason] += 1
        record.session_duration.observe(entry.now - line.session.welcomed_at)
        record.last_end = SessionEnd(entry.wall, entry.initiator, entry.code, entry.reason, entry.close_reason)
        words = f" ({entry.close_reason})" if entry.close_reason else ""
        self._report(line, entry.now, f"disconnected by {entry.initiator}: {entry.code} {entry.reason}{words}")
        self._end(line, entry)

    def _end(self, line: ReplayedLine, entry: Failed | Disconnected) -> None:
        opened = line.session.state is not State.CONNECTING
        line.intake.carry_out(line.session.ended(entry.now), entry.now, entry.wall)
        if opened:
            clear_session(line.record, entry.now)

    def _retry(self, line: ReplayedLine) -> None:
        if line.session.state is State.BACKOFF:
            line.intake.carry_out(line.session.retry(), self._now, self._wall)

    def _evidence(self, line: ReplayedLine, entry: Evidence) -> None:
        topic = line.record.topics.get(entry.topic)
        if topic is not None and topic.freshness is not None:
            topic.freshness.evidence(entry.now, entry.nothing_missed, Source(entry.source))

    # What is told of it

    def _look_at_all(self, now: float) -> None:
        for line in self._lines.values():
            self._look(line, now)
            self._look_at_feed(line, now)

    def _look(self, line: ReplayedLine, now: float) -> None:
        """Tell each topic that came into trouble or out of it, as of the moment when it did."""
        for topic, freshness in line.judged():
            state, before = freshness.state(now), line.states.get(topic, TopicState.DOWN)
            if state is before:
                continue
            line.states[topic] = state
            if state in _TROUBLE:
                threshold = f", threshold {freshness.stale_after():.3f} s"
                self._report(line, freshness.since(now), f"{topic}: {before} -> {state}{threshold}")
            elif before in _TROUBLE:
                self._report(line, now, f"{topic}: {before} -> {state}")

    def _look_at_feed(self, line: ReplayedLine, now: float) -> None:
        for channel, seen in line.record.channels.items():
            for kind, count in seen.anomalies.items():
                new = count - line.anomalies.get((channel, kind), 0)
                if new:
                    self._report(line, now, f"{channel}: {kind}, {new} more")
                line.anomalies[channel, kind] = count

    def _sum_up(self) -> None:
        self._say("")
        self._say(f"from {_moment(self._began)} to {_moment(self._wall)}")
        for name, line in self._lines.items():
            record = line.record
            frames = record.data_frames + sum(record.frames.values())
            self._say(
                f"{name}: {frames} frames, {record.attempts} attempts, {sum(record.failures.values())} failures, "
                f"{sum(record.disconnects.values())} disconnects"
            )
            for topic, freshness in line.judged():
                episodes, seconds = freshness.episodes(self._now), freshness.stale_seconds(self._now)
                if episodes:
                    self._say(f"{name} {topic}: stale {episodes} times, {seconds:.3f} s in all")

    def _report(self, line: ReplayedLine, now: float, words: str) -> None:
        name = next(name for name, known in self._lines.items() if known is line)
        self._say(f"{_moment(self._wall - (self._now - now))} {name} {words}")


def _moment(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
