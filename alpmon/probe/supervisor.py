"""All workers: which connections there are, that each is held, and that all end together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import structlog

from alpmon.core.backoff import Backoff
from alpmon.core.freshness import Mode, Rule, TopicFreshness
from alpmon.core.layout import mine, plan
from alpmon.core.protocol import PRIVATE_CHANNELS
from alpmon.core.session import Settings, State
from alpmon.core.subscriptions import RequestOp
from alpmon.probe.auth import token_source
from alpmon.probe.connector import ConnectRequest
from alpmon.probe.reference import Reference, prepare
from alpmon.probe.siblings import Group, watch
from alpmon.probe.taped import LineTape, TapedFreshness
from alpmon.probe.worker import Worker, clear_session
from alpmon.telemetry.state import LATENCY_BUCKETS, ConnectionRecord, Histogram, TargetRecord, TopicRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alpmon.config import Config, Target
    from alpmon.probe.siblings import Sibling
    from alpmon.telemetry.state import Monitor

STOP_SECONDS: Final = 2.0
RESTART_SECONDS: Final = 1.0


@dataclass(slots=True, eq=False)
class Line:
    """One connection that shall be held: a topic group of a target, and which of its replicas."""

    target: Target
    target_record: TargetRecord
    group: int
    replica: int
    record: ConnectionRecord
    sibling: Sibling | None = None

    @property
    def authenticates(self) -> bool:
        """The private channels come over the first group only: once a replica is enough."""
        return self.group == 0 and self.target.auth.enabled


class Supervisor:
    """Holds every connection that the configuration gives to this shard.

    Args:
        config: which connections.
        monitor: where everything is recorded; filled in by the constructor, so that a scrape finds every child.
        rng: the jitter of the reconnects.
    """

    def __init__(self, config: Config, monitor: Monitor, rng: Random) -> None:
        self._config = config
        self._monitor = monitor
        self._rng = rng
        self._log = structlog.get_logger("alpmon.probe")
        self._lines: list[Line] = []
        self._workers: dict[Line, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unattempted: set[Line] = set()
        self._spilled: dict[tuple[str, tuple[str, ...]], int] = {}
        self._groups: dict[tuple[str, int], Group] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._stopping = False
        monitor.shard_index, monitor.shard_count = config.shard.part, config.shard.count
        for target in config.targets:
            self._lay_out(target)

    def _lay_out(self, target: Target) -> None:
        record = TargetRecord(
            target.name, target.url, max_symbols=self._config.limits.max_symbols, tape=self._monitor.tape
        )
        self._monitor.targets[target.name] = record
        groups = plan(target.topics, target.max_topics_per_connection)
        shard = self._config.shard
        for group, topics in mine(target.name, groups, shard.part, shard.count).items():
            for replica in range(target.redundancy):
                self._add_line(target, record, group, replica, topics)

    def _add_line(
        self, target: Target, target_record: TargetRecord, group: int, replica: int, topics: Iterable[str]
    ) -> Line:
        record = ConnectionRecord(f"{group}-{replica}", State.CONNECTING)
        record.ack = {op: Histogram(LATENCY_BUCKETS) for op in RequestOp}
        line = Line(target, target_record, group, replica, record)
        for topic in topics:
            record.topics[topic] = TopicRecord(topic, self._freshness(line, topic))
        if line.authenticates:
            record.topics.update({channel: TopicRecord(channel, None) for channel in PRIVATE_CHANNELS})
        if target.redundancy > 1:
            siblings = self._groups.setdefault((target.name, group), Group(target.redundancy))
            line.sibling = siblings.join(replica, record)
        if target.reference.url is not None:
            prepare(record, target.reference.interval)
        target_record.connections[record.label] = record
        self._lines.append(line)
        return line

    def _freshness(self, line: Line, topic: str) -> TopicFreshness:
        rule, now, tape = rule_of(line.target, topic), time.monotonic(), line.target_record.tape
        if tape is None:
            return TopicFreshness(rule, now)
        return TapedFreshness(LineTape(tape, line.target.name, line.record.label), topic, rule, now)

    # Starting, holding, stopping

    def start(self) -> None:
        """Begin to connect, all at once: each line's own backoff spreads what comes after."""
        self._unattempted.update(self._lines)
        self._monitor.first_attempts_made = not self._lines
        if self._groups:
            self._watching.append(asyncio.create_task(watch(self._groups.values()), name="siblings"))
        for target in self._config.targets:
            self._refer(target)
        for line in self._lines:
            self._hold(line)

    async def stop(self) -> None:
        """Close every session with 1001; done within two seconds, whatever the peers do."""
        self._stopping = True
        for watching in self._watching:
            watching.cancel()
        for worker in self._workers.values():
            worker.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _refer(self, target: Target) -> None:
        """Ask REST about a target, if the configuration says where."""
        url, record = target.reference.url, self._monitor.targets[target.name]
        if url is not None and record.connections:
            reference = Reference(url, target.reference.interval, record, self._rng, self._log.bind(target=target.name))
            self._watching.append(asyncio.create_task(reference.run(), name=f"{target.name} reference"))

    def _hold(self, line: Line) -> None:
        task = asyncio.create_task(self._keep(line), name=f"{line.target.name} {line.record.label}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, line: Line) -> None:
        """Run a worker; after a bug of ours count it, say it, and run another one."""
        while not self._stopping:
            worker = self._workers[line] = self._worker(line)
            try:
                await worker.run()
            except Exception:  # noqa: BLE001 - whatever it was, the other connections live on
                self._log_of(line).exception("worker died of a bug and will be restarted")
                line.record.worker_restarts += 1
                clear_session(line.record, time.monotonic())
                if line.sibling is not None:
                    line.sibling.lost(time.monotonic())
                await asyncio.sleep(RESTART_SECONDS)

    def _worker(self, line: Line) -> Worker:
        target = line.target
        return Worker(
            line.target_record,
            line.record,
            request_of(target),
            settings_of(target),
            Backoff(target.reconnect.initial, target.reconnect.max, target.reconnect.factor, self._rng),
            self._log_of(line),
            token=token_source(target.auth, self._rng) if line.authenticates else None,
            overflow=lambda topics, limit: self._spill(line, topics, limit),
            attempted=lambda: self._attempted(line),
            sibling=line.sibling,
        )

    def _log_of(self, line: Line) -> structlog.typing.FilteringBoundLogger:
        return self._log.bind(target=line.target.name, connection=line.record.label)  # type: ignore[no-any-return]

    def _attempted(self, line: Line) -> None:
        self._unattempted.discard(line)
        if not self._unattempted:
            self._monitor.first_attempts_made = True

    # A limit learnt from the server

    def _spill(self, line: Line, topics: Sequence[str], limit: int) -> None:
        """Move topics that one connection had no room for to connections of their own."""
        for group_topics in plan(topics, limit):
            group = self._group_of_spilled(line.target, group_topics)
            self._hold(self._add_line(line.target, line.target_record, group, line.replica, group_topics))

    def _group_of_spilled(self, target: Target, topics: tuple[str, ...]) -> int:
        """The same topics spilled by a sibling get the same group, so that replicas stay comparable."""
        known = self._spilled.get((target.name, topics))
        if known is not None:
            return known
        planned = len(plan(target.topics, target.max_topics_per_connection))
        spilled = sum(name == target.name for name, _ in self._spilled)
        return self._spilled.setdefault((target.name, topics), planned + spilled)


def rule_of(target: Target, topic: str) -> Rule:
    """How the configuration wants a topic judged."""
    rule = target.freshness.rule_for(topic)
    return Rule(Mode(rule.mode), rule.floor, rule.ceiling, rule.silent_after, rule.after or rule.ceiling)


def request_of(target: Target) -> ConnectRequest:
    """Where and how to connect to a target."""
    return ConnectRequest(
        target.url,
        ca_file=target.tls.ca_file,
        insecure_skip_verify=target.tls.insecure_skip_verify,
        server_name=target.tls.server_name,
        connect_timeout_seconds=target.timeouts.connect,
    )


def settings_of(target: Target) -> Settings:
    """What a target's sessions are held by."""
    timeouts = target.timeouts
    return Settings(
        welcome_timeout=timeouts.welcome,
        ack_timeout=timeouts.ack,
        silence=timeouts.silence,
        rtt_interval=target.rtt_interval,
        ack_probe_interval=target.ack_probe_interval,
        max_frame_bytes=target.max_frame_bytes,
    )
