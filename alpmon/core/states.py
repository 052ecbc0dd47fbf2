"""The states of a connection and the moves between them: `TABLE`, and `fire` as the only way to move."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a connection stands; the states of `alpmon_connection_state`."""

    CONNECTING = "connecting"
    WELCOMING = "welcoming"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    BACKOFF = "backoff"
    STOPPED = "stopped"


class Move(StrEnum):
    """What takes a connection from one state to another."""

    OPEN = "open"
    WELCOME = "welcome"
    SETTLE = "settle"
    ASK = "ask"
    END = "end"
    RETRY = "retry"
    STOP = "stop"


TABLE: Final[dict[tuple[State, Move], State]] = {
    (State.CONNECTING, Move.OPEN): State.WELCOMING,
    (State.CONNECTING, Move.END): State.BACKOFF,
    (State.CONNECTING, Move.STOP): State.STOPPED,
    (State.WELCOMING, Move.WELCOME): State.SUBSCRIBING,
    (State.WELCOMING, Move.END): State.BACKOFF,
    (State.WELCOMING, Move.STOP): State.STOPPED,
    (State.SUBSCRIBING, Move.SETTLE): State.LIVE,
    (State.SUBSCRIBING, Move.END): State.BACKOFF,
    (State.SUBSCRIBING, Move.STOP): State.STOPPED,
    (State.LIVE, Move.ASK): State.SUBSCRIBING,
    (State.LIVE, Move.END): State.BACKOFF,
    (State.LIVE, Move.STOP): State.STOPPED,
    (State.BACKOFF, Move.RETRY): State.CONNECTING,
    (State.BACKOFF, Move.STOP): State.STOPPED,
}


class IllegalMoveError(Exception):
    """A move that the table does not hold: a bug of the driver's, never of the peer's."""


def fire(state: State, move: Move) -> State:
    """The state after a move.

    Raises:
        IllegalMoveError: the table has no such move from here.
    """
    try:
        return TABLE[state, move]
    except KeyError:
        raise IllegalMoveError(f"no move {move} from {state}") from None
