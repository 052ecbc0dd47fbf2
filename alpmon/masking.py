"""What must never be shown, and how to leave it out of a text."""

from __future__ import annotations

import json
import re
from os.path import commonprefix
from typing import Final
from urllib.parse import quote

MASK: Final = "***"

_SHORTEST_SECRET: Final = 4
"""Masking every text of three characters would hide the log and no secret."""
_SHORTEST_LEFT: Final = 8
"""What was cut off of a secret tells something from here on, and fewer characters are those of many texts."""
_CUT_BEFORE: Final = "\"'\\…"
"""Where a quotation within a text ends."""
_MOST_SECRETS: Final = 64
"""Tokens are renewed for ever; the ones that may still be in use are the latest."""
_SECRET_KEY = re.compile(r"(^|_)(token|secret|password|passwd|authorization|api_?key|jwt|cookie|sign|signature)$")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*")
_USERINFO = re.compile(r"://(?P<user>[^\s/?#:@]*)(?P<password>:[^\s/?#]*)?@")
_ESCAPED_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)+"', re.DOTALL)
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
        self._forms: list[str] = []
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
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms)))

    def text(self, text: str) -> str:
        """The same text without known secrets, tokens and URL passwords."""
        return mask_urls(self._without(text))

    def frame(self, frame: bytes) -> bytes:
        """The same frame without known secrets and tokens, however its JSON escapes them; JSON still, if it was.

        URLs stay as they are: what is left out of them ends where the URL does, which in JSON may be anywhere.
        """
        text = frame.decode(errors="surrogateescape")
        return self._without(_ESCAPED_STRING.sub(self._string, text)).encode(errors="surrogateescape")

    def _without(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
            for form in self._forms:
                text = _without_cut(text, form)
        return _JWT.sub(MASK, text)

    def _string(self, found: re.Match[str]) -> str:
        """A JSON string that holds escapes."""
        try:
            says = json.loads(found[0], strict=False)
        except ValueError:
            return found[0]
        masked = self._without(says)
        return found[0] if masked == says else json.dumps(masked)


SECRETS: Final = Masker()
"""Every secret that this process has read or been given, added before its first use."""


def _without_cut(text: str, form: str) -> str:
    """Without what is left of a secret where somebody cut the text, or a quotation in it."""
    start = form[:_SHORTEST_LEFT]
    at = text.find(start) if start != form else -1
    while at >= 0:
        end = at + len(commonprefix((form, text[at : at + len(form)])))  # noqa: RUF071 - they are no paths
        if text[end : end + 1] in _CUT_BEFORE:  # the end of the text among them
            text = text[:at] + MASK + text[end:]
        at = text.find(start, at + 1)
    return text


def _forms(secret: str) -> set[str]:
    """A secret as itself, in JSON, in a Python repr and in a URL."""
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
