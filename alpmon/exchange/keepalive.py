"""The server's pings, in the style of the dialect."""

from __future__ import annotations

import time
from typing import Final

from alpmon.core.protocol import PING
from alpmon.exchange.active import Faults
from alpmon.exchange.dialects import PingStyle, Rules
from alpmon.exchange.faults import DelayPings, DropPings
from alpmon.exchange.ledger import PingEntry
from alpmon.exchange.link import Link
from alpmon.exchange.settings import Settings
from alpmon.exchange.wire import Opcode

_PAYLOAD_SIZE: Final = 4


class Pinger:
    """Pings one client from the welcome on."""

    def __init__(self, link: Link, number: int, settings: Settings, rules: Rules, faults: Faults) -> None:
        self._link = link
        self._number = number
        self._interval = settings.ping_interval_seconds
        self._timeout = settings.ping_timeout_seconds
        self._rules = rules
        self._faults = faults
        self._next_text_at = 0.0

    def start(self) -> None:
        """Begin with the first interval."""
        if self._rules.ping_style is PingStyle.TEXT:
            self._next_text_at = time.monotonic()
            self._plan_text()
        else:
            self._link.later(self._interval, self._when_idle)

    def text_pong(self) -> None:
        """The client sent `2`; it answers the oldest ping that waits."""
        self._link.entry.text_pongs += 1
        self._answer(next((ping for ping in self._pings if ping.answered_at is None), None))

    def protocol_pong(self, payload: bytes) -> None:
        """The client sent a WebSocket pong; its payload names the ping."""
        self._link.entry.protocol_pongs += 1
        serial = int.from_bytes(payload, "big") if len(payload) == _PAYLOAD_SIZE else len(self._pings)
        self._answer(self._pings[serial] if serial < len(self._pings) else None)

    @property
    def _pings(self) -> list[PingEntry]:
        return self._link.entry.pings

    def _plan_text(self) -> None:
        self._next_text_at += self._interval
        self._link.later(self._next_text_at - time.monotonic(), self._text_due)

    def _text_due(self) -> None:
        self._plan_text()
        if self._faults.find(DropPings, self._number):
            return
        late = self._faults.find(DelayPings, self._number)
        if late:
            self._link.later(late.by, self._send_text)
        else:
            self._send_text()

    def _send_text(self) -> None:
        ping = self._entry("text")
        if self._link.text("ping", PING):
            self._pings.append(ping)
            self._link.later(self._timeout, self._pong_due, ping)

    def _pong_due(self, ping: PingEntry) -> None:
        code = self._rules.late_pong_close_code
        if code is not None and ping.answered_at is None:
            self._link.close(code, "Pong timeout")

    def _when_idle(self) -> None:
        late = self._faults.find(DelayPings, self._number)
        due = self._link.last_sent + self._interval + (late.by if late else 0.0)
        if time.monotonic() >= due:
            self._send_protocol()
            due = time.monotonic() + self._interval
        self._link.later(due - time.monotonic(), self._when_idle)

    def _send_protocol(self) -> None:
        if self._faults.find(DropPings, self._number):
            return
        ping = self._entry("protocol")
        if self._link.control(Opcode.PING, len(self._pings).to_bytes(_PAYLOAD_SIZE, "big")):
            self._pings.append(ping)

    def _entry(self, kind: str) -> PingEntry:
        return PingEntry(kind, time.monotonic(), time.time())

    def _answer(self, ping: PingEntry | None) -> None:
        if ping is not None and ping.answered_at is None:
            ping.answered_at = time.monotonic()
