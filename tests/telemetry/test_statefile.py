"""The state file: all of it or none, and nobody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.telemetry import statefile
from alpmon.telemetry.statefile import Learnt, StateFileError, load, save, set_aside

LEARNING = {"alp": {"trade.*": Learnt(cadence={"a": 1.5}, rate={"b": [2.0]}), "ticker.*": Learnt()}}
WALL = 1_790_000_000.0


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """By target and topic; parts that are unknown stay unknown."""
    path = tmp_path / "state.json"
    save(path, LEARNING, WALL)
    assert load(path) == LEARNING
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_no_file_is_nothing_learnt(tmp_path: Path) -> None:
    """The first start is no mistake."""
    assert load(tmp_path / "state.json") == {}


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """Whatever the umask, and whatever the file was before."""
    path = tmp_path / "state.json"
    path.write_text("{}")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        save(path, LEARNING, WALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_draft_that_a_crash_left_is_no_obstacle(tmp_path: Path) -> None:
    """Nor is what it points at written to."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "state.json.tmp").symlink_to(victim)
    save(tmp_path / "state.json", LEARNING, WALL)
    assert victim.read_text() == "untouched"
    assert load(tmp_path / "state.json") == LEARNING


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A full disk costs what is new, not what was known; and no draft is left to fill it more."""
    path = tmp_path / "state.json"
    save(path, LEARNING, WALL)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    target = {"write": (statefile, "_write"), "fsync": (os, "fsync"), "replace": (Path, "replace")}[step]
    monkeypatch.setattr(*target, fail)
    with pytest.raises(OSError, match="No space"):
        save(path, {}, WALL)
    monkeypatch.undo()
    assert load(path) == LEARNING
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"not json",
        b"[]",
        b"{}",
        b'{"alpmon_state": 2, "saved_wall": 0, "topics": {}}',
        b'{"alpmon_state": "1", "saved_wall": 0, "topics": {}}',
        b'{"alpmon_state": 1, "saved_wall": 0}',
        b'{"alpmon_state": 1, "saved_wall": 0, "topics": {"alp": 7}}',
        b'{"alpmon_state": 1, "saved_wall": 0, "topics": {}, "more": 1}',
        b'{"alpmon_state": 1, "saved_wall": 0, "topics": {"alp": {"trade.*": {"cadence": {}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_state_file_is_told_apart(tmp_path: Path, content: bytes) -> None:
    """Cut short, of another version, or somebody else's."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError, match=r"state file|of version 2"):
        load(path)
    assert path.read_bytes() == content


@given(content=st.binary(max_size=200))
def test_no_content_at_all_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A file is not trusted."""
    path = tmp_path_factory.mktemp("any") / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError):
        load(path)


def test_what_is_set_aside_replaces_nothing(tmp_path: Path) -> None:
    """Two bad files are both kept."""
    path = tmp_path / "state.json"
    names = []
    for text in ("first", "second", "third"):
        path.write_text(text)
        names.append(set_aside(path).name)
    assert names == ["state.json.bad", "state.json.bad1", "state.json.bad2"]
    assert [(tmp_path / name).read_text() for name in names] == ["first", "second", "third"]
    assert not path.exists()
