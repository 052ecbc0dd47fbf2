"""How the exchange fails: one model a fault, and the set of those that are on.

A fault that is `instant` happens once, to the connections it selects, when it is added; the others hold until they
are lifted. Unknown fields are refused, here and in scenarios and over HTTP alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from pydantic import Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from alpmon.exchange.durations import Seconds, SignedSeconds

Fraction = Annotated[float, Field(ge=0, le=1)]
_SPREAD: Final = 0.6180339887498949
"""The golden ratio spreads consecutive numbers evenly over 0..1, so a fraction of few connections is near its size."""


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
    | Skew,
    Field(discriminator="fault"),
]
_any_fault: Final[TypeAdapter[Fault]] = TypeAdapter(AnyFault)
F = TypeVar("F", bound=Fault)


def parse(value: Any) -> Fault:
    """A fault from its fields, `fault` naming it.

    Raises:
        pydantic.ValidationError: it is none; says which field and why.
    """
    return _any_fault.validate_python(value)


@dataclass(frozen=True, slots=True)
class Active:
    """A fault that is on; `first` is the connection that `connections: first` means."""

    id: int
    fault: Fault
    first: int

    def selects(self, number: int) -> bool:
        """Whether the connection with this number is among those meant."""
        which = self.fault.connections
        if which == "all":
            return True
        if which == "first":
            return number == self.first
        return (number * _SPREAD) % 1 < which


class Faults:
    """The faults that are on.

    Args:
        first_open: the number of the oldest open connection.
        added: told of each fault as it is added, instant ones included.
        lifted: told of each fault as it is lifted.
    """

    def __init__(
        self, first_open: Callable[[], int], added: Callable[[Active], None], lifted: Callable[[Active], None]
    ) -> None:
        self._first_open = first_open
        self._added = added
        self._lifted = lifted
        self._serial = 0
        self._active: dict[int, Active] = {}

    def __bool__(self) -> bool:
        return bool(self._active)

    def __iter__(self) -> Iterator[Active]:
        return iter(tuple(self._active.values()))

    def add(self, fault: Fault) -> int:
        """Switch a fault on, or let an instant one happen; returns the id by which to lift it."""
        self._serial += 1
        active = Active(self._serial, fault, self._first_open())
        if not fault.instant:
            self._active[active.id] = active
        self._added(active)
        return active.id

    def lift(self, fault_id: int) -> bool:
        """Switch a fault off; False if none of that id is on."""
        active = self._active.pop(fault_id, None)
        if active is not None:
            self._lifted(active)
        return active is not None

    def clear(self) -> None:
        """Switch all faults off."""
        for active in self:
            self.lift(active.id)

    def find(self, kind: type[F], number: int, topic: str | None = None) -> F | None:
        """The first active fault of a kind that selects a connection and, if given, touches a topic."""
        for active in self._active.values():
            fault = active.fault
            if isinstance(fault, kind) and active.selects(number) and _touches(fault, topic):
                return fault
        return None


def _touches(fault: Fault, topic: str | None) -> bool:
    return topic is None or not isinstance(fault, TopicFault) or fault.touches(topic)
