"""Fixtures of the web's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests.web.hashing import Bcrypt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def counted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bcrypt]:
    """The bcrypt that passwords are checked with; open again before the loop waits for its threads."""
    counting = Bcrypt(bcrypt.checkpw)
    monkeypatch.setattr(bcrypt, "checkpw", counting)
    yield counting
    counting.open()
