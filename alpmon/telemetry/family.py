"""What one metric family is, and the two forms that most have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from alpmon.telemetry.readers import Reader, Row, Seen

S = TypeVar("S")


class Kind(StrEnum):
    """A family's type, in OpenMetrics' words; the older text format calls an info and a stateset a gauge."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    STATESET = "stateset"


_SUFFIXES: Final = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
_UNITS: Final = ("seconds", "bytes")


@dataclass(slots=True, frozen=True)
class Family(Generic[S]):
    """One metric family.

    Attributes:
        name: As users write it in a query, suffix included (a histogram without `_bucket`).
        kind: Its type.
        labels: All label names, in the order in which `read` gives their values after the scope's own.
        help: One sentence for people who read dashboards.
        read: One row a child: the values of the labels beyond the scope's own, and the figure.
        exemplars: Whether its buckets name the session of their latest observation.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    read: Callable[[S], Iterable[Row]]
    exemplars: bool = False

    @property
    def stem(self) -> str:
        """The name without its type's suffix: what OpenMetrics calls the family."""
        return self.name.removesuffix(_SUFFIXES.get(self.kind, ""))

    @property
    def unit(self) -> str:
        """The unit that the name says, if it says one."""
        return next((unit for unit in _UNITS if self.stem.endswith(f"_{unit}")), "")


def of_connection(
    kind: Kind, name: str, text: str, read: Reader, labels: tuple[str, ...] = (), *, exemplars: bool = False
) -> Family[Seen]:
    """A family of connections: its rows are labelled by target and connection, then by `labels`."""
    return Family(name, kind, ("target", "connection", *labels), text, read, exemplars)


def of_topic(kind: Kind, name: str, text: str, read: Reader, labels: tuple[str, ...] = ()) -> Family[Seen]:
    """A family of topics, each on its connection."""
    return of_connection(kind, name, text, read, ("topic", *labels))
