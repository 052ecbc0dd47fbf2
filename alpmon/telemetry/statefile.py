"""The state file: what was learnt, on disk, replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

_VERSION: Final = 1
_MAX_BYTES: Final = 256 * 1024 * 1024


class Learnt(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was learnt of one topic; each part is what its owner's `snapshot` gave."""

    cadence: dict[str, Any] | None = None
    rate: dict[str, Any] | None = None


Learning: TypeAlias = dict[str, dict[str, Learnt]]
"""By target, then by topic: a connection's name may change with the layout, what a topic's silence means does not."""


class _Head(msgspec.Struct):
    alpmon_state: int


class _File(msgspec.Struct, forbid_unknown_fields=True):
    alpmon_state: int
    saved_wall: float
    topics: Learning


class StateFileError(ValueError):
    """The file is not ours, of a newer version, or broken; says which."""


def load(path: Path) -> Learning:
    """Read a state file; nothing where there is none.

    Raises:
        StateFileError: there is something else.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    if len(content) > _MAX_BYTES:
        raise StateFileError(f"longer than {_MAX_BYTES} bytes")
    return _parse(content)


def _parse(content: bytes) -> Learning:
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.alpmon_state != _VERSION:
            raise StateFileError(f"of version {head.alpmon_state}, and this alpmon reads version {_VERSION}")
        return msgspec.json.decode(content, type=_File).topics
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise StateFileError(f"not a state file: {error}") from None


def save(path: Path, learning: Learning, wall: float) -> None:
    """Replace the file, readable by its owner only; after a crash at any moment it is the old one or the new one.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    content = msgspec.json.encode(_File(_VERSION, wall, learning))
    draft = path.with_name(f"{path.name}.tmp")
    draft.unlink(missing_ok=True)
    try:
        _write(draft, content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _write(draft: Path, content: bytes) -> None:
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Without it the new name may be lost with the power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Move what is no state file to a name beside it, never over another; the new name.

    Raises:
        OSError: it cannot be moved.
    """
    number = 0
    while True:
        aside = path.with_name(f"{path.name}.bad{number or ''}")
        if not aside.exists() and not aside.is_symlink():
            path.rename(aside)
            return aside
        number += 1
