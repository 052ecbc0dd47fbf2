"""The faults that are on, and whom they hit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from alpmon.exchange.faults import Fault, TopicFault

_SPREAD: Final = 0.6180339887498949
"""The golden ratio spreads consecutive numbers evenly over 0..1, so a fraction of few connections is near its size."""
F = TypeVar("F", bound=Fault)


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
