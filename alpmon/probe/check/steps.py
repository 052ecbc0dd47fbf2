"""One connection, step by step, each timed and each with a hard deadline: is the exchange well, seen from here?

The peer is given nothing to hold us by: connecting, the welcome, the acknowledgement, the messages and the ping each
have a deadline of their own, and all together that of the whole check.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from alpmon.core.events import Dialect
from alpmon.core.keepalive import NEVER
from alpmon.masking import mask_urls
from alpmon.probe.check.peer import Peer
from alpmon.probe.check.report import Report, Step, StepReport, Verdict
from alpmon.probe.check.request import ACK_SECONDS, CONNECT_SECONDS, PING_SECONDS, WELCOME_SECONDS
from alpmon.probe.connector import Connected, ConnectRequest, connect
from alpmon.probe.failures import ConnectFailed

if TYPE_CHECKING:
    from alpmon.probe.check.request import Audience, CheckRequest
    from alpmon.telemetry.labels import Phase

_NORMAL_CLOSURE: Final = 1000
_STEPS_OF_CONNECT: Final = (Step.RESOLVE, Step.TCP, Step.TLS, Step.UPGRADE)


class StepFailed(Exception):  # noqa: N818 - what the check is there to find, no error of ours
    """The check ends here."""

    def __init__(self, step: Step, detail: str, topic: str | None = None) -> None:
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.detail = detail
        self.topic = topic

    @property
    def told(self) -> str:
        """The detail, with the topic that it is about."""
        return self.detail if self.topic is None else f"{self.topic}: {self.detail}"


async def check(request: CheckRequest, audience: Audience) -> Report:
    """Go through all steps, or up to the one that fails.

    Returns within the timeout, and a second more for the goodbye.

    Raises:
        websockets.exceptions.InvalidURI: the URL is no WebSocket URL.
    """
    return await _Check(request, audience).run()


class _Check:
    def __init__(self, request: CheckRequest, audience: Audience) -> None:
        self._request = request
        self._audience = audience
        self._peer = Peer(request, self._delivered)
        self._connected: Connected | None = None
        self._reports: dict[tuple[Step, str | None], StepReport] = {}
        self._early: list[tuple[str, float]] = []
        self._started = self._step_started = time.monotonic()

    async def run(self) -> Report:
        failure: StepFailed | None = None
        try:
            await self._connect()
            await self._await_welcome()
            await self._await_ack()
            await self._await_life()
        except StepFailed as failed:
            failure = failed
            seconds = time.monotonic() - (self._peer.settled_at if failed.topic else self._step_started)
            self._report(failed.step, Verdict.FAILED, seconds, failed.topic, failed.detail)
        finally:
            await self._leave(politely=failure is None)
        return self._summary(failure)

    # The steps

    async def _connect(self) -> None:
        request, limit = self._request, self._limit(CONNECT_SECONDS)
        self._begin(Step.RESOLVE, limit)
        connecting = ConnectRequest(
            request.url,
            ca_file=request.ca_file,
            insecure_skip_verify=request.insecure_skip_verify,
            server_name=request.server_name,
            connect_timeout_seconds=limit,
        )
        try:
            self._connected = await connect(connecting, self._peer, self._observe)
        except ConnectFailed as failed:
            raise StepFailed(Step(failed.phase), failed.detail) from failed

    def _observe(self, phase: Phase, seconds: float) -> None:
        self._report(Step(phase), Verdict.OK, seconds)
        later = _STEPS_OF_CONNECT[_STEPS_OF_CONNECT.index(Step(phase)) + 1 :]
        upcoming = next((step for step in later if (step, None) in self._planned()), None)
        if upcoming is not None:
            self._begin(upcoming, self._limit(CONNECT_SECONDS - (time.monotonic() - self._started)))

    async def _await_welcome(self) -> None:
        peer, limit = self._peer, self._limit(WELCOME_SECONDS)
        self._begin(Step.WELCOME, limit)
        if not await self._until(lambda: peer.session.up, limit):
            came = f"{peer.frames} frame{'s' * (peer.frames > 1)} and no welcome" if peer.frames else "nothing"
            raise StepFailed(Step.WELCOME, await self._ended() or f"{came} in {limit:.3g} s")
        self._report(Step.WELCOME, Verdict.OK, peer.welcomed_at - peer.opened_at)

    async def _await_ack(self) -> None:
        peer, limit = self._peer, self._limit(ACK_SECONDS)
        self._begin(Step.ACK, limit)
        if not await self._until(lambda: peer.settled_at < NEVER, limit):
            raise StepFailed(Step.ACK, await self._ended() or f"no answer to the subscription in {limit:.3g} s")
        if peer.refusals:
            raise StepFailed(Step.ACK, "; ".join(peer.refusals))
        self._report(Step.ACK, Verdict.OK, peer.settled_at - peer.welcomed_at)

    async def _await_life(self) -> None:
        """The pong first, whatever data comes beside it: without one, waiting for messages is vain."""
        peer, limit = self._peer, self._limit(PING_SECONDS)
        self._begin(Step.PING, limit)
        pinged_at = peer.ping()
        if not await self._until(lambda: peer.pong_at < NEVER, limit):
            lost = await self._ended()
            if lost is None or not peer.missing:
                raise StepFailed(Step.PING, lost or f"no pong in {limit:.3g} s: the peer is gone, or does not read")
            raise self._undelivered(lost)
        self._report(Step.PING, Verdict.OK, peer.pong_at - pinged_at)
        await self._await_messages()

    async def _await_messages(self) -> None:
        peer, limit = self._peer, self._limit(NEVER)
        if peer.missing:
            self._begin(Step.MESSAGE, limit)
        if not await self._until(lambda: not peer.missing, limit):
            raise self._undelivered(await self._ended() or "a quiet pair looks the same; --messages 0 asks for none")

    def _undelivered(self, why: str) -> StepFailed:
        """Name the first topic that is short; the others that are get their verdict, too."""
        missing, wanted = self._peer.missing, self._request.messages
        for topic, left in list(missing.items())[1:]:
            seconds = time.monotonic() - self._peer.settled_at
            self._report(Step.MESSAGE, Verdict.FAILED, seconds, topic, f"{wanted - left} of {wanted} messages")
        topic, left = next(iter(missing.items()))
        return StepFailed(Step.MESSAGE, f"{wanted - left} of {wanted} messages came: {why}", topic)

    def _delivered(self, topic: str, seconds: float) -> None:
        """What comes in one read with the acknowledgement, or before it, is told behind it."""
        if (Step.ACK, None) in self._reports:
            self._report(Step.MESSAGE, Verdict.OK, seconds, topic)
        else:
            self._early.append((topic, seconds))

    # Waiting

    def _limit(self, seconds: float) -> float:
        """So many seconds, but not past the end of the whole check."""
        left = self._started + self._request.timeout_seconds - time.monotonic()
        return max(0.0, min(seconds, left))

    async def _until(self, holds: Callable[[], bool], limit: float) -> bool:
        """Wait until something holds, the limit has passed or the connection is gone; whether it holds."""
        peer = self._peer
        try:
            async with asyncio.timeout(limit):
                while not holds() and not peer.gone:
                    peer.changed.clear()
                    await peer.changed.wait()
        except TimeoutError:
            pass
        return holds()

    async def _ended(self) -> str | None:
        """How the connection ended, if it did."""
        if not self._peer.gone or self._connected is None:
            return None
        facts = await self._connected.connection.wait_lost()
        told = facts.reason_text or facts.error
        words = f": {told}" if told else ""
        return f"connection ended by the {facts.initiator}, code {facts.code}{words}"

    async def _leave(self, *, politely: bool) -> None:
        if self._connected is None:
            return
        connection = self._connected.connection
        if politely:
            connection.close_now(_NORMAL_CLOSURE)
        else:
            connection.abort()
        await connection.wait_lost()

    # Telling

    def _begin(self, step: Step, limit: float) -> None:
        self._step_started = time.monotonic()
        self._audience.waiting(step, limit)

    def _report(
        self, step: Step, verdict: Verdict, seconds: float | None, topic: str | None = None, detail: str | None = None
    ) -> None:
        report = StepReport(step=step, topic=topic, verdict=verdict, seconds=seconds, detail=detail)
        self._reports[step, topic] = report
        self._audience.done(report)
        if step is Step.ACK:
            for early, took in self._early:
                self._report(Step.MESSAGE, Verdict.OK, took, early)

    def _planned(self) -> Iterator[tuple[Step, str | None]]:
        """Every step that this check has, in order."""
        for step in Step:
            if step is Step.MESSAGE:
                yield from ((step, topic) for topic in (self._request.topics if self._request.messages else ()))
            elif step is not Step.TLS or self._request.url.startswith("wss:"):
                yield step, None

    def _summary(self, failure: StepFailed | None) -> Report:
        for step, topic in self._planned():
            if (step, topic) not in self._reports:
                self._report(step, Verdict.SKIPPED, None, topic)
        connected, session = self._connected, self._peer.session
        welcome, dialect, wall = session.welcome, session.dialect, time.time()
        expiry = connected.certificate_not_after_wall if connected else None
        return Report(
            target=self._request.target,
            url=mask_urls(self._request.url),
            healthy=failure is None,
            failed_step=failure.step if failure else None,
            detail=failure.told if failure else None,
            timestamp_seconds=wall,
            seconds=time.monotonic() - self._started,
            timeout_seconds=self._request.timeout_seconds,
            messages=self._request.messages,
            peer=connected.peer if connected else None,
            proxied=connected.proxied if connected else False,
            tls_version=connected.tls_version if connected else None,
            certificate_expires_in_seconds=None if expiry is None else expiry - wall,
            client_id=welcome.client_id if welcome else None,
            dialect=None if dialect is Dialect.UNKNOWN else dialect,
            advertised_ping_interval_seconds=welcome.ping_interval_seconds if welcome else None,
            advertised_ping_timeout_seconds=welcome.ping_timeout_seconds if welcome else None,
            steps=[self._reports[step] for step in self._planned()],
        )
