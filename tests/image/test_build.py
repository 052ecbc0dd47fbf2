"""The image as it is built, on a base that the environment names: see docs/development.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alpmon import __version__
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BASE = os.environ.get("ALPMON_BASE_IMAGE")
IMAGE = f"localhost/alpmon-tried:{os.getpid()}"
NOBODY = 65532

pytestmark = [
    pytest.mark.skipif(BASE is None, reason="ALPMON_BASE_IMAGE names no base"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]


def buildah(*words: str) -> str:
    """Run buildah; what it says."""
    done = subprocess.run([require_tool("buildah"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[dict[str, Any]]:
    """The configuration of the image, built as `image/build` builds it."""
    bases = [f"--build-arg={name}_IMAGE={BASE}" for name in ("BUILD", "RUNTIME")]
    command = [str(ROOT / "image" / "build"), "--isolation=chroot", "--network=host", *bases, "--tag", IMAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    yield json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    buildah("rmi", IMAGE)


@pytest.fixture
def container(image: dict[str, Any]) -> Iterator[str]:
    """A container of it."""
    name = buildah("from", IMAGE)
    yield name
    buildah("rm", name)


def test_it_says_what_it_is_and_asks_after_itself(image: dict[str, Any]) -> None:
    """By labels, with a user that is nobody and a health check of its own."""
    assert image["User"] == f"{NOBODY}:{NOBODY}"
    assert image["Entrypoint"] == ["alpmon"]
    assert image["Healthcheck"]["Test"] == ["CMD", "alpmon", "health"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["base.name"] == BASE
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert labels["revision"].removesuffix("-dirty") == head.strip()


def test_it_runs_alpmon_without_root_and_writes_nothing(container: str) -> None:
    """Every module comes with its bytecode, and nothing of it is the user's to change."""
    run = ("run", "--isolation=chroot", container, "--")
    assert buildah(*run, "alpmon", "--version").endswith(__version__)
    assert buildah(*run, "python3", "-c", "import os; print(os.getuid())") == str(NOBODY)
    root = Path(buildah("mount", container), "alpmon")
    files = [path for path in root.rglob("*") if not path.is_symlink()]
    modules = [path for path in files if path.suffix == ".py"]
    assert len(modules) > 300
    assert [path for path in files if path.stat().st_uid == NOBODY or path.stat().st_mode & 0o002] == []
    compiled = {path.parent.parent / (path.name.split(".")[0] + ".py") for path in files if path.suffix == ".pyc"}
    assert set(modules) - compiled == set()
