"""Where the token for the private channels comes from. Nothing here ever says what is secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from alpmon.core.backoff import Backoff
from alpmon.logs import mask
from alpmon.probe.rest import RestError, client, fetch

if TYPE_CHECKING:
    from random import Random

    from alpmon.config import Auth

RENEW_AHEAD_SECONDS: Final = 60.0
RENEW_AHEAD_SHARE: Final = 0.2
"""A token is renewed a minute before its end, or a fifth of its life before it where that is less."""
_RETRY_INITIAL_SECONDS: Final = 1.0
_RETRY_MAX_SECONDS: Final = 60.0
_RETRY_FACTOR: Final = 2.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*")
"""RFC 6750, 2.1, and no longer than a header may be."""


class AuthError(Exception):
    """No token can be had now; says why, never what."""


class TokenSource(Protocol):
    """Gives a token that is good now; cheap enough to be asked once a second whether there is a new one."""

    async def get(self) -> str:
        """The token.

        Raises:
            AuthError: there is none.
        """
        ...


class TokenFile:
    """A token that somebody else renews: the file is read anew whenever it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def get(self) -> str:
        """The file's text without the white space around it."""
        return _read_secret("token", self._path)


class Credentials(NamedTuple):
    """What is traded for a token."""

    key: str
    secret: str


class KeyExchange:
    """Trades key and secret for a token: `POST <rest_url>/auth`, signed; again before the token's `exp`.

    The files are read anew whenever a token is asked for; other credentials get another token. A token is kept until
    its end where it cannot be renewed, and a server that refuses is asked again less and less often.

    Args:
        key_file: holds the API key.
        secret_file: holds the API secret.
        rest_url: the base that `/auth` is appended to.
        rng: spreads the retries.
    """

    def __init__(self, key_file: Path, secret_file: Path, rest_url: str, rng: Random) -> None:
        self._key_file = key_file
        self._secret_file = secret_file
        self._url = rest_url.rstrip("/") + "/auth"
        self._backoff = Backoff(_RETRY_INITIAL_SECONDS, _RETRY_MAX_SECONDS, _RETRY_FACTOR, rng)
        self._credentials = Credentials("", "")
        self._forget()

    async def get(self) -> str:
        """The token in hand while it is fresh, else a new one."""
        credentials = Credentials(_read_secret("key", self._key_file), _read_secret("secret", self._secret_file))
        if credentials != self._credentials:
            self._credentials = credentials
            self._forget()
        now = time.monotonic()
        if now >= self._renew_at and now >= self._retry_at:
            await self._renew(credentials)
        if self._token and time.monotonic() < self._ends_at:
            return self._token
        raise AuthError(self._failure)

    async def _renew(self, credentials: Credentials) -> None:
        try:
            token = await _trade(credentials, self._url)
        except RestError as error:
            refused = "" if error.status is None or error.is_trouble else "key and secret were refused: "
            self._failure = f"POST {self._url}: {refused}{error}"
            self._retry_at = time.monotonic() + self._backoff.next_delay(error.retry_after_seconds)
            return
        self._backoff.reset()
        now, lifetime = time.monotonic(), lifetime_seconds(token, time.time())
        self._token = token
        self._retry_at = now + _RETRY_INITIAL_SECONDS
        self._ends_at = now + lifetime
        self._renew_at = self._ends_at - min(RENEW_AHEAD_SECONDS, RENEW_AHEAD_SHARE * lifetime)

    def _forget(self) -> None:
        self._token = ""
        self._failure = f"POST {self._url}: the token has ended"
        self._ends_at = self._renew_at = self._retry_at = 0.0
        self._backoff.reset()


async def _trade(credentials: Credentials, url: str) -> str:
    """One token.

    Raises:
        RestError: there is none to be had.
    """
    body = msgspec.json.encode({"api_key": credentials.key, "api_secret": credentials.secret})
    signature = hmac.new(credentials.secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-SIGN": signature}
    async with client() as http:
        return _token_in(await fetch(http, "POST", url, body=body, headers=headers))


def _token_in(answer: bytes) -> str:
    """The exchange's own client takes the answer as the token, bare or as JSON text; `{"token": ...}` is read too."""
    try:
        said = msgspec.json.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = answer.decode("ascii", errors="replace")
    token = said.get("token") if isinstance(said, dict) else said
    if not isinstance(token, str) or not _TOKEN.fullmatch(token.strip()):
        raise RestError("the answer holds no token")
    mask(token.strip())
    return token.strip()


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def lifetime_seconds(token: str, wall: float) -> float:
    """How long a JWT that was issued just now is good, infinite where it does not say.

    From `iat` to `exp` where it has both, as that is true whatever our clock says. The signature is the server's own
    business.
    """
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (IndexError, ValueError, RecursionError):
        return float("inf")
    if claims.exp is None:
        return float("inf")
    return max(0.0, claims.exp - (wall if claims.iat is None else claims.iat))


def _read_secret(what: str, path: Path) -> str:
    """The text of a file that holds one secret.

    Raises:
        AuthError: it holds none.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        raise AuthError(f"{what} file {path}: {why}") from None
    if not text:
        raise AuthError(f"{what} file {path} is empty")
    mask(text)
    return text


def token_source(auth: Auth, rng: Random) -> TokenSource:
    """Where the configuration says the token comes from."""
    if auth.key_file is not None and auth.secret_file is not None:
        return KeyExchange(Path(auth.key_file), Path(auth.secret_file), auth.rest_url, rng)
    if auth.token_file is None:
        raise ValueError("no credential is configured")
    return TokenFile(Path(auth.token_file))
