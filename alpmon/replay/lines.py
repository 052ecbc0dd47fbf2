"""The connections of a recording, as the configurations that were in force held them: begun, changed, let go."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from alpmon.probe.records import clear_session
from alpmon.probe.siblings import Group, alone
from alpmon.probe.terms import rule_of, settings_of
from alpmon.replay import ReplayError
from alpmon.replay.line import ReplayedLine
from alpmon.telemetry.memory import restore
from alpmon.telemetry.state import TargetRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alpmon.config import Config, Target
    from alpmon.core.freshness import Rule
    from alpmon.replay.telling import Teller
    from alpmon.telemetry import entries
    from alpmon.telemetry.monitor import Monitor


class Lines:
    """All connections that the recording has told of so far.

    Args:
        monitor: where they are recorded.
        teller: says what becomes of them.
        judge_by: how topics are judged instead of what the recording holds; its targets are found by name.
    """

    def __init__(self, monitor: Monitor, teller: Teller, judge_by: Config | None) -> None:
        self._monitor = monitor
        self._teller = teller
        self._recorded: dict[str, Target] = {}
        self._chosen = None if judge_by is None else {target.name: target for target in judge_by.targets}
        self._max_symbols = 0
        self._lines: dict[str, ReplayedLine] = {}
        self._retired: set[str] = set()
        self._groups: dict[tuple[str, int], Group] = {}
        self._learnt: dict[tuple[str, str], entries.Learnt] = {}

    def __iter__(self) -> Iterator[ReplayedLine]:
        return iter(self._lines.values())

    def get(self, name: str) -> ReplayedLine | None:
        """The connection that bears this name now; None where the recording lost its beginning."""
        return self._lines.get(name)

    def hold_by(self, config: Config) -> None:
        """This configuration is in force for what begins from here on."""
        self._recorded = {target.name: target for target in config.targets}
        self._max_symbols = config.limits.max_symbols

    def change(self, config: Config, now: float) -> None:
        """Judge and hold by another configuration; whose topics come and go is told by the lines that follow."""
        before = self._recorded
        self.hold_by(config)
        for name in [name for name in self._monitor.targets if name not in self._recorded]:
            del self._monitor.targets[name]
        for name, target in self._monitor.targets.items():
            target.url, target.max_symbols = self._recorded[name].url, self._max_symbols
            if self._recorded[name].redundancy != before[name].redundancy:
                self._regroup(name, now)
            for line in self._lines_of(name):
                self._judge_anew(line, now)
                line.session.hold_by(settings_of(self._recorded[name]), now)

    def hold(self, held: entries.Held) -> None:
        """A worker begins, on a connection that is new or on one that was held before.

        Raises:
            ValueError: no configuration that was told of has its target.
        """
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
        self.recall(line)
        if not held.again:
            self._teller.conditions.look(line, held.now)

    def release(self, entry: entries.Released) -> None:
        """The configuration holds a connection no more; what it goes through yet is told under another name."""
        self._retired.add(entry.after)
        line = self._lines.pop(entry.line, None)
        if line is None:
            return  # It had not begun.
        self._teller.look(line, entry.now)
        self._teller.report(line.name, entry.now, "no longer in the configuration")
        self._teller.conditions.gone(line, entry.now)
        line.release()
        self._lines[entry.after] = line
        name = line.target.name
        if not any(line.group == other.group for other in self._lines_of(name)):
            self._groups.pop((name, line.group), None)

    def learn(self, entry: entries.Learnt) -> None:
        """Keep what the monitor knew of a topic until the topic is there."""
        self._learnt[entry.line, entry.topic] = entry

    def recall(self, line: ReplayedLine) -> None:
        """Give topics that are new what the monitor knew of them, which was written down before."""
        for topic in line.record.topics.values():
            learnt = self._learnt.pop((line.name, topic.topic), None)
            if learnt is not None:
                with suppress(ValueError):  # The monitor could make nothing of it either.
                    restore(topic, learnt.cadence, learnt.rate)

    def take_up(self, line: ReplayedLine, stood: entries.Stood) -> None:
        """Let topics go on where they stood when the recording begins in its midst.

        Raises:
            ValueError: one stood nowhere.
        """
        config = self._recorded[line.target.name]
        for each in stood.topics:
            topic = line.record.topics.get(each.topic)
            if topic is not None and topic.freshness is not None:
                by_its_own_rule = topic.freshness.rule == rule_of(config, each.topic)
                topic.freshness.take_up(each.stand, stood.now, by_its_threshold=by_its_own_rule)
                topic.last_message_wall = each.last_message_wall
                if line.sibling is not None and each.compared is not None:
                    line.sibling.take_up(each.topic, each.compared, stood.now)

    def judge(self, now: float) -> None:
        """Compare parallel connections, as the monitor did at this moment."""
        for group in self._groups.values():
            group.judge(now)

    def _new_line(self, held: entries.Held, name: str, config: Target) -> ReplayedLine:
        target = self._monitor.targets.get(name)
        if target is None:
            target = self._monitor.targets[name] = TargetRecord(name, config.url, max_symbols=self._max_symbols)
        new = ReplayedLine(held.line, target, lambda topic: self._rule(name, topic))
        self._join(new, held.now)
        return new

    def _judge_anew(self, line: ReplayedLine, now: float) -> None:
        name = line.target.name
        for topic, freshness in line.judged():
            rule = self._rule(name, topic)
            if topic in self._recorded[name].topics and freshness.rule != rule:
                freshness.judge_by(rule, now)

    def _rule(self, target: str, topic: str) -> Rule:
        chosen = self._recorded if self._chosen is None else self._chosen
        if target not in chosen:
            has = ", ".join(map(repr, chosen))
            raise ReplayError(f"the recording holds target {target!r}, and the configuration given has only {has}")
        return rule_of(chosen[target], topic)

    def _regroup(self, name: str, now: float) -> None:
        for line in self._lines_of(name):
            self._groups.pop((name, line.group), None)
        for line in self._lines_of(name):
            self._join(line, now)
            line.intake.compare_by(line.sibling, now)

    def _join(self, line: ReplayedLine, now: float) -> None:
        name = line.target.name
        redundancy = self._recorded[name].redundancy
        line.sibling = None
        if line.replica < redundancy > 1:
            group = self._groups.setdefault((name, line.group), Group(redundancy))
            line.sibling = group.join(line.replica, line.record)
        else:
            alone(line.record, now)

    def _lines_of(self, target: str) -> list[ReplayedLine]:
        return [line for line in self._lines.values() if line.is_held and line.target.name == target]
