"""A recording told to the same core again: what would have been alerted, and when.

Nothing here asks a clock, a socket or chance, so one recording and one configuration give one answer, byte for byte.
What the connections did is as it was, under the configuration that was in force; how their topics are judged is up to
another one, if it is given.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from alpmon.core.freshness import Source
from alpmon.core.session import IllegalMoveError, State
from alpmon.probe.account import clear_session
from alpmon.probe.clocks import ClockError, Clocks, moment_of
from alpmon.probe.replayed import ReplayedLine
from alpmon.probe.siblings import Group, alone
from alpmon.probe.telling import Teller
from alpmon.probe.terms import rule_of, settings_of
from alpmon.telemetry import entries
from alpmon.telemetry.memory import restore
from alpmon.telemetry.rates import read_rates
from alpmon.telemetry.state import Monitor, SessionEnd, TargetRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alpmon.config import Config, Target
    from alpmon.core.freshness import Rule
    from alpmon.probe.connection import ProbeConnection
    from alpmon.telemetry.entries import AnyEntry

LOOK_SECONDS: Final = 1.0
"""How often every topic is looked at where nothing is received; the times told are exact all the same."""
_MOST_LOOKS: Final = 3600
"""From one line to the next: after an hour of nothing there is less and less to see."""


class ReplayError(Exception):
    """The recording cannot be told, or not by this configuration; says why."""


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
        self._clocks = Clocks()
        self._teller = Teller(say, self._clocks)
        self._parse = parse
        self._recorded: dict[str, Target] = {}
        self._chosen = None if judge_by is None else {target.name: target for target in judge_by.targets}
        self._max_symbols = 0
        self._lines: dict[str, ReplayedLine] = {}
        self._retired: set[str] = set()
        self._groups: dict[tuple[str, int], Group] = {}
        self._learnt: dict[tuple[str, str], entries.Learnt] = {}
        self._next_look = -math.inf
        self._header: entries.Header | None = None
        self._of_all: dict[type, Callable[[Any], None]] = {
            entries.Header: self._begins,
            entries.Reloaded: self._reloaded,
            entries.Held: self._held,
            entries.Released: self._release,
            entries.Learnt: self._learns,
            entries.Judged: self._judge,
        }
        self._of_a_line: dict[type, Callable[[ReplayedLine, Any], None]] = {
            entries.Open: self._open,
            entries.Text: self._text,
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

    def run(self, recording: Iterable[AnyEntry]) -> None:
        """Tell it all, then sum up.

        Raises:
            ReplayError: the recording holds a target that the configuration does not, or lines out of their order.
        """
        for entry in recording:
            try:
                self._tell(self._in_time(entry))
            except ClockError as error:
                raise ReplayError(f"the recording makes no sense: {error}") from error
            except (IllegalMoveError, ValueError) as error:
                raise ReplayError(f"the recording makes no sense at {moment_of(entry.wall)}: {error}") from error
        self._look_at_all(self._clocks.now)
        self._sum_up()

    def _in_time(self, entry: AnyEntry) -> AnyEntry:
        """What an older part told, which is lost, counts as of the beginning of the oldest one that is left."""
        if entry.again and self._header is not None:
            return msgspec.structs.replace(entry, now=self._header.now, wall=self._header.wall)
        return entry

    def _tell(self, entry: AnyEntry) -> None:
        self._clocks.check(entry)
        self._look_until(entry.now)
        self._clocks.go_on(entry)
        teller = self._of_all.get(type(entry))
        if teller is not None:
            teller(entry)
            return
        line = self._lines.get(entry.line)
        if line is None:
            return  # A recording that lost the beginning of this connection.
        self._teller.look(line, entry.now)
        line.connection.now = entry.now
        self._of_a_line[type(entry)](line, entry)
        self._teller.look(line, entry.now)
        self._teller.conditions.look(line, entry.now)

    # What the recording tells of the whole

    def _begins(self, header: entries.Header) -> None:
        if self._header is None:
            self._header = header
            self._take(self._parse(header.config))

    def _reloaded(self, entry: entries.Reloaded) -> None:
        """Judge and hold by another configuration; whose topics come and go is told by the lines that follow."""
        self._look_at_all(entry.now)
        before = self._recorded
        self._take(self._parse(entry.config))
        self._teller.report("", entry.now, "configuration reloaded")
        for name in [name for name in self.monitor.targets if name not in self._recorded]:
            del self.monitor.targets[name]
        for name, target in self.monitor.targets.items():
            target.url, target.max_symbols = self._recorded[name].url, self._max_symbols
            if self._recorded[name].redundancy != before[name].redundancy:
                self._regroup(name, entry.now)
            for line in self._lines_of(name):
                self._judge_anew(line, entry.now)
                line.session.hold_by(settings_of(self._recorded[name]), entry.now)
        self._look_at_all(entry.now)

    def _take(self, config: Config) -> None:
        self._recorded = {target.name: target for target in config.targets}
        self._max_symbols = config.limits.max_symbols

    def _judge_anew(self, line: ReplayedLine, now: float) -> None:
        for topic, freshness in line.judged():
            rule = self._rule(self._target_of(line), topic)
            if topic in self._recorded[self._target_of(line)].topics and freshness.rule != rule:
                freshness.judge_by(rule, now)

    def _held(self, held: entries.Held) -> None:
        line = self._lines.get(held.line)
        if held.line in self._retired:
            return
        name = held.line.rpartition("/")[0]
        config = self._recorded.get(name)
        if config is None:
            raise ValueError(f"no configuration of {name!r}")
        if line is None:
            line = self._lines[held.line] = self._new_line(held, name, config)
        else:
            clear_session(line.record, held.now)
        line.begin(config, held)
        self._recall(line)
        self._teller.conditions.look(line, held.now)

    def _new_line(self, held: entries.Held, name: str, config: Target) -> ReplayedLine:
        target = self.monitor.targets.get(name)
        if target is None:
            target = self.monitor.targets[name] = TargetRecord(name, config.url, max_symbols=self._max_symbols)
        new = ReplayedLine(held.line, target, lambda topic: self._rule(name, topic))
        self._join(new, held.now)
        return new

    def _release(self, entry: entries.Released) -> None:
        self._retired.add(entry.after)
        line = self._lines.pop(entry.line, None)
        if line is None:
            return  # It had not begun.
        self._teller.look(line, entry.now)
        self._teller.report(line.name, entry.now, "no longer in the configuration")
        self._teller.conditions.gone(line, entry.now)
        line.release()
        self._lines[entry.after] = line
        name = self._target_of(line)
        if not any(line.group == other.group for other in self._lines_of(name)):
            self._groups.pop((name, line.group), None)

    def _learns(self, entry: entries.Learnt) -> None:
        self._learnt[entry.line, entry.topic] = entry

    def _recall(self, line: ReplayedLine) -> None:
        """Give topics that are new what the monitor knew of them, which was written down before."""
        for topic in line.record.topics.values():
            learnt = self._learnt.pop((line.name, topic.topic), None)
            if learnt is not None:
                with suppress(ValueError):  # The monitor could make nothing of it either.
                    restore(topic, learnt.cadence, learnt.rate)

    # Parallel connections

    def _judge(self, entry: entries.Judged) -> None:
        self._look_at_all(entry.now)
        for group in self._groups.values():
            group.judge(entry.now)
        self._look_at_all(entry.now)

    def _regroup(self, name: str, now: float) -> None:
        for line in self._lines_of(name):
            self._groups.pop((name, line.group), None)
        for line in self._lines_of(name):
            self._join(line, now)
            line.intake.compare_by(line.sibling, now)

    def _join(self, line: ReplayedLine, now: float) -> None:
        name = self._target_of(line)
        redundancy = self._recorded[name].redundancy
        line.sibling = None
        if line.replica < redundancy > 1:
            group = self._groups.setdefault((name, line.group), Group(redundancy))
            line.sibling = group.join(line.replica, line.record)
        else:
            alone(line.record, now)

    def _lines_of(self, target: str) -> list[ReplayedLine]:
        return [line for line in self._lines.values() if line.is_held and self._target_of(line) == target]

    def _target_of(self, line: ReplayedLine) -> str:
        return line.name.rpartition("/")[0]

    def _rule(self, target: str, topic: str) -> Rule:
        chosen = self._recorded if self._chosen is None else self._chosen
        if target not in chosen:
            has = ", ".join(map(repr, chosen))
            raise ReplayError(f"the recording holds target {target!r}, and the configuration given has only {has}")
        return rule_of(chosen[target], topic)

    # What it tells of one connection

    def _open(self, line: ReplayedLine, entry: entries.Open) -> None:
        self._retry(line)
        line.record.attempts += 1
        line.intake.opened(cast("ProbeConnection", line.connection), entry.now, entry.wall)

    def _text(self, line: ReplayedLine, entry: entries.Text) -> None:
        was_up = line.session.up
        line.intake.text(entry.payload, entry.now, entry.wall)
        if line.session.up and not was_up:
            self._teller.report(line.name, entry.now, f"welcomed, client id {line.record.client_id}")

    def _asked(self, line: ReplayedLine, entry: entries.Asked) -> None:
        match entry.what:
            case "add":
                line.add(entry.topics, entry.now)
                self._recall(line)
                if line.session.up:
                    for topic in entry.topics:
                        freshness = line.record.topics[topic].freshness
                        if freshness is not None:
                            freshness.up(entry.now)
                outputs = line.session.add(entry.topics, entry.now)
            case "remove":
                if line.sibling is not None:
                    line.sibling.left(entry.topics, entry.now)
                outputs = line.session.remove(entry.topics, entry.now)
                line.record.drop_topics(topic for topic in entry.topics if topic in line.record.topics)
            case _:
                outputs = line.session.reauthenticate(entry.now)
        if entry.topics:
            line.intake.feed.forget_routes()
        line.intake.carry_out(outputs, entry.now, entry.wall)

    def _failed(self, line: ReplayedLine, entry: entries.Failed) -> None:
        record = line.record
        if line.session.state is not State.WELCOMING:
            self._retry(line)
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

    def _retry(self, line: ReplayedLine) -> None:
        if line.session.state is State.BACKOFF:
            line.intake.carry_out(line.session.retry(), self._clocks.now, self._clocks.wall)

    def _evidence(self, line: ReplayedLine, entry: entries.Evidence) -> None:
        topic = line.record.topics.get(entry.topic)
        if topic is not None and topic.freshness is not None:
            topic.freshness.evidence(entry.now, entry.nothing_missed, Source.REFERENCE)

    def _counted(self, line: ReplayedLine, entry: entries.Counted) -> None:
        read_rates(line.record, entry.now, entry.wall)
        self._teller.look_at_rates(line, entry.now)

    # What is told of it

    def _look_until(self, now: float) -> None:
        if self._next_look == -math.inf:
            self._next_look = now
        step = max(LOOK_SECONDS, (now - self._next_look) / _MOST_LOOKS)
        while self._next_look <= now:
            self._look_at_all(max(self._next_look, self._clocks.now))
            self._next_look += step

    def _look_at_all(self, now: float) -> None:
        for line in self._lines.values():
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
        chosen = "the recording's own configuration" if self._chosen is None else "the configuration given"
        self._say(f"judged by {chosen}")
        if header.part:
            self._say("the recording's beginning was dropped: this is from its oldest part that is left")
        self._teller.sum_up_alerts()
        if not self._lines:
            self._say("no connection was begun")
        for line in self._lines.values():
            self._teller.sum_up(line, self._clocks.now)
