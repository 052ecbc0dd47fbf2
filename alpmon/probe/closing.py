"""How a connection ended, told from what the library saw."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from websockets.exceptions import PayloadTooBig

from alpmon.masking import SECRETS
from alpmon.probe.words import words_of
from alpmon.telemetry.labels import Initiator

if TYPE_CHECKING:
    from websockets.protocol import Protocol

ABNORMAL_CLOSURE: Final = 1006
"""RFC 6455, 7.1.5: the code of a connection that ended without a close frame from the peer."""
_MAX_SHOWN_CHARS: Final = 123
"""RFC 6455, 5.5: a close frame has room for 123 bytes of reason."""


class CloseCause(StrEnum):
    """What ended a connection, where that was not a decision of ours."""

    CLOSE_FRAME = "close_frame"
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_ERROR = "protocol_error"
    TOO_BIG = "too_big"


@dataclass(frozen=True, slots=True)
class CloseFacts:
    """How a connection ended.

    Attributes:
        initiator: Who began it; an end without any close frame that we did not ask for is the network's.
        code: The code in the peer's close frame, 1005 for an empty one, 1006 where none came.
        sent_code: The code in our own close frame, None where we sent none; after an error it says which.
        reason_text: The peer's own words, from its close frame; printable, at most 123 characters.
        cause: None where we closed because we wanted to.
        error: What our side says of it, where something went wrong: the network's error, or the breach that made us
            close; printable and bounded as well.
    """

    initiator: Initiator
    code: int
    sent_code: int | None
    reason_text: str
    cause: CloseCause | None
    error: str = ""


def close_facts(protocol: Protocol, *, decided_to_drop: bool, network_error: BaseException | None) -> CloseFacts:
    """Tell the end of a connection that is gone.

    Args:
        protocol: The library's state, closed.
        decided_to_drop: We dropped the transport because we wanted to.
        network_error: What the transport was lost with, if anything.
    """
    received, error = protocol.close_rcvd, protocol.parser_exc
    sent_code = None if protocol.close_sent is None else int(protocol.close_sent.code)
    if received is not None:
        ours = protocol.close_rcvd_then_sent is False
        initiator, cause = (Initiator.CLIENT, None) if ours else (Initiator.SERVER, CloseCause.CLOSE_FRAME)
        return CloseFacts(initiator, int(received.code), sent_code, printable(received.reason), cause)
    if error is not None and not isinstance(error, EOFError):
        cause = CloseCause.TOO_BIG if isinstance(error, PayloadTooBig) else CloseCause.PROTOCOL_ERROR
        return CloseFacts(Initiator.CLIENT, ABNORMAL_CLOSURE, sent_code, "", cause, printable(str(error)))
    if decided_to_drop or sent_code is not None:
        return CloseFacts(Initiator.CLIENT, ABNORMAL_CLOSURE, sent_code, "", None)
    words = "" if network_error is None else printable(words_of(network_error))
    return CloseFacts(Initiator.NETWORK, ABNORMAL_CLOSURE, None, "", CloseCause.CONNECTION_LOST, words)


def printable(text: str) -> str:
    """Text from outside as it may be shown and logged, at most 123 characters of it, and no secret that it repeats."""
    text = SECRETS.text(text)
    shown = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return shown[:_MAX_SHOWN_CHARS]
