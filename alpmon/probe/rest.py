"""One REST request, bounded in time and size; every way it can fail becomes one error of ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from alpmon.probe.closing import printable
from alpmon.probe.failures import retry_after_seconds
from alpmon.probe.resolver import HttpResolver

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS: Final = 10.0
MAX_BODY_BYTES: Final = 4 << 20
_CHUNK_BYTES: Final = 1 << 16
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS_FROM: Final = 500


class RestError(Exception):
    """No answer to be had; says why in one line.

    Attributes:
        status: the HTTP status, None where none came.
        retry_after_seconds: how long the server asks us to stay away; not bounded.
    """

    def __init__(self, why: str, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_trouble(self) -> bool:
        """Whether the server is in trouble, or has enough of us: no time to ask anything else either."""
        return self.status is None or self.status == _TOO_MANY_REQUESTS or self.status >= _SERVER_ERRORS_FROM


def client() -> aiohttp.ClientSession:
    """A session for `fetch`: system CAs, the environment's proxies, no cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=HttpResolver()),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def fetch(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The body of a good answer. Redirects are not followed: what is sent may be a secret.

    Raises:
        RestError: any other answer, or none.
    """
    _refuse_socks(url)
    try:
        async with http.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            if not _is_good(response.status):
                raise _refused(response)
            return await _read(response)
    except TimeoutError:
        raise RestError(f"no answer within {TIMEOUT_SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise RestError(printable(str(error) or type(error).__name__)) from None


def _refuse_socks(url: str) -> None:
    """The library would take any proxy that the environment names for one that speaks HTTP."""
    parts = urlsplit(url)
    named = getproxies().get(parts.scheme, "")
    if named.lower().startswith("socks") and not proxy_bypass(parts.hostname or ""):
        raise RestError(
            "REST cannot go through the SOCKS proxy that the environment names: except the host in no_proxy"
        )


def _is_good(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110, 15.3


def _refused(response: aiohttp.ClientResponse) -> RestError:
    seconds = retry_after_seconds(response.status, response.headers.get("Retry-After"), time.time())
    return RestError(printable(f"HTTP {response.status} {response.reason or ''}".rstrip()), response.status, seconds)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RestError(f"an answer longer than {MAX_BODY_BYTES} bytes", response.status)
    return bytes(body)
