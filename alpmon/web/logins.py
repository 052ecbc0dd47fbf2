"""Passwords: checked one at a time, the right ones remembered, and those who would wait too long turned away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

import bcrypt

_CACHED_LOGINS: Final = 100
_LONGEST_PASSWORD_BYTES: Final = 72
"""All that bcrypt looks at; it refuses more."""
_COST: Final = slice(len("$2b$"), len("$2b$12"))
_NOBODY: Final = "$Ro0CUfOqk6cXEKf3dyaM7OhSCvnwM9s4wIX9JeLapehKK5YdLxKcm"
"""The salt and the hash of a password that nobody knows."""
MOST_WAITING: Final = 16
"""At a cost of 12, a quarter of a second each, the last of them waits four seconds."""
MOST_WAITING_OF_A_PEER: Final = 8
"""Half of the places: who guesses from one address keeps nobody else out."""


class Login(NamedTuple):
    """What somebody says to be."""

    user: str
    password: str


class Verdict(Enum):
    """What came of a login."""

    RIGHT = auto()
    WRONG = auto()
    CROWDED = auto()
    """Not looked at: too many others wait."""
    UNHEARD = auto()
    """Not looked at: nobody waits for the answer any longer."""


class Logins:
    """Checks passwords; remembers the right ones, as a hash under a key of this process only."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many wait for their turn or have it now."""
        return self._waiting.total()

    async def check(
        self, login: Login, users: Mapping[str, str], peer: str, is_gone: Callable[[], bool] = lambda: False
    ) -> Verdict:
        """Whether the password is right. Takes as long for an unknown user as for a wrong password.

        Args:
            login: what was given.
            users: the bcrypt hash of each user; at least one.
            peer: who asks, so that one alone cannot take all places in the line.
            is_gone: whether the answer would reach nobody.
        """
        digest = users.get(login.user)
        known = self._stand_in(login.user, users) if digest is None else digest
        name = self._keyed("\0".join((*login, known)))
        if self._remembers(name):
            return Verdict.RIGHT
        if self.waiting >= MOST_WAITING or self._waiting[peer] >= MOST_WAITING_OF_A_PEER:
            return Verdict.CROWDED
        self._waiting[peer] += 1
        try:
            async with self._one_at_a_time:  # Guessers wait for each other, and cost one thread at most.
                if self._remembers(name):  # A page and what belongs to it ask at once, with the same login.
                    return Verdict.RIGHT
                if is_gone():
                    return Verdict.UNHEARD
                fits = await asyncio.to_thread(_fits, login.password, known.encode())
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer]
        if not fits or digest is None:
            return Verdict.WRONG
        self._remember(name)
        return Verdict.RIGHT

    def _stand_in(self, user: str, users: Mapping[str, str]) -> str:
        """A hash for a user that is not there, as costly as a real one's; the same name always has the same cost."""
        costs = sorted(digest[_COST] for digest in users.values())
        chosen = int.from_bytes(self._keyed(user), "big") % len(costs)
        return f"$2b${costs[chosen]}{_NOBODY}"

    def _keyed(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()

    def _remembers(self, name: bytes) -> bool:
        if name not in self._right:
            return False
        self._right.move_to_end(name)
        return True

    def _remember(self, name: bytes) -> None:
        self._right[name] = None
        while len(self._right) > _CACHED_LOGINS:
            self._right.popitem(last=False)


def basic_login(header: str) -> Login | None:
    """What an `Authorization` header says (RFC 7617); None for none, or for another scheme's."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return Login(user, password) if colon else None


def _fits(password: str, digest: bytes) -> bool:
    given = password.encode()
    # bcrypt compares in constant time.
    return bcrypt.checkpw(given[:_LONGEST_PASSWORD_BYTES], digest) and len(given) <= _LONGEST_PASSWORD_BYTES
