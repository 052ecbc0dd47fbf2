"""How the exchange fails: one model a fault.

A fault that is `instant` happens once, to the connections it selects, when it is added; the others hold until they
are lifted. Unknown fields are refused, here and in scenarios and over HTTP alike.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from alpmon.exchange.durations import Seconds, SignedSeconds

Fraction = Annotated[float, Field(ge=0, le=1)]


class Payload(BaseModel):
    """Something to write to a client: exactly one of text, binary (base64), or raw bytes (base64) without a frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = None
    binary: Base64Bytes | None = None
    raw: Base64Bytes | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Payload:
        if sum(part is not None for part in (self.text, self.binary, self.raw)) != 1:
            raise ValueError("give exactly one of text, binary and raw")
        return self


def _as_payload(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


GARBAGE: Final = tuple(
    Payload(text=text)
    for text in (
        "",
        "null",
        "{}",
        "[]",
        "[1]",
        '"subscribe"',
        "not json",
        '["t"]',
        '["t",1790139142,"x"]',
        '["tk",1790139142]',
        '["p",1790139142,{"Asks":7}]',
        '["zz",1790139142,1]',
        '["t",1790139142,1,"BTC_USDT","1","1","buy"',
        "[" * 500,
    )
)
"""Frames that no edition of the documents allows."""


class Fault(BaseModel):
    """What every fault has.

    Attributes:
        connections: all of them, the oldest one open when the fault is added, or a fraction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    instant: ClassVar[bool] = False

    fault: str
    connections: Literal["all", "first"] | Fraction = "all"


class TopicFault(Fault):
    """A fault of data frames; `topic` is a glob over topics as subscribed, `wallet order account_trade` included."""

    topic: str = "*"

    def touches(self, topic: str) -> bool:
        """Whether the fault is about this topic."""
        return fnmatchcase(topic, self.topic)


class Mute(TopicFault):
    """The topic's frames are never sent."""

    fault: Literal["mute"] = "mute"


class Freeze(TopicFault):
    """No data at all; pings and acknowledgements go on."""

    fault: Literal["freeze"] = "freeze"
    topic: Literal["*"] = "*"


class Thin(TopicFault):
    """Only `keep` of the frames are sent, by chance."""

    fault: Literal["thin"] = "thin"
    keep: Fraction


class Duplicate(TopicFault):
    """Each frame is sent twice."""

    fault: Literal["duplicate"] = "duplicate"


class Reorder(TopicFault):
    """Each second frame of a topic overtakes the one before it."""

    fault: Literal["reorder"] = "reorder"


class CrossBook(TopicFault):
    """The sides of each book trade places, so that the best bid is above the best ask."""

    fault: Literal["cross_book"] = "cross_book"
    topic: str = "market_depth.*"


class DelayData(TopicFault):
    """Data frames leave late, their stamps as if they had not."""

    fault: Literal["delay_data"] = "delay_data"
    by: Seconds


class HalfOpen(Fault):
    """The sessions open now are neither read nor written, nor closed, until the fault is lifted."""

    fault: Literal["half_open"] = "half_open"


class DelayAcks(Fault):
    """Acknowledgements and errors leave late."""

    fault: Literal["delay_acks"] = "delay_acks"
    by: Seconds


class DropAcks(Fault):
    """Requests take effect and are never answered."""

    fault: Literal["drop_acks"] = "drop_acks"


class DelayPings(Fault):
    """Pings leave late, each by as much."""

    fault: Literal["delay_pings"] = "delay_pings"
    by: Seconds


class DropPings(Fault):
    """No ping is sent."""

    fault: Literal["drop_pings"] = "drop_pings"


class Close(Fault):
    """The server closes with a code."""

    instant: ClassVar[bool] = True
    fault: Literal["close"] = "close"
    code: Annotated[int, Field(ge=1000, le=4999)] = 1012
    reason: Annotated[str, Field(max_length=60)] = ""


class Abort(Fault):
    """The server resets the TCP connection."""

    instant: ClassVar[bool] = True
    fault: Literal["abort"] = "abort"


class Garbage(Fault):
    """Frames that nobody can read."""

    instant: ClassVar[bool] = True
    fault: Literal["garbage"] = "garbage"
    frames: tuple[Annotated[Payload, BeforeValidator(_as_payload)], ...] = GARBAGE


class RefuseUpgrades(Fault):
    """Upgrades are answered with a status; `retry_after` goes into the header of that name, in whole seconds."""

    fault: Literal["refuse_upgrades"] = "refuse_upgrades"
    status: Annotated[int, Field(ge=200, le=599)] = 503
    retry_after: Seconds | None = None


class StallUpgrades(Fault):
    """TCP is accepted and the upgrade never answered."""

    fault: Literal["stall_upgrades"] = "stall_upgrades"


class NoWelcome(Fault):
    """The upgrade succeeds and nothing is said after it."""

    fault: Literal["no_welcome"] = "no_welcome"


class DelayWelcome(Fault):
    """The welcome comes late."""

    fault: Literal["delay_welcome"] = "delay_welcome"
    by: Seconds


class Pause(Fault):
    """The market itself says nothing, on the stream or over REST, to anybody."""

    fault: Literal["pause"] = "pause"
    connections: Literal["all"] = "all"


class RefuseRest(Fault):
    """REST requests are answered with a status; `endpoint` is a glob over ticker, orderbook, trades and auth."""

    fault: Literal["refuse_rest"] = "refuse_rest"
    connections: Literal["all"] = "all"
    endpoint: str = "*"
    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Seconds | None = None

    def concerns(self, endpoint: str) -> bool:
        """Whether the fault is about this endpoint."""
        return fnmatchcase(endpoint, self.endpoint)


class Skew(Fault):
    """The server's clock is ahead, or behind where negative."""

    fault: Literal["skew"] = "skew"
    by: SignedSeconds


AnyFault: TypeAlias = Annotated[
    Mute
    | Freeze
    | Thin
    | Duplicate
    | Reorder
    | CrossBook
    | DelayData
    | HalfOpen
    | DelayAcks
    | DropAcks
    | DelayPings
    | DropPings
    | Close
    | Abort
    | Garbage
    | RefuseUpgrades
    | StallUpgrades
    | NoWelcome
    | DelayWelcome
    | Pause
    | RefuseRest
    | Skew,
    Field(discriminator="fault"),
]
_any_fault: Final[TypeAdapter[Fault]] = TypeAdapter(AnyFault)


def parse(value: Any) -> Fault:
    """A fault from its fields, `fault` naming it.

    Raises:
        pydantic.ValidationError: it is none; says which field and why.
    """
    return _any_fault.validate_python(value)


def describe(error: ValidationError) -> list[str]:
    """Each mistake of a pydantic error on a line of its own: where, if it has a place, and what."""
    return [": ".join(filter(None, (_place(mistake["loc"]), mistake["msg"]))) for mistake in error.errors()]


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))
