"""Where the token for the private channels comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from alpmon.logs import mask

if TYPE_CHECKING:
    from alpmon.config import Auth


class AuthError(Exception):
    """No token can be had now; says why, never what."""


class TokenSource(Protocol):
    """Gives a token that is good now."""

    async def get(self) -> str:
        """The token.

        Raises:
            AuthError: there is none.
        """
        ...


class TokenFile:
    """A token that somebody else renews: the file is read anew for every session."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def get(self) -> str:
        """The file's text without the white space around it."""
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "is not text"
            raise AuthError(f"token file {self._path}: {why}") from None
        if not token:
            raise AuthError(f"token file {self._path} is empty")
        mask(token)
        return token


class NoExchangeYet:
    """Stands for key and secret files, which cannot be traded for a token yet: every attempt says so."""

    async def get(self) -> str:
        """Never returns."""
        raise AuthError("auth.key_file and auth.secret_file are not supported yet; write a token to auth.token_file")


def token_source(auth: Auth) -> TokenSource:
    """Where the configuration says the token comes from."""
    return NoExchangeYet() if auth.token_file is None else TokenFile(Path(auth.token_file))
