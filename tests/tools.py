"""Programs from outside that some tests need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_TOOLS = "ALPMON_REQUIRE_TOOLS"


def require_tool(name: str) -> str:
    """The path of a program that the test cannot do without."""
    return shutil.which(name) or missing(f"{name} is not installed")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where the environment says that nothing may be missing."""
    if os.environ.get(REQUIRE_TOOLS) == "1":
        pytest.fail(f"{what}, and {REQUIRE_TOOLS}=1 says that it must be")
    pytest.skip(what)
