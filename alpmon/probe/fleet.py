"""One target: its lines, laid out over connections, held, and changed while they live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

import structlog

from alpmon.background import in_background
from alpmon.core.freshness import TopicFreshness
from alpmon.core.placement import Placement
from alpmon.core.states import State
from alpmon.probe.auth import token_source
from alpmon.probe.line import Line
from alpmon.probe.records import new_record, set_private
from alpmon.probe.reference import Reference, dismiss, prepare
from alpmon.probe.siblings import Group, alone
from alpmon.probe.taped import LineTape, TapedFreshness
from alpmon.probe.terms import backoff_of, request_of, rule_of, settings_of
from alpmon.probe.worker import Worker
from alpmon.telemetry.labels import RELOAD, SHUTDOWN
from alpmon.telemetry.state import TargetRecord, TopicRecord

if TYPE_CHECKING:
    from alpmon.config import Shard, Target
    from alpmon.telemetry.memory import Memory


class Fleet:
    """All lines of one target that this shard holds.

    Args:
        target: what to hold.
        shard: which part of it.
        record: where it is recorded; its connections are filled in by the constructor.
        rng: the jitter of the reconnects.
        attempted: called whenever a line's first attempt is over, or a line is gone.
        memory: what was learnt of the topics before; None to learn anew.
    """

    def __init__(
        self,
        target: Target,
        shard: Shard,
        record: TargetRecord,
        rng: Random,
        attempted: Callable[[], None],
        memory: Memory | None = None,
    ) -> None:
        self.target = target
        self.record = record
        self._rng = rng
        self._attempted = attempted
        self._memory = memory
        self._log = structlog.get_logger("alpmon.probe").bind(target=target.name)
        self._lines: dict[tuple[int, int], Line] = {}
        self._unattempted: set[tuple[int, int]] = set()
        self._groups: dict[int, Group] = {}
        is_alone = shard.count * shard.replicas == 1
        self._placement = Placement(target.name, shard.part, shard.count, is_alone=is_alone)
        self._placement.arrange(target.topics, target.max_topics_per_connection)
        self._ending: set[asyncio.Task[None]] = set()
        self._reference: asyncio.Task[None] | None = None
        self._stopping = False
        for key, topics in self._wanted().items():
            self._add_line(key, topics)

    @property
    def attempted(self) -> bool:
        """Whether every line was attempted once."""
        return not self._unattempted

    @property
    def groups(self) -> list[Group]:
        """The groups whose replicas are compared."""
        return list(self._groups.values())

    # Starting and stopping

    def start(self) -> None:
        """Begin to connect, all at once: each line's own backoff spreads what comes after."""
        self._refer()
        for line in self._lines.values():
            self._start(line)

    async def stop(self, reason: str = SHUTDOWN) -> None:
        """Close every session with 1001; returns when all have ended."""
        self._stopping = True
        if self._reference is not None:
            self._reference.cancel()
        for line in list(self._lines.values()):
            self._end(line, reason)
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    # Changing

    def release(self, now: float) -> None:
        """The configuration holds the target no more; its sessions may outlive it."""
        for line in self._lines.values():
            self._release(line, now)

    def change(self, target: Target, now: float) -> None:
        """Hold another configuration of the same target; what has not changed is not touched.

        Topics are subscribed and unsubscribed on the sessions that live, and other limits hold them from here on. Only
        what a connection is begun with ends its session, whose counters go on in the next.
        """
        before, self.target = self.target, target
        if before.url != target.url:
            self._placement.forget_limit()
        if before.redundancy != target.redundancy:
            self._regroup(now)
        if before.reference.url != target.reference.url:
            self._dismiss(now)
        self._placement.arrange(target.topics, target.max_topics_per_connection)
        for line in self._lines.values():
            self._adapt(line, before, now)
        self._hold(now)
        if before.reference != target.reference:
            self._refer()

    def _adapt(self, line: Line, before: Target, now: float) -> None:
        """Let a line live by the configuration of now, on the session that it has if that can be."""
        target, private = self.target, self._authenticates(line)
        begun_otherwise = before.url != target.url or before.tls != target.tls
        other_account = line.is_private is not private or (private and before.auth != target.auth)
        other_delays = before.reconnect != target.reconnect
        if begun_otherwise or other_account or (other_delays and line.record.state is State.BACKOFF):
            line.renew()
        elif line.worker is not None:
            line.worker.hold_by(request_of(target), settings_of(target), now)
            if other_delays:
                line.worker.back_off_by(backoff_of(target, self._rng))

    def _hold(self, now: float) -> None:
        """Let lines and topics come and go until they are what is wanted."""
        wanted = self._wanted()
        for key in [key for key in self._lines if key not in wanted]:
            self._remove_line(key, now)
        for key, topics in wanted.items():
            line = self._lines.get(key)
            if line is None:
                self._start(self._add_line(key, topics))
            else:
                self._change_topics(line, topics, now)
        self.record.release_symbols()

    def _change_topics(self, line: Line, topics: Sequence[str], now: float) -> None:
        held = line.topics
        gone, new = [t for t in held if t not in topics], [t for t in topics if t not in held]
        if line.worker is not None and gone:
            line.worker.remove(gone)
        self._set_topics(line, topics, now)
        if line.worker is not None and new:
            line.worker.add(new)

    def _set_topics(self, line: Line, topics: Sequence[str], now: float) -> None:
        """Make the record hold these topics, those that stay with all that is known of them."""
        held = line.record.topics
        line.record.drop_topics([topic for topic in line.topics if topic not in topics])
        for topic in topics:
            record = held.get(topic)
            if record is None:
                held[topic] = self._topic(line, topic)
            elif record.freshness is not None and record.freshness.rule != rule_of(self.target, topic):
                record.freshness.judge_by(rule_of(self.target, topic), now)
        self._prepare(line)

    # Lines

    def _wanted(self) -> dict[tuple[int, int], Sequence[str]]:
        """The lines that the configuration asks of this shard, and their topics."""
        groups, replicas = self._placement.groups, range(self.target.redundancy)
        return {(group, replica): topics for group, topics in groups.items() for replica in replicas}

    def _add_line(self, key: tuple[int, int], topics: Iterable[str]) -> Line:
        group, replica = key
        record = new_record(f"{group}-{replica}")
        tape = None if self.record.tape is None else LineTape(self.record.tape, self.target.name, record.label)
        log = self._log.bind(connection=record.label)
        line = self._lines[key] = Line(group, replica, record, self._worker, self._rng, log, tape)
        for topic in topics:
            record.topics[topic] = self._topic(line, topic)
        self._set_private(line)
        self._join(line, time.monotonic())
        self._prepare(line)
        self._unattempted.add(key)
        self.record.connections[record.label] = record
        return line

    def _join(self, line: Line, now: float) -> None:
        """Compare the line with the replicas of its group, if it has any."""
        redundancy = self.target.redundancy
        if line.replica < redundancy > 1:
            line.sibling = self._groups.setdefault(line.group, Group(redundancy)).join(line.replica, line.record)
        else:
            line.sibling = None
            alone(line.record, now)

    def _regroup(self, now: float) -> None:
        """Another number of replicas: those that stay live on, and all are compared anew."""
        self._groups.clear()
        for line in self._lines.values():
            self._join(line, now)
            if line.worker is not None:
                line.worker.compare_by(line.sibling, now)

    def _remove_line(self, key: tuple[int, int], now: float) -> None:
        line = self._lines.pop(key)
        self._release(line, now)
        self._end(line, RELOAD)
        if not any(group == line.group for group, _ in self._lines):
            self._groups.pop(line.group, None)
        self.record.connections.pop(line.record.label, None)
        self._was_attempted(key)

    def _release(self, line: Line, now: float) -> None:
        if line.tape is not None:
            line.tape.released(now)

    def _topic(self, line: Line, topic: str) -> TopicRecord:
        """A topic that is new on a line, with what was learnt of it before."""
        rule, now, tape = rule_of(self.target, topic), time.monotonic(), line.tape
        freshness = TopicFreshness(rule, now) if tape is None else TapedFreshness(tape, topic, rule, now)
        record = TopicRecord(topic, freshness)
        learnt = None if self._memory is None else self._memory.recall(self.target.name, record)
        if tape is not None and learnt is not None:
            tape.learnt(topic, learnt.cadence, learnt.rate)
        if line.sibling is not None:
            line.sibling.joined(record)
        return record

    def _prepare(self, line: Line) -> None:
        if self.target.reference.url is not None:
            prepare(line.record, self.target.reference.interval)

    def _set_private(self, line: Line) -> None:
        """After a reload only once the old session has ended."""
        set_private(line.record, carried=self._authenticates(line))

    def _authenticates(self, line: Line) -> bool:
        """The private channels come over one group only: once a replica is enough."""
        return line.group == self._placement.carrier and self.target.auth.enabled

    # Holding

    def _start(self, line: Line) -> None:
        line.start(f"{self.target.name} {line.record.label}")

    def _end(self, line: Line, reason: str) -> None:
        task = line.end(reason)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _worker(self, line: Line) -> Worker:
        target = self.target
        self._set_private(line)
        return Worker(
            self.record,
            line.record,
            request_of(target),
            settings_of(target),
            backoff_of(target, self._rng),
            line.log,
            token=token_source(target.auth, self._rng) if self._authenticates(line) else None,
            overflow=lambda topics, limit: self._spill(line, topics, limit),
            attempted=lambda: self._was_attempted((line.group, line.replica)),
            sibling=line.sibling,
            tape=line.tape,
        )

    def _was_attempted(self, key: tuple[int, int]) -> None:
        self._unattempted.discard(key)
        self._attempted()

    def _refer(self) -> None:
        """Ask REST about the target, if the configuration says where."""
        if self._reference is not None:
            self._reference.cancel()
            self._reference = None
        url = self.target.reference.url
        if url is not None and self.record.connections:
            reference = Reference(url, self.target.reference.interval, self.record, self._rng, self._log)
            self._reference = in_background(f"{self.target.name} reference", reference.run)

    def _dismiss(self, now: float) -> None:
        """What another REST, or one that is asked no more, said of the topics counts for nothing any longer."""
        for line in self._lines.values():
            dismiss(line.record, now, listening=self.target.reference.url is not None)

    # A limit learnt from the server

    def _spill(self, line: Line, topics: Sequence[str], limit: int) -> None:
        """Move topics that one connection had no room for; a replica of it would find no more of it."""
        if line.is_wanted and not self._stopping:
            self._placement.spill(line.group, topics, limit)
            self._hold(time.monotonic())
