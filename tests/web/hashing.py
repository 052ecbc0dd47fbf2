"""The real bcrypt, counted, with a gate before it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Bcrypt:
    """The real one, with a gate before it: shut, it keeps the first caller, and so all behind it."""

    def __init__(self, check: Callable[[bytes, bytes], bool]) -> None:
        self._check = check
        self._gate = threading.Event()
        self._gate.set()
        self.digests: list[bytes] = []

    def __call__(self, password: bytes, digest: bytes) -> bool:
        self.digests.append(digest)
        self._gate.wait()
        return self._check(password, digest)

    @property
    def calls(self) -> int:
        """How often a password was looked at."""
        return len(self.digests)

    def shut(self) -> None:
        """Let nobody through until `open`."""
        self._gate.clear()

    def open(self) -> None:
        """Let everybody through."""
        self._gate.set()
