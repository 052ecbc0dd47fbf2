"""The exchange over REST: what the market last said, whatever the faults made of it on the stream.

`GET ticker`, `orderbook` and `trades` under `/api/v3`, and `POST auth`, in the shapes of the exchange's public API and
of its own client. Everything is read from the events that the market published: a frame that a fault kept from the
stream is news here. Frames that were written to a client directly (`send`, `burst`) never were the market's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from aiohttp import web

from alpmon.core.events import Book, Levels, Number, TickerRow, Tickers, Trade
from alpmon.exchange.faults import RefuseRest, Skew
from alpmon.exchange.ledger import RestEntry
from alpmon.exchange.pairs import SYMBOLS
from alpmon.exchange.tokens import is_authentic, issue
from alpmon.exchange.wire import MarketEvent

if TYPE_CHECKING:
    from alpmon.exchange.active import Faults
    from alpmon.exchange.dialects import Rules
    from alpmon.exchange.ledger import Ledger
    from alpmon.exchange.settings import Settings

ROOT: Final = "/api/v3"
_TRADES_KEPT: Final = 1000
_TRADES_SHOWN: Final = 100
_NOBODY: Final = 0
"""REST has no connection; a fault that selects connections by number means it only where it means all."""

Answer: TypeAlias = "Callable[[web.Request], Awaitable[Any]]"


class RestError(Exception):
    """The request is answered with a status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Published:
    """The last of everything that the market said."""

    def __init__(self) -> None:
        self.books: dict[str, Levels] = {}
        self.tickers: dict[str, tuple[float, TickerRow]] = {}
        self.trades: deque[Trade] = deque(maxlen=_TRADES_KEPT)

    def note(self, event: MarketEvent) -> None:
        """Remember an event; its time is unix seconds."""
        match event:
            case Book():
                self.books[event.symbol] = event.levels
            case Tickers():
                self.tickers.update((row.symbol, (event.time, row)) for row in event.rows)
            case Trade():
                self.trades.appendleft(event)


class Rest:
    """The REST side of one exchange."""

    def __init__(self, settings: Settings, rules: Rules, faults: Faults, ledger: Ledger) -> None:
        self.published = Published()
        self._settings = settings
        self._rules = rules
        self._faults = faults
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        """The routes under `ROOT`."""
        return [
            web.get(f"{ROOT}/ticker", self._answering(self._ticker)),
            web.get(f"{ROOT}/orderbook", self._answering(self._orderbook)),
            web.get(f"{ROOT}/trades", self._answering(self._trades)),
            web.post(f"{ROOT}/auth", self._answering(self._auth)),
        ]

    def _answering(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            at = time.monotonic()
            response = self._refused(request) or await self._answered(request, answer)
            path = request.path.removeprefix(f"{ROOT}/")
            entry = RestEntry(at, request.method, path, request.query.get("pair", ""), response.status)
            self._ledger.answered(entry)
            return response

        return handle

    def _refused(self, request: web.Request) -> web.Response | None:
        refusal = self._faults.find(RefuseRest, _NOBODY)
        if refusal is None or not refusal.concerns(request.path.removeprefix(f"{ROOT}/")):
            return None
        response = web.Response(status=refusal.status)
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(round(refusal.retry_after))
        return response

    async def _answered(self, request: web.Request, answer: Answer) -> web.Response:
        try:
            body, status = await answer(request), 200
        except RestError as error:
            body, status = {"error": str(error)}, error.status
        return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")

    async def _ticker(self, request: web.Request) -> Any:
        """All pairs that have a ticker, or the one asked for."""
        pair = _pair(request)
        rows = [self._row(at, row) for at, row in self.published.tickers.values() if pair in ("", row.symbol)]
        if not pair:
            return rows
        if not rows:
            raise RestError(404, "No ticker yet")
        return rows[0]

    async def _orderbook(self, request: web.Request) -> Any:
        pair = _pair(request)
        if not pair:
            raise RestError(400, "pair is required")
        levels = self.published.books.get(pair, Levels([], [], pair))
        return {"buy": _shown(levels.bids), "sell": _shown(levels.asks)}

    async def _trades(self, request: web.Request) -> Any:
        """The latest, newest first, of one pair or of all."""
        pair = _pair(request)
        found = (trade for trade in self.published.trades if pair in ("", trade.symbol))
        return [self._trade(trade) for trade in islice(found, _TRADES_SHOWN)]

    async def _auth(self, request: web.Request) -> Any:
        """A bare token, which is what the exchange's own client takes the answer for."""
        settings, now = self._settings, time.time()
        body = await request.read()
        if not is_authentic(body, request.headers.get("X-SIGN", ""), settings.api_keys):
            raise RestError(401, "Unauthorized")
        self._ledger.tokens_issued += 1
        claims = {"exp": now + settings.token_seconds, "iat": now, "jti": self._ledger.tokens_issued}
        return issue(claims, f"seed {settings.seed}".encode())

    def _row(self, at: float, row: TickerRow) -> dict[str, Any]:
        return {
            "pair": row.symbol,
            "last": row.close,
            "vol": row.base_volume,
            "buy": row.bid,
            "sell": row.ask,
            "high": row.high,
            "low": row.low,
            "diff": row.change,
            "timestamp": self._stamp(at),
        }

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "id": trade.id,
            "pair": trade.symbol,
            "amount": trade.amount,
            "price": trade.price,
            "type": trade.side,
            "timestamp": self._stamp(trade.time),
        }

    def _stamp(self, wall: float) -> float:
        skew = self._faults.find(Skew, _NOBODY)
        return self._rules.stamp(wall + (skew.by if skew else 0.0))


def _pair(request: web.Request) -> str:
    pair = request.query.get("pair", "")
    if pair and pair not in SYMBOLS:
        raise RestError(400, "Unknown pair")
    return pair


def _shown(side: list[tuple[Number, Number]]) -> list[dict[str, Number]]:
    return [{"amount": amount, "price": price} for price, amount in side]
