"""One connection of a recording, with all that the monitor would have for it, and no socket and no timer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from logging import CRITICAL
from typing import TYPE_CHECKING, Final

import structlog

from alpmon.core.freshness import TopicFreshness, TopicState
from alpmon.core.protocol import PRIVATE_CHANNELS
from alpmon.core.session import Session, State
from alpmon.core.subscriptions import RequestOp
from alpmon.probe.fleet import rule_of, settings_of
from alpmon.probe.intake import Intake
from alpmon.telemetry.state import LATENCY_BUCKETS, ConnectionRecord, Histogram, TargetRecord, TopicRecord

if TYPE_CHECKING:
    from alpmon.config import Target
    from alpmon.telemetry.entries import Held

_silent_log: Final = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))


def _moved_elsewhere(topics: Sequence[str], limit: int) -> None:
    """Topics without room went to another connection, which the recording holds as well."""
    del topics, limit


class _NoConnection:
    """Takes whatever the session wants to send: the recording knows what came of it."""

    def __init__(self) -> None:
        self.now = 0.0

    def send_text_now(self, data: bytes) -> float:  # noqa: ARG002
        return self.now

    def send_ping_now(self, payload: bytes) -> float:  # noqa: ARG002
        return self.now

    def close_now(self, code: int, reason: str = "") -> None: ...

    def abort(self) -> None: ...


class _ReplayedIntake(Intake):
    """An intake whose deadlines come from the recording."""

    def _arm(self) -> None:
        """The next deadline is a line of the recording."""

    def _disarm(self) -> None:
        """None is armed."""


class ReplayedLine:
    """One connection of the recording, with all that the monitor would have for it."""

    def __init__(self, config: Target, target: TargetRecord, held: Held) -> None:
        label = held.line.rpartition("/")[2]
        self.config = config
        self.record = ConnectionRecord(label, State.CONNECTING)
        self.record.ack = {op: Histogram(LATENCY_BUCKETS) for op in RequestOp}
        self.connection = _NoConnection()
        self.states: dict[str, TopicState] = {}
        self.anomalies: dict[tuple[str, str], int] = {}
        self._target = target
        target.connections[label] = self.record
        self.add(held.topics, held.now)
        if held.account:
            self.record.topics.update({channel: TopicRecord(channel, None) for channel in PRIVATE_CHANNELS})
        self.begin(held)

    def begin(self, held: Held) -> None:
        """A worker begins, the first or one after a bug."""
        self.session = Session(settings_of(self.config), held.topics, authenticate=held.account)
        self.intake = _ReplayedIntake(
            self._target,
            self.record,
            self.session,
            _silent_log,
            token=lambda: "",
            overflow=_moved_elsewhere,
        )

    def add(self, topics: Iterable[str], now: float) -> None:
        """These topics are judged from here on."""
        for topic in topics:
            self.record.topics[topic] = TopicRecord(topic, TopicFreshness(rule_of(self.config, topic), now))

    def judged(self) -> Iterator[tuple[str, TopicFreshness]]:
        """The topics that have a state."""
        for topic in self.record.topics.values():
            if topic.freshness is not None:
                yield topic.topic, topic.freshness
