"""The exchange's remote control: faults, frames and the ledger over HTTP, in JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alpmon.exchange import faults
from alpmon.exchange.active import Active, Faults
from alpmon.exchange.faults import Payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from alpmon.exchange.ledger import Ledger

Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.Response]]"


class SendOrder(Payload):
    """What `POST /control/send` takes: a payload, and to whom how often."""

    session: int | None = None
    repeat: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class BurstOrder(BaseModel):
    """What `POST /control/burst` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1, le=10_000_000)]
    mix: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    session: int | None = None


class Controlled(Protocol):
    """What of an exchange is under remote control."""

    faults: Faults
    ledger: Ledger

    def send(self, payload: Payload, *, session: int | None = None, repeat: int = 1) -> int:
        """As the exchange does."""

    async def burst(self, count: int, mix: Mapping[str, float] | None = None, *, session: int | None = None) -> int:
        """As the exchange does."""


def routes(exchange: Controlled) -> list[web.RouteDef]:
    """The control's routes."""
    control = _Control(exchange)
    return [
        web.get("/control/faults", control.list_faults),
        web.post("/control/faults", _checked(control.add_fault)),
        web.delete("/control/faults", control.clear_faults),
        web.delete(r"/control/faults/{id:\d+}", control.lift_fault),
        web.get("/control/ledger", control.ledger),
        web.post("/control/send", _checked(control.send)),
        web.post("/control/burst", _checked(control.burst)),
    ]


class _Control:
    def __init__(self, exchange: Controlled) -> None:
        self._exchange = exchange

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response([_shown(active) for active in self._exchange.faults])

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = faults.parse(await request.json())
        return web.json_response({"id": self._exchange.faults.add(fault)}, status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._exchange.faults.clear()
        return web.Response(status=204)

    async def lift_fault(self, request: web.Request) -> web.Response:
        if self._exchange.faults.lift(int(request.match_info["id"])):
            return web.Response(status=204)
        return web.json_response({"error": "no fault of that id is on"}, status=404)

    async def ledger(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._exchange.ledger.json(), content_type="application/json")

    async def send(self, request: web.Request) -> web.Response:
        order = SendOrder.model_validate(await request.json())
        return web.json_response({"sent": self._exchange.send(order, session=order.session, repeat=order.repeat)})

    async def burst(self, request: web.Request) -> web.Response:
        order = BurstOrder.model_validate(await request.json())
        return web.json_response({"sent": await self._exchange.burst(order.count, order.mix, session=order.session)})


def _checked(handler: Handler) -> Handler:
    """Answer what is no JSON, or not what is asked for, with 400 and why."""

    @wraps(handler)
    async def checked(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ValidationError as error:
            return web.json_response({"error": faults.describe(error)}, status=400)
        except ValueError as error:
            return web.json_response({"error": [str(error)]}, status=400)

    return checked


def _shown(active: Active) -> dict[str, Any]:
    return {"id": active.id, **active.fault.model_dump(mode="json")}
