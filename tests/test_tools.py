"""What a missing program does to a test."""

from __future__ import annotations

import pytest

from tests.tools import REQUIRE_TOOLS, require_tool

MISSING = "no-such-program-anywhere"


def test_a_program_that_is_there_is_found() -> None:
    """By its path."""
    assert require_tool("sh").endswith("/sh")


def test_a_missing_program_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a user's machine."""
    monkeypatch.delenv(REQUIRE_TOOLS, raising=False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        require_tool(MISSING)


def test_a_missing_program_fails_where_it_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI, where a skip would go unnoticed."""
    monkeypatch.setenv(REQUIRE_TOOLS, "1")
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        require_tool(MISSING)
