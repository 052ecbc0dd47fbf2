"""Programs from outside that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRE_TOOLS = "ALPMON_REQUIRE_TOOLS"


def require_tool(name: str) -> str:
    """The path of a program; without it the test skips, or fails where the environment says that it must be there."""
    path = shutil.which(name)
    if path is not None:
        return path
    if os.environ.get(REQUIRE_TOOLS) == "1":
        pytest.fail(f"{name} is not installed, and {REQUIRE_TOOLS}=1 says that it must be")
    pytest.skip(f"{name} is not installed")
