"""Asking a running monitor whether it lives, as a container's health check does: no shell, no curl, and cheap to start.

Only the standard library, because it runs every few seconds for as long as the container does.
"""

from __future__ import annotations

import http.client
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

_PATH: Final = "/-/healthy"
_GUARDED: Final = (401, 403, 429)
_GUARDED_ANSWER: Final = "guarded, and answering"


class UnhealthyError(Exception):
    """The monitor did not answer, or said that it is not well."""


def ask(url: str, timeout_seconds: float) -> str:
    """GET a URL of the monitor; one line that says what it answered.

    A monitor whose `web_config_file` asks for a password or a client's certificate, or limits how often it may be
    asked, has answered when it refuses us: its event loop turns, which is all that the question is about. For the same
    reason its own certificate, made for other names than the loopback's, is not verified; nothing is sent that anybody
    could want.

    Raises:
        UnhealthyError: no answer in time, or an answer that says no.
    """
    parts = urlsplit(url)
    connection = _connection(parts, timeout_seconds)
    try:
        connection.connect()
        status, text = _get(connection, parts.path or _PATH)
    except (OSError, http.client.HTTPException) as error:
        raise UnhealthyError(f"{url}: {error}") from error
    finally:
        connection.close()
    if status in _GUARDED:
        return _GUARDED_ANSWER
    if status != http.client.OK:
        raise UnhealthyError(f"{url}: {status} {text}")
    return text


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    """Status and text; who shut the door once TLS stood missed our certificate, which TLS 1.3 asks for that late."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
    except (ConnectionError, ssl.SSLError):
        if isinstance(connection, http.client.HTTPSConnection):
            return http.client.UNAUTHORIZED, ""
        raise
    return response.status, response.read(200).decode(errors="replace").strip()


def _connection(parts: SplitResult, timeout_seconds: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_seconds)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout_seconds, context=context)
