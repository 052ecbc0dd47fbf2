"""What the image is made of; test_build.py builds it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from alpmon.cli import main
from alpmon.cli.health import HEALTH_URL
from tests.tools import require_tool

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "build.lock": PROJECT["build-system"]["requires"],
}

RUNTIME_BASE = "${RUNTIME_IMAGE}${RUNTIME_DIGEST:+@}${RUNTIME_DIGEST}"

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
    for word in ("ENTRYPOINT", "CMD"):
        assert instruction(word)[0].startswith("[")


def test_nothing_is_installed_whose_hash_is_not_known() -> None:
    """But the wheel that was built in the image itself."""
    installs = re.findall(r"pip\b[^&]*? install ([^&]*)", DOCKERFILE.replace("\\\n", " "))
    assert len(installs) == 3
    for install in installs:
        assert ("--require-hashes" in install and ".lock" in install) or "--no-index --no-deps" in install


def test_the_bases_can_be_held_still() -> None:
    """By digests, which go behind the tags."""
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert stages == [RUNTIME_BASE.replace("RUNTIME", "BUILD"), RUNTIME_BASE]
    assert re.findall(r"^ARG (\w+)_DIGEST=$", DOCKERFILE, re.MULTILINE) == ["BUILD", "RUNTIME"]


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
    assert labels["org.opencontainers.image.base.name"] == RUNTIME_BASE
    given = {word.split("=")[0] for word in instruction("ARG")}
    assert {name for text in labels.values() for name in re.findall(r"\$\{(\w+)\}", text)} == given


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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own with what the build looks at, all of it committed."""
    folder = tmp_path / "checkout"
    (folder / "image").mkdir(parents=True)
    shutil.copy(ROOT / "image" / "build", folder / "image")
    shutil.copy(ROOT / "pyproject.toml", folder)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git; what it says."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        [require_tool("git"), *identity, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> None:
    """Commit everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All of it")


def build(folder: Path, *arguments: str) -> list[str]:
    """What `image/build` asks of buildah."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "buildah").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tools / "buildah").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(folder / "image" / "build"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_an_image_is_labelled_with_the_commit_that_it_was_made_of(checkout: Path) -> None:
    """And dated by it, so that the same commit gives the same image; what is given by hand comes last."""
    said = build(checkout, "--tag", "registry.example/alpmon:1")
    assert f"REVISION={git(checkout, 'rev-parse', 'HEAD')}" in said
    assert f"VERSION={PROJECT['project']['version']}" in said
    assert said[said.index("--timestamp") + 1] == git(checkout, "log", "-1", "--format=%ct")
    assert said[-3:] == ["--tag", "registry.example/alpmon:1", "."]


@pytest.mark.parametrize("change", ["pyproject.toml", "alpmon/new.py", "Dockerfile"])
def test_an_image_of_what_nobody_committed_says_so(checkout: Path, change: str) -> None:
    """Changed or new, where it gets into the image; once it is committed the label is clean again."""
    file = checkout / change
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as opened:
        opened.write("# changed\n")
    head = git(checkout, "rev-parse", "HEAD")
    assert f"REVISION={head}-dirty" in build(checkout)
    commit(checkout)
    assert f"REVISION={git(checkout, 'rev-parse', 'HEAD')}" in build(checkout)


def test_what_does_not_get_into_the_image_makes_nothing_dirty(checkout: Path) -> None:
    """Such as a note beside it."""
    (checkout / "notes.txt").write_text("later")
    assert f"REVISION={git(checkout, 'rev-parse', 'HEAD')}" in build(checkout)


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
