"""The seam where the exceptions of the network, of TLS and of the library become ours.

What is not translated here is a bug, and is raised as it is.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.exceptions import InvalidProxyStatus, InvalidStatus, WebSocketException

from alpmon.probe.closing import printable
from alpmon.probe.words import words_of
from alpmon.telemetry.labels import FailureReason, Phase

if TYPE_CHECKING:
    from websockets.http11 import Response

_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
)
_SOCKS_REPLIES: Final[dict[int | None, FailureReason]] = {
    3: FailureReason.UNREACHABLE,
    4: FailureReason.UNREACHABLE,
    5: FailureReason.REFUSED,
    6: FailureReason.UNREACHABLE,
}
"""What a SOCKS5 proxy says of the exchange itself: RFC 1928, section 6."""
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_ASKS_FOR_PATIENCE: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_MAX_RETRY_AFTER_DIGITS: Final = 12


class ConnectFailed(Exception):  # noqa: N818 - an attempt that failed is the network's business, no error of ours
    """An attempt that ended before the upgrade was done.

    Attributes:
        reason: Whose fault.
        phase: The step that failed.
        detail: For people; bounded, printable, without secrets.
        status: The HTTP status of a refused upgrade.
        retry_after_seconds: How long the server, not a proxy, asks us to stay away; not bounded.
    """

    def __init__(
        self,
        reason: FailureReason,
        phase: Phase,
        detail: str,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{phase}: {detail}")
        self.reason = reason
        self.phase = phase
        self.detail = detail
        self.status = status
        self.retry_after_seconds = retry_after_seconds


def translated(exc: Exception, phase: Phase) -> ConnectFailed | None:
    """A foreign exception as ours; None for a bug."""
    if isinstance(exc, InvalidStatus):
        asked = exc.response.headers.get_all("Retry-After")
        patience = retry_after_seconds(exc.response.status_code, asked[0] if asked else None, time.time())
        return _refused_upgrade(exc.response, phase, "", patience)
    if isinstance(exc, InvalidProxyStatus):  # Its patience is its own business: others may get through.
        return _refused_upgrade(exc.response, phase, "the proxy: ")
    if isinstance(exc, TimeoutError):
        return ConnectFailed(FailureReason.TIMEOUT, phase, "no answer in time")
    if isinstance(exc, WebSocketException):
        reply = getattr(exc.__cause__, "error_code", None)
        return ConnectFailed(_SOCKS_REPLIES.get(reply, FailureReason.HANDSHAKE), phase, printable(_with_cause(exc)))
    if isinstance(exc, socket.gaierror) or (isinstance(exc, UnicodeError) and phase is Phase.RESOLVE):
        return ConnectFailed(FailureReason.DNS, phase, printable(getattr(exc, "strerror", None) or str(exc)))
    if isinstance(exc, OSError):
        return ConnectFailed(_reason(exc, phase), phase, printable(_words(exc)))
    return None


def _refused_upgrade(response: Response, phase: Phase, who: str, patience: float | None = None) -> ConnectFailed:
    detail = printable(f"{who}HTTP {response.status_code} {response.reason_phrase}".rstrip())
    return ConnectFailed(FailureReason.HTTP_STATUS, phase, detail, response.status_code, patience)


def _reason(exc: OSError, phase: Phase) -> FailureReason:
    if phase is Phase.TLS or isinstance(exc, ssl.SSLError):
        return FailureReason.TLS
    if phase is Phase.UPGRADE:
        return FailureReason.HANDSHAKE
    seen = _errnos(exc)
    if errno.ECONNREFUSED in seen:
        return FailureReason.REFUSED
    if errno.ETIMEDOUT in seen:
        return FailureReason.TIMEOUT
    return FailureReason.UNREACHABLE if seen & _UNREACHABLE else FailureReason.OTHER


def _errnos(exc: OSError) -> set[int]:
    """The error numbers of an attempt; several addresses that failed differently are told in one text only."""
    return {exc.errno} if exc.errno is not None else {int(number) for number in _ERRNO.findall(str(exc))}


def _words(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"certificate refused: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed: {exc.reason or exc}"
    return words_of(exc)


def _with_cause(exc: Exception) -> str:
    """The library's words, and what lay behind them, which its own text leaves out."""
    return f"{exc}: {words_of(exc.__cause__)}" if exc.__cause__ is not None else str(exc)


def retry_after_seconds(status: int, value: str | None, wall: float) -> float | None:
    """What a `Retry-After` header asks for, from seconds or an HTTP date; None where it says neither.

    Only a server that has enough of us, or that is closed for now, is taken at its word: 429 (RFC 6585) and 503.
    """
    if status not in _ASKS_FOR_PATIENCE or value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:_MAX_RETRY_AFTER_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - wall)
    except (ValueError, OverflowError):
        return None
