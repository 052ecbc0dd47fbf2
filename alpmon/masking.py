"""What must never be shown, and how to leave it out of a text."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote

MASK: Final = "***"

_SHORTEST_SECRET: Final = 4
"""Masking every text of three characters would hide the log and no secret."""
_MOST_SECRETS: Final = 64
"""Tokens are renewed for ever; the ones that may still be in use are the latest."""
_SECRET_KEY = re.compile(r"(^|_)(token|secret|password|passwd|authorization|api_?key|jwt|cookie|sign|signature)$")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*")
_USERINFO = re.compile(r"://(?P<user>[^\s/?#:@]*)(?P<password>:[^\s/?#]*)?@")
_QUERY = re.compile(
    r"(?P<key>[?&][^\s=&#?]{0,40}?(?:token|secret|pass|auth|key|sig|jwt)[^\s=&#?]{0,40}=)[^\s&#]*", re.IGNORECASE
)


def is_secret_key(key: str) -> bool:
    """Whether a value of this name is a secret itself; `token_file` is not, it only says where one lies."""
    return _SECRET_KEY.search(key.lower().replace("-", "_")) is not None


def mask_urls(text: str) -> str:
    """The same text with the passwords of the URLs in it left out: user information and telling query values."""
    return _QUERY.sub(rf"\g<key>{MASK}", _USERINFO.sub(_masked_userinfo, text))


def _masked_userinfo(match: re.Match[str]) -> str:
    """A name alone may be a token; beside a password it is a name."""
    return f"://{MASK}@" if match["password"] is None else f"://{match['user']}:{MASK}@"


class Masker:
    """Knows the secrets in use and takes them out of texts, however they are escaped there."""

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Never show this text again; anything shorter than four characters is no secret."""
        secret = secret.strip()
        if len(secret) < _SHORTEST_SECRET:
            return
        known = secret in self._secrets
        self._secrets.pop(secret, None)
        self._secrets[secret] = None
        if known:
            return  # in use still, and so among the last to be forgotten
        while len(self._secrets) > _MOST_SECRETS:
            del self._secrets[next(iter(self._secrets))]
        forms = {form for known in self._secrets for form in _forms(known)}
        self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))

    def text(self, text: str) -> str:
        """The same text without known secrets, tokens and URL passwords."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return mask_urls(_JWT.sub(MASK, text))


def _forms(secret: str) -> set[str]:
    """A secret as itself, in JSON, in a Python repr and in a URL."""
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
