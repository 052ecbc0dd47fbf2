"""One connection for ever: connect, let the intake drive the session, account for its end, back off, again."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from alpmon.core.outputs import DropCause
from alpmon.core.session import Session
from alpmon.core.states import State
from alpmon.logs import Bounded
from alpmon.masking import SECRETS
from alpmon.probe.attempts import Attempts, Failure, dropped
from alpmon.probe.auth import AuthError
from alpmon.probe.closing import CloseCause, CloseFacts
from alpmon.probe.connector import connect
from alpmon.probe.failures import ConnectFailed
from alpmon.probe.intake import Intake
from alpmon.probe.records import clear_session
from alpmon.probe.taped import TapedIntake, TapedSession
from alpmon.telemetry.labels import SHUTDOWN, FailureReason, Initiator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from alpmon.core.backoff import Backoff
    from alpmon.core.session import Settings
    from alpmon.probe.auth import TokenSource
    from alpmon.probe.connector import Connected, ConnectRequest
    from alpmon.probe.siblings import Sibling
    from alpmon.probe.taped import LineTape
    from alpmon.telemetry.labels import Phase
    from alpmon.telemetry.state import ConnectionRecord, TargetRecord

RENEWAL_CHECK_SECONDS: Final = 1.0
_GOING_AWAY: Final = 1001
_NO_WELCOME: Final = Failure(FailureReason.WELCOME_TIMEOUT, "no welcome in time")
_CLOSED_EARLY: Final = Failure(FailureReason.HANDSHAKE, "closed before the welcome")
_WARN_EVERY_SECONDS: Final = 60.0


class Worker:
    """Holds one connection until told to stop; `run` ends then, and raises only for a bug of ours.

    Args:
        target: the record of the target that the connection belongs to.
        record: the connection's own; its `topics` are what is subscribed to.
        request: where and how to connect.
        settings: what the session is held by.
        backoff: the delays between attempts.
        log: bound to target and connection.
        token: opens the private channels; None to stay public.
        overflow: told about topics that the server had no room for, and the limit learnt.
        attempted: called after each attempt, good or bad.
        sibling: compares the connection with its siblings; None where it has none.
        tape: where what the connection goes through is written, if it shall be.
    """

    def __init__(
        self,
        target: TargetRecord,
        record: ConnectionRecord,
        request: ConnectRequest,
        settings: Settings,
        backoff: Backoff,
        log: FilteringBoundLogger,
        *,
        token: TokenSource | None,
        overflow: Callable[[Sequence[str], int], None],
        attempted: Callable[[], None],
        sibling: Sibling | None = None,
        tape: LineTape | None = None,
    ) -> None:
        topics = [topic.topic for topic in record.topics.values() if topic.freshness is not None]
        taped_session = Session if tape is None else partial(TapedSession, tape)
        self.session = taped_session(settings, topics, authenticate=token is not None)
        self._record = record
        self._request = request
        self._backoff = backoff
        self._log = log
        self._token_source = token
        self._token = ""
        self._attempted = attempted
        taped_intake = Intake if tape is None else partial(TapedIntake, tape)
        self._intake = taped_intake(
            target, record, self.session, log, token=lambda: self._token, overflow=overflow, sibling=sibling
        )
        self._attempts = Attempts(record, log, tape)
        self._holding = False
        self._stopping = False
        self._stop_reason = SHUTDOWN
        self._task: asyncio.Task[None] | None = None
        record.state = self.session.state
        record.state_since_wall = time.time()

    async def run(self) -> None:
        """Attempt after attempt, until `stop`."""
        task = self._task = asyncio.current_task()
        try:
            while not self._stopping:
                retry_after = await self._attempt()
                if not self._stopping:
                    await self._wait(retry_after)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            if task is not None:
                task.uncancel()  # It was us, and the task has more to do.
        except Exception as bug:
            self._died(bug)
            raise
        if self.session.state is not State.STOPPED:
            self._ended(dropped(None), None)

    def stop(self, reason: str = SHUTDOWN) -> None:
        """Say goodbye (1001) where there is somebody to say it to, and let `run` end."""
        self._stopping = True
        self._stop_reason = reason
        if self._holding or self._intake.is_open:
            self._intake.close(_GOING_AWAY, f"monitor: {reason}")
        elif self._task is not None:
            self._task.cancel()

    def add(self, topics: Sequence[str]) -> None:
        """Subscribe to topics that the record holds by now, on the present session and in every later one."""
        self._intake.add(topics, time.monotonic(), time.time())

    def remove(self, topics: Sequence[str]) -> None:
        """Unsubscribe from topics that the record still holds."""
        self._intake.remove(topics, time.monotonic(), time.time())

    def hold_by(self, request: ConnectRequest, settings: Settings, now: float) -> None:
        """Other limits are in force from here on, for the session that lives too; and another request from the next."""
        self._request = request
        self.session.hold_by(settings, now)
        self._carry_out(())

    def back_off_by(self, backoff: Backoff) -> None:
        """Other delays count from the next attempt on, and begin anew."""
        self._backoff = backoff

    def compare_by(self, sibling: Sibling | None, now: float) -> None:
        """Compare the connection with other replicas, or with none any more."""
        self._intake.compare_by(sibling, now)

    # One attempt

    async def _attempt(self) -> float | None:
        """Connect and hold until the end; the seconds that the server asked us to stay away, if it did."""
        self._attempts.begin()
        try:
            if self._token_source is not None:
                self._token = await self._token_source.get()
            connected = await connect(self._request, self._intake, self._observe)
        except AuthError as failure:
            return self._failed(Failure(FailureReason.AUTH, SECRETS.text(str(failure))), None)
        except ConnectFailed as failure:
            return self._failed(Failure(failure.reason, str(failure)), failure.retry_after_seconds)
        await self._hold(connected)
        return None

    def _observe(self, phase: Phase, seconds: float) -> None:
        self._record.connect[phase].observe(seconds)

    def _failed(self, failure: Failure, retry_after: float | None) -> float | None:
        """An attempt came to nothing, unless it came to a session first.

        The welcome may lie in one read with the upgrade; where our loop was late, that is read when the deadline of the
        attempt is past already, and before anybody looks at it.
        """
        self._ended(dropped(CloseCause.CONNECTION_LOST, failure.detail), failure)
        self._attempted()
        return retry_after

    async def _hold(self, connected: Connected) -> None:
        if connected.certificate_not_after_wall is not None:
            self._record.certificate_not_after_wall = connected.certificate_not_after_wall
        self._attempted()
        connection = connected.connection
        self._holding = True
        renewing = None if self._token_source is None else asyncio.create_task(self._renew(self._token_source))
        try:
            if self._stopping:
                self.stop(self._stop_reason)
            facts = await connection.wait_lost()
        finally:
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
        timed_out = self._intake.drop_cause is DropCause.WELCOME_TIMEOUT
        self._ended(facts, _NO_WELCOME if timed_out else _CLOSED_EARLY)
        self._holding = False

    async def _renew(self, source: TokenSource) -> None:
        """Present every new token on the session that is open, so that it may outlive the one it began with."""
        warnings = Bounded(_WARN_EVERY_SECONDS)
        while True:
            await asyncio.sleep(RENEWAL_CHECK_SECONDS)
            try:
                self._present(await source.get())
            except AuthError as failure:
                allowed, suppressed = warnings.allow(str(failure), time.monotonic())
                if allowed:
                    self._log.warning("token cannot be renewed", detail=str(failure), suppressed=suppressed)
            except Exception:  # noqa: BLE001 - the session lives on with the token that it has
                self._log.exception("renewing the token failed of a bug")

    def _present(self, token: str) -> None:
        if token != self._token:
            self._token = token
            self._log.info("token renewed")
            self._carry_out(self.session.reauthenticate(time.monotonic()))

    async def _wait(self, retry_after: float | None) -> None:
        delay = self._backoff.next_delay(retry_after)
        self._record.retry_at_wall = time.time() + delay
        self._log.info("waiting to reconnect", seconds=round(delay, 3))
        try:
            await asyncio.sleep(delay)
        finally:
            self._record.retry_at_wall = 0.0
        self._carry_out(self.session.retry())

    # How it ended

    def _ended(self, facts: CloseFacts, failure: Failure | None) -> None:
        """Account for the session, or for the attempt if it never came to one, and forget what was true of it."""
        now, wall = time.monotonic(), time.time()
        if self.session.up:
            if self._attempts.ended(self.session, facts, self._cause(facts), now, wall):
                self._backoff.reset()
        elif failure is not None and not self._stopping:
            self._attempts.failed(failure, now, wall)
        self._carry_out(self.session.stop(now) if self._stopping else self.session.ended(now))
        clear_session(self._record, now)

    def _died(self, bug: Exception) -> None:
        """Account for what a bug of ours ended, as far as the bug lets us.

        The contract has no reason of its own for it. `protocol_error` comes nearest: we ended the session because we
        could not go on with it; `alpmon_worker_restarts_total` tells whose the error is.
        """
        detail = f"a bug of ours: {type(bug).__name__}"
        trying = self.session.state in (State.CONNECTING, State.WELCOMING)
        self._intake.abort()
        with suppress(Exception):  # That it sits here as well must not hide the first one.
            self._ended(
                dropped(CloseCause.PROTOCOL_ERROR, detail), Failure(FailureReason.OTHER, detail) if trying else None
            )
        self._record.state = State.STOPPED if self._stopping else State.BACKOFF
        clear_session(self._record, time.monotonic())

    def _cause(self, facts: CloseFacts) -> tuple[Initiator, str]:
        if self._stopping:
            return Initiator.CLIENT, self._stop_reason
        if self._intake.drop_cause is not None:
            return Initiator.CLIENT, self._intake.drop_cause
        return facts.initiator, facts.cause or SHUTDOWN

    def _carry_out(self, outputs: Sequence[object]) -> None:
        self._intake.carry_out(outputs, time.monotonic(), time.time())  # type: ignore[arg-type]
