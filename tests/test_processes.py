"""No process of a test outlives it, however the test ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
START = """
from collections import Counter

from tests.integration.test_shards import TOPICS, running


async def test_that_does_not_end(start_exchange, tmp_path):
    async with running(start_exchange, tmp_path) as fleet:
        for ordinal in range(3):
            await fleet.start(ordinal, 8)
"""
RESTARTS = """
        while True:
            await fleet.until_ready(0)
            await fleet.stop(0)
            await fleet.start(0, 8)
"""
FALLS = """
        process = fleet.processes[0]
        process.kill()
        await process.wait()
        await fleet.until_held(Counter(TOPICS))
"""


@pytest.mark.parametrize(
    ("story", "seconds", "words"),
    [(RESTARTS, 5, "Failed: Timeout"), (FALLS, 60, "_fallen()")],
    ids=["timeout", "fallen"],
)
def test_no_process_outlives_a_test_that_fails(tmp_path: Path, story: str, seconds: int, words: str) -> None:
    """Ended by pytest's timeout while it starts another, or by its own doing when one has ended before.

    Whoever is left would hold the output open.
    """
    (tmp_path / "test_story.py").write_text(START + story)
    options = ["-s", f"--timeout={seconds}", "-p", "tests.conftest", "-c", ROOT / "pyproject.toml"]
    command = [sys.executable, "-m", "pytest", *options, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stdout
