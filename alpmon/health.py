"""Asking a running monitor whether it lives, as a container's health check does: no shell, no curl, and cheap to start.

Only the standard library, because it runs every few seconds for as long as the container does.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

_PATH: Final = "/-/healthy"
_GUARDED: Final = (401, 403, 429)
_GUARDED_ANSWER: Final = "guarded, and answering"


class Credentials(NamedTuple):
    """The files with the name and the password of a user of the monitor's own pages."""

    username_file: Path
    password_file: Path

    def header(self) -> str:
        """The `Authorization` header.

        Raises:
            UnhealthyError: a file cannot be read.
        """
        try:
            name, password = (file.read_text().rstrip("\r\n") for file in self)
        except (OSError, UnicodeDecodeError) as error:
            raise UnhealthyError(f"credentials cannot be read: {error}") from error
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class UnhealthyError(Exception):
    """The monitor did not answer, or said that it is not well."""


def ask(url: str, timeout_seconds: float, credentials: Credentials | None = None) -> str:
    """GET a URL of the monitor; one line that says what it answered.

    A monitor whose `web_config_file` asks for a password or a client's certificate, or limits how often it may be
    asked, has answered when it refuses us: its event loop turns, which is all that the question is about. For the same
    reason its own certificate, made for other names than the loopback's, is not verified; nothing is sent that anybody
    could want. With credentials what it answers counts, and to be refused is no answer; only a monitor of one's own is
    asked so.

    Raises:
        UnhealthyError: no answer in time, or an answer that says no.
    """
    parts = urlsplit(url)
    headers = {} if credentials is None else {"Authorization": credentials.header()}
    connection = _connection(parts, timeout_seconds)
    try:
        connection.connect()
        status, text = _get(connection, _path(parts), headers)
    except (OSError, http.client.HTTPException) as error:
        raise UnhealthyError(f"{url}: {error}") from error
    finally:
        connection.close()
    if status in _GUARDED and credentials is None:
        return _GUARDED_ANSWER
    if status != http.client.OK:
        raise UnhealthyError(f"{url}: {status} {text}")
    return text


def _path(parts: SplitResult) -> str:
    """The path to ask for. `/` is as good as none: the status page is there however the monitor is."""
    return _PATH if parts.path in ("", "/") else parts.path


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and text; who shut the door once TLS stood missed our certificate, which TLS 1.3 asks for that late."""
    try:
        connection.request("GET", path, headers=headers)
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
