"""What the image is made of. That it can be built is shown by building it: see docs/development.md."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from alpmon.cli import HEALTH_URL, main

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "build.lock": PROJECT["build-system"]["requires"],
}

every_lock = pytest.mark.parametrize("name", LOCKS)


def lock_text(name: str) -> str:
    """A lock as it stands, each entry on one line."""
    return (ROOT / "image" / name).read_text().replace("\\\n", " ")


def locked(name: str) -> dict[str, Requirement]:
    """The pinned requirements by name."""
    entries = [line.split("--hash")[0].strip() for line in lock_text(name).splitlines() if line]
    return {canonicalize_name(entry.name): entry for entry in map(Requirement, entries)}


@every_lock
def test_every_dependency_is_locked_at_a_version_that_fits(name: str) -> None:
    """When pyproject.toml asks for more, run image/lock."""
    pins = locked(name)
    for wanted in map(Requirement, LOCKS[name]):
        (pin,) = pins[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), f"{wanted} is locked at {pin.version}"


@every_lock
def test_every_locked_file_is_known_by_its_hash_and_not_by_its_address(name: str) -> None:
    """The lock works with any index."""
    lines = [line for line in lock_text(name).splitlines() if line]
    assert lines
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines)
    assert "://" not in lock_text(name)
    assert "--index-url" not in lock_text(name)


def instruction(word: str) -> list[str]:
    """What stands after a word of the Dockerfile's last stage."""
    stage = DOCKERFILE.split("\nFROM ")[-1].replace("\\\n", " ")
    return [line.removeprefix(f"{word} ") for line in stage.splitlines() if line.startswith(f"{word} ")]


def test_the_last_stage_runs_nothing_and_is_nobody() -> None:
    """It has no shell to run anything with."""
    assert instruction("RUN") == []
    assert instruction("USER") == ["65532:65532"]
    assert "--require-hashes" in DOCKERFILE
    for word in ("ENTRYPOINT", "CMD"):
        assert instruction(word)[0].startswith("[")


def test_the_health_check_is_alpmons_own_and_asks_where_it_listens() -> None:
    """Without curl; on the port that the command listens on."""
    (check,) = instruction("HEALTHCHECK")
    assert check.endswith('CMD ["alpmon", "health"]')
    assert "health" in main.commands
    port = HEALTH_URL.split(":")[2].split("/")[0]
    assert instruction("EXPOSE") == [port]
    assert instruction("CMD") == [f'["run", "--listen", ":{port}"]']


def test_it_carries_its_version_and_licence() -> None:
    """As the OCI's annotations are named."""
    labels = dict(pair.split("=", 1) for pair in shlex.split(instruction("LABEL")[0]))
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert labels["org.opencontainers.image.revision"] == "${REVISION}"
    assert labels["org.opencontainers.image.licenses"] == PROJECT["project"]["license"]
    assert labels["org.opencontainers.image.description"] == PROJECT["project"]["description"]


def test_the_context_holds_what_the_dockerfile_copies_and_no_more() -> None:
    """A stranger's file in the checkout never gets into an image."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert {word for words in copied for word in words} == allowed


@pytest.mark.parametrize("script", ["build", "lock"])
def test_the_scripts_can_be_run(script: str) -> None:
    """And are sound shell."""
    path = ROOT / "image" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_without_buildah_the_build_says_what_to_do(tmp_path: Path) -> None:
    """Instead of failing in the middle."""
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    said = subprocess.run(
        ["/bin/bash", str(ROOT / "image" / "build")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "docker build" in said.stderr
