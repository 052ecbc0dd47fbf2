"""One connection of a recording, with all that the monitor would have for it, and no socket and no timer."""

from __future__ import annotations

from logging import CRITICAL
from typing import TYPE_CHECKING, Final

import structlog

from alpmon.core.freshness import TopicFreshness
from alpmon.core.session import Session
from alpmon.probe.intake import Intake
from alpmon.probe.records import new_record, set_private
from alpmon.probe.terms import settings_of
from alpmon.replay.tales import Tales
from alpmon.telemetry.state import TargetRecord, TopicRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from alpmon.config import Target
    from alpmon.core.freshness import Rule
    from alpmon.probe.siblings import Sibling
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
    """One connection of the recording, with all that the monitor would have for it.

    Args:
        name: `TARGET/CONNECTION`.
        target: the record of its target.
        rule: how a topic of it is judged.

    Attributes:
        record: what the monitor would have seen of it.
        is_held: whether the configuration holds it still; else it only ends.
        sibling: compares it with the others of its group; None where there are none.
        tales: what was told of it.
    """

    session: Session
    intake: Intake

    def __init__(self, name: str, target: TargetRecord, rule: Callable[[str], Rule]) -> None:
        self.name = name
        self.target = target
        label = name.rpartition("/")[2]
        group, _, replica = label.partition("-")
        self.group, self.replica = int(group), int(replica)
        self.record = new_record(label)
        self.connection = _NoConnection()
        self.is_held = True
        self.sibling: Sibling | None = None
        self.tales = Tales()
        self._rule = rule
        target.connections[label] = self.record

    def release(self) -> None:
        """The configuration holds it no more."""
        self.is_held = False
        self.target.connections.pop(self.record.label, None)  # In a file that somebody edited it may be gone.

    def begin(self, config: Target, held: Held) -> None:
        """A worker begins: the first, or one after a bug or a reload."""
        self.record.drop_topics([topic for topic, _ in self.judged() if topic not in held.topics])
        set_private(self.record, carried=held.account)
        self.add(held.topics, held.now)
        self.session = Session(settings_of(config), held.topics, authenticate=held.account)
        self.intake = _ReplayedIntake(
            self.target,
            self.record,
            self.session,
            _silent_log,
            token=lambda: "",
            overflow=_moved_elsewhere,
            sibling=self.sibling,
        )

    def add(self, topics: Iterable[str], now: float) -> None:
        """These topics are judged from here on."""
        for topic in topics:
            if topic not in self.record.topics:
                record = TopicRecord(topic, TopicFreshness(self._rule(topic), now))
                self.record.topics[topic] = record
                if self.sibling is not None:
                    self.sibling.joined(record)

    def judged(self) -> Iterator[tuple[str, TopicFreshness]]:
        """The topics that have a state."""
        for topic in self.record.topics.values():
            if topic.freshness is not None:
                yield topic.topic, topic.freshness
