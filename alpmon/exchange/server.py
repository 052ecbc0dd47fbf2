"""The simulated exchange: one port for the WebSocket and for its control."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from alpmon.exchange.active import Active, Faults
from alpmon.exchange.burst import burst
from alpmon.exchange.control import routes
from alpmon.exchange.dialects import rules_of
from alpmon.exchange.faults import (
    Abort,
    Close,
    Garbage,
    HalfOpen,
    Pause,
    Payload,
    RefuseUpgrades,
    StallUpgrades,
)
from alpmon.exchange.ledger import ConnectionEntry, Ledger
from alpmon.exchange.link import Link
from alpmon.exchange.market import Market
from alpmon.exchange.rest import ROOT, Rest
from alpmon.exchange.session import House, Session
from alpmon.exchange.settings import MEBIBYTE, Settings
from alpmon.exchange.wire import MarketEvent

_PATHS: Final = ("/ws", "/alp-ws")
_GOING_AWAY: Final = 1001
_STOP_SECONDS: Final = 1.0
_MARKET_BATCH: Final = 200
"""Events in one go before others may run: a market at many times its pace must not starve the sockets."""


class Exchange:
    """The exchange, as an async context manager.

    Args:
        settings: how it behaves.
        ssl_context: serve TLS.
    """

    def __init__(self, settings: Settings | None = None, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.settings = settings or Settings()
        self.rules = rules_of(self.settings.dialect)
        self.ledger = Ledger()
        self.faults = Faults(self._first_open, self._on_fault, self._on_lift)
        self._rng = Random(self.settings.seed)
        self.market = Market(
            Random(self.settings.seed),
            time.time(),
            depth_on_whole_seconds=self.rules.depth_on_whole_seconds,
            quiet_pairs=self.settings.quiet_pairs,
        )
        self._rest = Rest(self.settings, self.rules, self.faults, self.ledger)
        self._house = House(self.settings, self.rules, self.faults, self._rng)
        self._ssl_context = ssl_context
        self._sessions: dict[int, Session] = {}
        self._attempts = 0
        self._stalled: dict[int, asyncio.Event] = {}
        self._runner: web.AppRunner | None = None
        self._market_task: asyncio.Task[None] | None = None
        self._port = self.settings.port

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([*(web.get(path, self._connect) for path in _PATHS), *routes(self), *self._rest.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.settings.host, self._port, ssl_context=self._ssl_context).start()
        self._port = self._runner.addresses[0][1]
        if self.settings.market:
            self._market_task = asyncio.create_task(self._run_market())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.clear()
        if self._market_task is not None:
            self._market_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._market_task
        await self._close_all()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'wss' if self._ssl_context else 'ws'}://{self.settings.host}:{self._port}{_PATHS[0]}"

    @property
    def http_url(self) -> str:
        """What the control's paths are appended to."""
        return f"{'https' if self._ssl_context else 'http'}://{self.settings.host}:{self._port}"

    @property
    def rest_url(self) -> str:
        """What REST paths such as `/ticker` are appended to."""
        return f"{self.http_url}{ROOT}"

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The open sessions, oldest first."""
        return tuple(session for session in self._sessions.values() if session.is_open)

    def publish(self, event: MarketEvent) -> None:
        """Let the market say something, unless it pauses; the event's time is unix seconds."""
        if any(isinstance(active.fault, Pause) for active in self.faults):
            return
        self._rest.published.note(event)
        for session in self.sessions:
            session.deliver(event)

    def send(self, payload: Payload, *, session: int | None = None, repeat: int = 1) -> int:
        """Write something, known to the dialect or not, to all sessions or one; returns how many times it was sent."""
        return sum(target.send(payload) for target in self._targets(session) for _ in range(repeat))

    async def burst(self, count: int, mix: Mapping[str, float] | None = None, *, session: int | None = None) -> int:
        """Write `count` frames to all sessions, or one, as fast as they take them.

        Args:
            count: frames to each session.
            mix: weights by topic; None shares them evenly over the session's topics that deliver.
            session: the number of the only session meant.

        Returns:
            How many frames were written in all; exact counts by topic are in the ledger.

        Raises:
            ValueError: a session does not hold a topic of the mix, or holds none that delivers.
        """
        planned = [(target, self._mix(target, mix)) for target in self._targets(session)]
        quotes, now = self.market.quotes, time.time()
        written = [burst(target, quotes, self._rng, count, weights, now) for target, weights in planned]
        return sum(await asyncio.gather(*written))

    def _targets(self, number: int | None) -> list[Session]:
        return [session for session in self.sessions if number in (None, session.number)]

    def _mix(self, session: Session, mix: Mapping[str, float] | None) -> Mapping[str, float]:
        weights = mix or {topic: 1.0 for topic in session.topics if self.rules.delivers(topic)}
        strangers = [topic for topic in weights if topic not in session.topics]
        if strangers or not weights:
            raise ValueError(f"session {session.number} holds no topic {', '.join(strangers) or 'that delivers'}")
        return weights

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        self._attempts += 1
        number = self._attempts
        refusal = self.faults.find(RefuseUpgrades, number)
        if refusal is not None:
            self.ledger.attempt(number, refusal.status)
            return _refuse(refusal)
        if self.faults.find(StallUpgrades, number) is not None:
            self.ledger.attempt(number, 0)
            return await self._stall(number, request)
        return await self._serve(number, request)

    async def _serve(self, number: int, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            compress=False, autoping=False, autoclose=False, max_msg_size=MEBIBYTE, timeout=_STOP_SECONDS
        )
        writer = await socket.prepare(request)
        self.ledger.attempt(number, HTTPStatus.SWITCHING_PROTOCOLS)
        transport = request.transport
        if transport is None:
            return socket
        client_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        entry = ConnectionEntry(number, client_id, self.settings.dialect, request.path)
        self.ledger.open(entry)
        link = Link(
            transport,
            entry,
            max_buffer_bytes=self.settings.max_write_buffer_bytes,
            close_timeout_seconds=self.settings.close_timeout_seconds,
        )
        session = self._sessions[number] = Session(self._house, number, link, writer.drain)
        try:
            await session.run(socket)
        finally:
            del self._sessions[number]
        return socket

    async def _stall(self, number: int, request: web.Request) -> web.StreamResponse:
        lifted = self._stalled[number] = asyncio.Event()
        try:
            await lifted.wait()
        finally:
            del self._stalled[number]
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)

    def _first_open(self) -> int:
        return min((session.number for session in self.sessions), default=self._attempts + 1)

    def _on_fault(self, active: Active) -> None:
        for session in self.sessions:
            if active.selects(session.number):
                _befall(session, active)

    def _on_lift(self, active: Active) -> None:
        match active.fault:
            case HalfOpen():
                for session in self._sessions.values():
                    if session.link.is_held and self.faults.find(HalfOpen, session.number) is None:
                        session.link.release()
            case StallUpgrades():
                for number, lifted in self._stalled.items():
                    if self.faults.find(StallUpgrades, number) is None:
                        lifted.set()

    async def _close_all(self) -> None:
        remaining = list(self._sessions.values())
        for session in remaining:
            session.link.close(_GOING_AWAY, "Going away")
        waits = [asyncio.create_task(session.finished.wait()) for session in remaining]
        if waits:
            _, late = await asyncio.wait(waits, timeout=_STOP_SECONDS)
            for wait in late:
                wait.cancel()
        for session in remaining:
            if not session.finished.is_set():
                session.link.abort("shutdown")

    async def _run_market(self) -> None:
        """Play the market at `rate` times its pace, from now; its own times are mapped to ours."""
        origin, started, rate = time.time(), time.monotonic(), self.settings.rate
        while True:
            passed = time.monotonic() - started
            for position, (_, event) in enumerate(self.market.until(origin + passed * rate)):
                event.time = origin + (event.time - origin) / rate
                self.publish(event)
                if position % _MARKET_BATCH == _MARKET_BATCH - 1:
                    await asyncio.sleep(0)
            due = started + (self.market.next_at - origin) / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _befall(session: Session, active: Active) -> None:
    """Do to an open session what a fault does at the moment it is added."""
    match active.fault:
        case HalfOpen():
            session.link.hold()
        case Close(code=code, reason=reason):
            session.link.close(code, reason)
        case Abort():
            session.link.abort("reset")
        case Garbage(frames=frames):
            for payload in frames:
                session.send(payload)


def _refuse(refusal: RefuseUpgrades) -> web.Response:
    response = web.Response(status=refusal.status)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(round(refusal.retry_after))
    return response
