"""Trades a key and its secret for a JSON Web Token, as `POST /api/v3/auth` does."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


class _Credentials(msgspec.Struct):
    api_key: str
    api_secret: str


def is_authentic(body: bytes, signature: str, keys: Mapping[str, str]) -> bool:
    """Whether a request's body names a known key with its secret and is signed (hex HMAC-SHA256) under it."""
    try:
        credentials = msgspec.json.decode(body, type=_Credentials)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    secret = keys.get(credentials.api_key)
    if secret is None or not hmac.compare_digest(secret.encode(), credentials.api_secret.encode()):
        return False
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def issue(claims: Mapping[str, Any], signing_key: bytes) -> str:
    """A signed token that makes these claims."""
    signed = b".".join(_segment(msgspec.json.encode(part)) for part in (_HEADER, claims))
    signature = _segment(hmac.digest(signing_key, signed, "sha256"))
    return b".".join((signed, signature)).decode()


def _segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
