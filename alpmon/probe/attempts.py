"""What is counted, kept and said of one connection's attempts and sessions when they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alpmon.core.backoff import deserves_reset
from alpmon.probe.closing import ABNORMAL_CLOSURE, CloseCause, CloseFacts
from alpmon.telemetry.labels import OWN_ENDS, FailureReason, Initiator
from alpmon.telemetry.recorder import Trouble
from alpmon.telemetry.state import SessionEnd

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alpmon.core.session import Session
    from alpmon.probe.taped import LineTape
    from alpmon.telemetry.state import ConnectionRecord


@dataclass(slots=True, frozen=True)
class Failure:
    """Why an attempt came to nothing."""

    reason: FailureReason
    detail: str


class Attempts:
    """What comes of one connection's attempts and sessions, counted in its record and told to its tape and its log.

    Args:
        record: where everything is counted.
        log: bound to target and connection.
        tape: where the ends are written, if they shall be.
    """

    def __init__(self, record: ConnectionRecord, log: FilteringBoundLogger, tape: LineTape | None) -> None:
        self._record = record
        self._log = log
        self._tape = tape
        self._data_before = 0

    def begin(self) -> None:
        """An attempt begins."""
        self._record.attempts += 1
        self._data_before = self._record.data_frames

    def failed(self, failure: Failure, now: float, wall: float) -> None:
        """An attempt never reached its welcome."""
        record, reason, detail = self._record, failure.reason, failure.detail
        record.failures[reason] += 1
        record.last_failure = f"{reason}: {detail}"
        record.last_failure_wall = wall
        record.recorder.trouble(Trouble.CONNECT_FAILED, reason, detail, "", wall)
        if self._tape is not None:
            self._tape.failed(reason, detail, now, wall)
        self._log.warning("connection attempt failed", reason=reason, detail=detail)

    def ended(self, session: Session, facts: CloseFacts, cause: tuple[Initiator, str], now: float, wall: float) -> bool:
        """A session ended, for a cause that is ours to know; returns whether it was worth having."""
        record, (initiator, reason) = self._record, cause
        lived = now - session.welcomed_at
        record.disconnects[initiator, str(facts.code), reason] += 1
        record.session_duration.observe(lived)
        end = record.last_end = SessionEnd(wall, initiator, str(facts.code), reason, facts.reason_text, facts.error)
        if self._tape is not None:
            self._tape.disconnected(end, now)
        if reason not in OWN_ENDS:
            told = f"by {initiator}, code {facts.code} {facts.reason_text or facts.error}".rstrip()
            record.recorder.trouble(Trouble.DISCONNECTED, reason, told, record.client_id, wall)
        delivered = record.data_frames - self._data_before
        self._log.info(
            "session ended",
            client_id=record.client_id,
            dialect=record.dialect,
            seconds=round(lived, 3),
            initiator=initiator,
            code=facts.code,
            reason=reason,
            close_reason=facts.reason_text,
            error=facts.error,
            data_frames=delivered,
            topics=len(record.topics),
        )
        return deserves_reset(session.acknowledged, delivered > 0, lived)


def dropped(cause: CloseCause | None, error: str = "") -> CloseFacts:
    """The end of a connection that we dropped without a goodbye, and what our side says of it."""
    return CloseFacts(Initiator.CLIENT, ABNORMAL_CLOSURE, None, "", cause, error)
