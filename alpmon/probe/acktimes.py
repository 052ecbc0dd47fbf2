"""What acknowledgements tell of the server's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from alpmon.core import subscriptions as subs
from alpmon.core.keepalive import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from alpmon.core.clock import Clock
    from alpmon.core.events import Ack
    from alpmon.core.outputs import Output
    from alpmon.core.session import Session

_DOUBT_EVERY_SECONDS: Final = 5.0
_OVERDUE_SECONDS: Final = 60.0
"""An answer that was given up may still come for so long, and be taken for that of a later request."""


class AckTimes:
    """Bounds the clock by each acknowledgement, and lets the next one come where it tells most.

    Args:
        clock: the target's, which all its connections tell.
        session: whose probes are aimed.
        log: bound to target and connection.
    """

    def __init__(self, clock: Clock, session: Session, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._session = session
        self._log = log
        self._doubted_until = 0.0
        self._overdue_since = NEVER
        self._overdue_until = 0.0

    def opened(self) -> None:
        """No answer of another session can come any more."""
        self._overdue_until = 0.0

    def gave_up(self, sent: float, now: float) -> None:
        """The answer to a request sent then is waited for no more."""
        self._overdue_since = min(sent, self._overdue_since) if now < self._overdue_until else sent
        self._overdue_until = now + _OVERDUE_SECONDS

    def acknowledged(self, ack: Ack, outputs: Sequence[Output], now: float) -> None:
        """An acknowledgement bounds the clock from both sides, by the earliest request that it can be the answer to."""
        answered = [output.seconds for output in outputs if isinstance(output, subs.Acknowledged)]
        if not answered:
            return
        sent = now - max(answered)
        if now < self._overdue_until:
            sent = min(sent, self._overdue_since)
        if not self._clock.acknowledged(sent, now, ack.time):
            self._log.warning("clock stepped", offset_seconds=round(self._clock.middle + now - time.time(), 6))
        self._session.aim_probe(self._clock.aim)

    def doubt(self, now: float) -> bool:
        """A stamp from the future: either it is wrong or a clock has stepped, which an acknowledgement will tell.

        Returns:
            Whether one is asked for at once.
        """
        if now < self._doubted_until:
            return False
        self._doubted_until = now + _DOUBT_EVERY_SECONDS
        self._session.hasten_probe(now)
        return True
