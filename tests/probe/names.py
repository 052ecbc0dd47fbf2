"""The system's resolver with its answers decided by a test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

Answer: TypeAlias = Callable[[], list[str]]


class Names:
    """Called where the system's resolver would be; numeric addresses are left to it.

    Attributes:
        asked: the names that were looked up, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, Answer] = {}
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def answer(self, name: str, answer: Answer | list[str]) -> str:
        """Let a name have these addresses, or what is returned in the lookup's thread; gives the name."""
        self._answers[name] = (lambda: answer) if isinstance(answer, list) else answer
        return name

    def _answer(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host not in self._answers:
            return self._system(host, port, *args, **options)
        self.asked.append(host)
        found = self._answers[host]()
        return [each for address in found for each in self._system(address, port, *args, **options)]
