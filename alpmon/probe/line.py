"""One connection that shall be held: its worker, the next one after a bug or a change, and their end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from alpmon.core.backoff import Backoff, deserves_reset
from alpmon.core.states import State
from alpmon.core.topics import PRIVATE_CHANNELS
from alpmon.telemetry.labels import RELOAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from alpmon.probe.siblings import Sibling
    from alpmon.probe.taped import LineTape
    from alpmon.probe.worker import Worker
    from alpmon.telemetry.state import ConnectionRecord

RESTART_SECONDS: Final = 1.0
MAX_RESTART_SECONDS: Final = 60.0
RESTART_FACTOR: Final = 2.0
"""A bug that every session meets must not hammer the server, whatever the reconnects are configured to."""


class Line:
    """A topic group, and which of its replicas; one worker at a time, so that a session has the record to itself.

    Args:
        group: number of the topic group.
        replica: number of the connection among those that carry the group.
        record: where the connection is recorded.
        worker: makes a worker by the configuration of the moment.
        rng: the jitter of the restarts.
        log: bound to target and connection.
        tape: where what the connection goes through is written, if it shall be.

    Attributes:
        sibling: compares the connection with the group's others; None where it has none.
        worker: the present one; None before the first and while a bug is waited out.
        is_wanted: whether it shall be held; else it only ends.
    """

    def __init__(
        self,
        group: int,
        replica: int,
        record: ConnectionRecord,
        worker: Callable[[Line], Worker],
        rng: Random,
        log: FilteringBoundLogger,
        tape: LineTape | None = None,
    ) -> None:
        self.group = group
        self.replica = replica
        self.record = record
        self.tape = tape
        self.sibling: Sibling | None = None
        self.worker: Worker | None = None
        self.is_wanted = True
        self.log = log
        self._make_worker = worker
        self._restarts = Backoff(RESTART_SECONDS, MAX_RESTART_SECONDS, RESTART_FACTOR, rng)
        self._task: asyncio.Task[None] | None = None

    @property
    def topics(self) -> list[str]:
        """What the line subscribes to, in order; not the private channels."""
        return [topic.topic for topic in self.record.topics.values() if topic.freshness is not None]

    @property
    def is_private(self) -> bool:
        """Whether the present worker, or the last one, carries the private channels."""
        return any(channel in self.record.topics for channel in PRIVATE_CHANNELS)

    def start(self, name: str) -> None:
        """Begin to connect, in a task of this name."""
        self._task = asyncio.create_task(self._keep(), name=name)

    def renew(self) -> None:
        """Let the session end for a change; the next one begins when it has, by the configuration of that moment."""
        if self.worker is not None:
            self.worker.stop(RELOAD)

    def end(self, reason: str) -> asyncio.Task[None] | None:
        """Let the worker say goodbye; gives the task that ends soon after, None where none was started."""
        self.is_wanted = False
        if self._task is None:
            return None
        if self.worker is not None:
            self.worker.stop(reason)
        else:
            self._task.cancel()
            self.record.state = State.STOPPED
        return self._task

    async def _keep(self) -> None:
        """Run a worker; after a bug of ours count it, say it, and run another one."""
        while self.is_wanted:
            began = time.monotonic()
            try:
                self.worker = self._make_worker(self)
                await self.worker.run()
            except Exception:
                self.worker = None
                delay = self._restart_delay(time.monotonic() - began)
                self.record.worker_restarts += 1
                self.log.exception("worker died of a bug and will be restarted", seconds=round(delay, 3))
                await self._wait(delay)

    def _restart_delay(self, lived_seconds: float) -> float:
        """What the last worker received does not count for it: it may be what the bug is met with."""
        if deserves_reset(acknowledged=False, delivered=False, lived_seconds=lived_seconds):
            self._restarts.reset()
        return self._restarts.next_delay()

    async def _wait(self, seconds: float) -> None:
        if self.is_wanted:
            self.record.retry_at_wall = time.time() + seconds
            try:
                await asyncio.sleep(seconds)
            finally:
                self.record.retry_at_wall = 0.0
