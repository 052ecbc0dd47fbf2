"""The files of a recording: FILE, and what was FILE before it as FILE.1, FILE.2 and so on."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Final

_SUFFIX_OF_PACKED: Final = ".gz"
_SUFFIXES_OF_OTHERS: Final = frozenset(
    {".7z", ".br", ".bz2", ".gz", ".gzip", ".lz4", ".lzma", ".xz", ".z", ".zip", ".zst", ".zstd"}
)
_HEADER_START: Final = b'{"event":"header",'
_MAX_HEADER_BYTES: Final = 16 << 20


class PartFile:
    """One file while it is written; packed if its name ends with `.gz`.

    Raises:
        OSError: from each method; the disk is full, say.
    """

    def __init__(self, path: Path) -> None:
        self._raw = path.open("wb")
        self._packer = _packer(self._raw) if path.suffix == _SUFFIX_OF_PACKED else None
        self._out: IO[bytes] = self._raw if self._packer is None else io.BufferedWriter(self._packer)

    def write(self, line: bytes) -> int:
        """Add a line; returns its bytes before they are packed."""
        return self._out.write(line)

    def flush(self) -> None:
        """Put everything on the disk, so that it can be read though nobody closes the file."""
        self._out.flush()
        if self._packer is not None:
            self._packer.flush(zlib.Z_SYNC_FLUSH)
        self._raw.flush()

    def size(self) -> int:
        """Bytes by now, as they lie on the disk, but for what the packer still holds."""
        return self._raw.tell()

    def close(self) -> None:
        """Finish it."""
        self._out.close()
        self._raw.close()


def promises_another_packing(path: Path) -> bool:
    """Whether a file of this name would not be what the name says; `.GZ` counts, which gzip itself takes as well."""
    return path.suffix != _SUFFIX_OF_PACKED and path.suffix.lower() in _SUFFIXES_OF_OTHERS


def part_of(path: Path, number: int) -> Path:
    """The file of a part, counted from the newest, which is 0."""
    return path.with_name(f"{path.name}.{number}") if number else path


def has_parts(path: Path) -> bool:
    """Whether it is a file, or could become one; a pipe or a device has no parts, and may be opened once."""
    return path.is_file() or not path.exists()


def try_to_write(path: Path) -> None:
    """Find out whether a file can be written, and leave it as it is.

    Raises:
        OSError: it cannot.
    """
    there = path.exists()
    path.open("ab").close()
    if not there:
        path.unlink()


def shift(path: Path, parts: int) -> None:
    """Rename FILE to FILE.1 and so on, where they are files; beyond `parts` in all the oldest goes.

    A FILE that holds nothing but a header is no part: a run that is started and killed again and again, before
    anything happens, would push out all that is worth keeping.
    """
    if not _is_worth_keeping(path):
        return
    for number in range(parts - 1, 0, -1):
        older, newer = part_of(path, number), part_of(path, number - 1)
        if newer.is_file():
            newer.replace(older)


def _is_worth_keeping(path: Path) -> bool:
    if not path.is_file():
        return False
    first = second = b""
    try:
        with gzip.open(path) if path.suffix == _SUFFIX_OF_PACKED else path.open("rb") as lines:
            first = lines.readline(_MAX_HEADER_BYTES)
            second = lines.read(1)
    except EOFError:
        pass  # A crash cut it; what came before was read.
    except (OSError, zlib.error):
        return True
    return bool(second) or bool(first and not first.startswith(_HEADER_START))


def _packer(raw: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
