"""One client's connection, from the welcome to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgspec
from aiohttp import WSMessage, WSMsgType, web
from aiohttp.http_websocket import WebSocketError

from alpmon.core.events import Operation
from alpmon.exchange.active import Faults
from alpmon.exchange.dialects import Rules
from alpmon.exchange.faults import DelayAcks, DelayWelcome, DropAcks, NoWelcome, Payload, Skew
from alpmon.exchange.feed import Shaper, route
from alpmon.exchange.keepalive import Pinger
from alpmon.exchange.ledger import ConnectionEntry, ReplyEntry, RequestEntry
from alpmon.exchange.link import NO_CLOSE_FRAME, Link
from alpmon.exchange.pairs import SYMBOLS
from alpmon.exchange.requests import Accepted, Login, Refused, TextPong, Violation, judge
from alpmon.exchange.settings import Settings
from alpmon.exchange.wire import MarketEvent, Opcode, encode

_TOO_BIG: Final = 1009


@dataclass(frozen=True, slots=True)
class House:
    """What all sessions of one exchange share."""

    settings: Settings
    rules: Rules
    faults: Faults
    rng: Random


class Session:
    """One client.

    Args:
        house: what it shares with the others.
        number: of the upgrade request that opened it, from 1.
        link: its writing side.
        drain: returns once the client has taken most of what was written.
    """

    def __init__(self, house: House, number: int, link: Link, drain: Callable[[], Awaitable[None]]) -> None:
        self.number = number
        self.link = link
        self.drain = drain
        self.topics: dict[str, None] = {}
        self.finished = asyncio.Event()
        self._settings, self._rules, self._faults = house.settings, house.rules, house.faults
        self._pinger = Pinger(link, number, house.settings, house.rules, house.faults)
        self._shaper = Shaper(house.faults, number, house.rng)
        self._symbols = SYMBOLS | house.settings.silent_symbols
        self._silent = False

    @property
    def entry(self) -> ConnectionEntry:
        """What the ledger says of this session."""
        return self.link.entry

    @property
    def is_open(self) -> bool:
        """Whether neither side has ended the session."""
        return self.link.is_open

    def stamp(self, wall: float | None = None) -> float:
        """A time as this session's server clock and dialect write it; the present one if not given."""
        skew = self._faults.find(Skew, self.number)
        return self._rules.stamp((time.time() if wall is None else wall) + (skew.by if skew else 0.0))

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Serve the client until either side ends it."""
        self._begin()
        try:
            while self._take(await socket.receive()):
                pass
        finally:
            self.link.ended("network", NO_CLOSE_FRAME, "connection lost")
            self.link.dispose()
            self.finished.set()

    def deliver(self, event: MarketEvent) -> None:
        """Send what this session's subscriptions and the faults make of an event; its time is unix seconds."""
        if not self.entry.welcome:
            return
        for topic, routed in route(event, self.topics.keys(), self._rules, authenticated=self.entry.authenticated):
            for delay, shaped in self._shaper.shape(topic, routed):
                payload = encode(shaped, self.stamp(shaped.time))
                if delay:
                    self.link.later(delay, self.link.data, topic, payload)
                else:
                    self.link.data(topic, payload)

    def send(self, payload: Payload) -> bool:
        """Write something that the dialect may not know."""
        if payload.text is not None:
            return self.link.text("raw", payload.text.encode())
        if payload.binary is not None:
            return self.link.binary(payload.binary)
        return self.link.raw(payload.raw or b"")

    def _begin(self) -> None:
        late = self._faults.find(DelayWelcome, self.number)
        if self._faults.find(NoWelcome, self.number):
            self._silent = True
        elif late:
            self.link.later(late.by, self._welcome)
        else:
            self._welcome()

    def _welcome(self) -> None:
        settings = self._settings
        timing = (settings.ping_interval_seconds, settings.ping_timeout_seconds)
        advertised = (round(seconds * settings.welcome_unit.per_second) for seconds in timing)
        welcome = ("welcome", self.stamp(), *advertised, self.entry.client_id)
        if self.link.text("welcome", msgspec.json.encode(welcome)):
            self.entry.welcome = welcome
            self._pinger.start()

    def _take(self, message: WSMessage) -> bool:
        """Handle one message; False once there will be no more."""
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY if self._silent or not self.is_open:
                return True
            case WSMsgType.TEXT:
                self._on_text(message.data, len(message.data.encode()))
            case WSMsgType.BINARY:
                self._on_text("", len(message.data))
            case WSMsgType.PING:
                self.entry.client_pings += 1
                self.link.control(Opcode.PONG, bytes(message.data))
            case WSMsgType.PONG:
                self._pinger.protocol_pong(bytes(message.data))
            case _:
                self._on_end(message)
                return False
        return True

    def _on_end(self, message: WSMessage) -> None:
        if message.type is WSMsgType.CLOSE:
            self.link.answer_close(message.data, message.extra or "")
        elif isinstance(message.data, WebSocketError):
            self.link.ended("server", message.data.code, str(message.data))

    def _on_text(self, text: str, size: int) -> None:
        if self._rules.max_frame_bytes is not None and size > self._rules.max_frame_bytes:
            self.link.close(_TOO_BIG)
            return
        held, refused_tokens = self.topics.keys(), self._settings.refused_tokens
        verdict = judge(text, self._rules, held=held, pairs=self._symbols, refused_tokens=refused_tokens)
        match verdict:
            case TextPong():
                self._pinger.text_pong()
            case Violation():
                self._note(size)
                self.link.drop(verdict.reason)
            case Login():
                self._note(size, "auth")
                self.entry.authenticated = True
            case Refused():
                self._note(size, verdict.operation or "", verdict.topics)
                self._reply("error", lambda: self._error(verdict))
            case Accepted():
                self._note(size, verdict.operation, verdict.topics)
                self._subscribe(verdict)
                self._reply("ack", lambda: self._ack(verdict))

    def _note(self, size: int, operation: str = "", topics: tuple[str, ...] = ()) -> None:
        self.entry.requests.append(RequestEntry(time.monotonic(), operation, topics, size))

    def _subscribe(self, accepted: Accepted) -> None:
        for topic in accepted.topics:
            if accepted.operation is Operation.SUBSCRIBE:
                self.topics[topic] = None
            else:
                self.topics.pop(topic, None)

    def _ack(self, accepted: Accepted) -> tuple[list[Any], ReplyEntry]:
        frame = [accepted.operation, self.stamp(), *accepted.topics]
        return frame, ReplyEntry(time.monotonic(), accepted.operation, accepted.topics)

    def _error(self, refused: Refused) -> tuple[list[Any], ReplyEntry]:
        tail = [] if refused.operation is None else [refused.operation]
        frame = ["error", self.stamp(), refused.message, *tail]
        return frame, ReplyEntry(time.monotonic(), refused.operation, refused.topics, refused.message)

    def _reply(self, kind: str, make: Callable[[], tuple[list[Any], ReplyEntry]]) -> None:
        def send() -> None:
            frame, entry = make()
            if self.link.text(kind, msgspec.json.encode(frame)):
                self.entry.replies.append(entry)

        if self._faults.find(DropAcks, self.number):
            return
        late = self._faults.find(DelayAcks, self.number)
        if late:
            self.link.later(late.by, send)
        else:
            send()
