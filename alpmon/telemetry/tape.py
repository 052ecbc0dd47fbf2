"""Everything that connections receive, as JSON lines in a file: what `alpmon record` writes and `alpmon replay` reads.

One object a line, as in `entries`. A full file is renamed to FILE.1, the one before to FILE.2 and so on; every
part begins with a header, with what was learnt by then and with how the connections that are up got there (`again`),
so that it can be read alone. `untaped` reads.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final, TypeAlias

import msgspec

from alpmon.telemetry.entries import (
    AnyEntry,
    Asked,
    Disconnected,
    Failed,
    Header,
    Held,
    Learnt,
    Open,
    Released,
    Reloaded,
)

FORMAT: Final = 1
DEFAULT_PART_BYTES: Final = 64 << 20
DEFAULT_PARTS: Final = 8
FLUSH_SECONDS: Final = 1.0

_MAX_ESTABLISHING: Final = 256
"""Requests and answers of one session that a later part repeats; far over what twenty topics need."""
_LEARNING_SHARE: Final = 4
_CHECK_EVERY_LINES: Final = 64

_encoder: Final = msgspec.json.Encoder()

Learning: TypeAlias = Callable[[float, float], Iterable[Learnt]]
"""What is learnt by now: `(monotonic, wall)`."""


class TapeError(Exception):
    """A recording cannot be written or read; says which file, and why."""


class Tape:
    """Writes a recording; what is at `path` from before is kept as older parts.

    Args:
        path: Where; compressed if it ends with `.gz`.
        config: The configuration in force, as YAML without secrets.
        version: Ours.
        now: The monotonic time.
        wall: The time since the epoch.
        part_bytes: A part is full from here on, as it lies on the disk.
        parts: How many files there may be in all.

    Attributes:
        failure: Why nothing is written any more; empty while all is well.
        learning: Asked when a part begins but for the first, which is told by whoever recalls.

    Raises:
        TapeError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        config: str,
        version: str,
        now: float,
        wall: float,
        *,
        part_bytes: int = DEFAULT_PART_BYTES,
        parts: int = DEFAULT_PARTS,
    ) -> None:
        self.failure: str = ""
        self.learning: Learning | None = None
        self._path = path
        self._header = Header(now=now, wall=wall, format=FORMAT, alpmon=version, run=wall, part=0, config=config)
        self._part_bytes = part_bytes
        self._parts = parts
        self._established: dict[str, list[AnyEntry]] = {}
        self._flushed = now
        self._lines = 0
        self._names = 0
        try:
            self._open()
        except OSError as error:
            raise TapeError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, entry: AnyEntry, *, establishing: bool = False) -> None:
        """Add a line. A disk that fails ends the recording, not the monitor: see `failure`.

        Args:
            entry: The line.
            establishing: It belongs to how a connection gets to where it is; later parts repeat it.
        """
        if self.failure:
            return
        if establishing:
            self._establish(entry)
        try:
            self._put(entry)
            self._lines += 1
            if self._lines % _CHECK_EVERY_LINES == 0 and self._is_full():
                self._rotate(entry)
            elif entry.now - self._flushed >= FLUSH_SECONDS:
                self._out.flush()
                self._flushed = entry.now
        except OSError as error:
            self.failure = f"cannot write {self._path}: {error.strerror or error}"

    def reloaded(self, config: str, now: float, wall: float) -> None:
        """Another configuration is in force from here on, YAML without secrets; later parts begin with it."""
        self._header = msgspec.structs.replace(self._header, config=config)
        self.write(Reloaded(now=now, wall=wall, config=config))

    def another_name(self, line: str) -> str:
        """One that no line has had."""
        self._names += 1
        return f"{line}~{self._names}"

    def close(self) -> None:
        """Finish the file."""
        try:
            self._close()
        except OSError as error:
            self.failure = self.failure or f"cannot write {self._path}: {error.strerror or error}"

    def _establish(self, entry: AnyEntry) -> None:
        if isinstance(entry, Held):
            self._established[entry.line] = [entry]
            return
        lines = self._established.get(entry.line)
        if lines is None:
            return
        match entry:
            case Released():
                del self._established[entry.line]
            case Open():
                lines[:] = [msgspec.structs.replace(lines[0], topics=entry.topics), entry]
            case Failed() | Disconnected():
                lines[1:] = [line for line in lines if isinstance(line, Asked)]
            case _ if len(lines) < _MAX_ESTABLISHING:
                lines.append(entry)

    def _put(self, entry: AnyEntry) -> int:
        return self._out.write(_encoder.encode(entry) + b"\n")

    def _put_learning(self, last: AnyEntry) -> None:
        """So much that the part is for frames still; what finds no room is learnt anew by whoever begins here."""
        room = self._part_bytes // _LEARNING_SHARE
        for learnt in () if self.learning is None else self.learning(last.now, last.wall):
            room -= self._put(learnt)
            if room < 0:
                return

    def _open(self) -> None:
        self._shift()
        self._raw = self._path.open("wb")
        self._out: IO[bytes] = io.BufferedWriter(_compressed(self._raw)) if self._path.suffix == ".gz" else self._raw
        self._put(self._header)

    def _is_full(self) -> bool:
        """Whether it is time for a new part; a pipe or a device has none."""
        return self._path.is_file() and self._raw.tell() >= self._part_bytes

    def _close(self) -> None:
        self._out.close()
        self._raw.close()

    def _rotate(self, last: AnyEntry) -> None:
        self._close()
        self._header = msgspec.structs.replace(self._header, now=last.now, wall=last.wall, part=self._header.part + 1)
        self._open()
        self._put_learning(last)
        for lines in self._established.values():
            for entry in lines:
                self._put(msgspec.structs.replace(entry, again=True))

    def _shift(self) -> None:
        """Rename FILE to FILE.1 and so on, where they are files; the oldest one too many goes."""
        for number in range(self._parts - 1, 0, -1):
            older, newer = part_of(self._path, number), part_of(self._path, number - 1)
            if newer.is_file():
                newer.replace(older)


def _compressed(raw: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)


def part_of(path: Path, number: int) -> Path:
    """The file of a part, counted from the newest, which is 0."""
    return path.with_name(f"{path.name}.{number}") if number else path
