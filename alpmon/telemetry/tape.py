"""Everything that connections receive, as JSON lines in a file: what `alpmon record` writes and `alpmon replay` reads.

One object a line, as in `entries`. A full file is renamed to FILE.1, the one before to FILE.2 and so on; every
part begins with a header, with what was learnt by then, with how the connections that are up got there and with where
their topics stand (`again`), so that it can be read alone. `untaped` reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import structlog

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
    Stood,
)
from alpmon.telemetry.parts import PartFile, has_parts, promises_another_packing, shift, try_to_write

FORMAT: Final = 1
DEFAULT_PART_BYTES: Final = 64 << 20
DEFAULT_PARTS: Final = 8
FLUSH_SECONDS: Final = 1.0

_MAX_ESTABLISHING: Final = 256
"""Requests and answers of one session that a later part repeats; far over what twenty topics need."""
_BEGINNING_SHARE: Final = 4
"""Of a part is room for what was learnt, and as much for where the topics stand: it is for frames still."""
_LOOKS_A_PART: Final = 64
"""How often its size is looked at while a part is written: it may be so much too long, and one line."""

_encoder: Final = msgspec.json.Encoder()

Learning: TypeAlias = Callable[[float, float], Iterable[Learnt]]
"""What is learnt by now: `(monotonic, wall)`."""
Standing: TypeAlias = Callable[[float, float], Iterable[Stood]]
"""Where every topic stands by now: `(monotonic, wall)`."""


class TapeError(Exception):
    """A recording cannot be written or read; says which file, and why."""


class Tape:
    """Writes a recording; what is at `path` from before is kept as older parts, from the first line on.

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
        standing: Asked when a part begins but for the first.

    Raises:
        TapeError: the file cannot be written, or its name promises another compression.
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
        if promises_another_packing(path):
            raise TapeError(f"cannot write {path}: only gzip compresses; name it {path.with_suffix('.gz')}")
        self.failure: str = ""
        self.learning: Learning | None = None
        self.standing: Standing | None = None
        self._path = path
        self._header = Header(now=now, wall=wall, format=FORMAT, alpmon=version, run=wall, part=0, config=config)
        self._part_bytes = part_bytes
        self._parts = parts
        self._established: dict[str, list[AnyEntry]] = {}
        self._kept_back: list[Learnt] = []
        self._file: PartFile | None = None
        self._new_bytes = 0
        self._unflushed = False
        self._names = 0
        self._has_parts = has_parts(path)
        try:
            if self._has_parts:
                try_to_write(path)
            else:
                self._file = self._open()
        except OSError as error:
            raise TapeError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, entry: AnyEntry, *, establishing: bool = False) -> None:
        """Add a line. A disk that fails ends the recording, not the monitor: see `failure`.

        It is to be written before it is taken in: where a new part begins with it, what was so before is asked for.

        Args:
            entry: The line.
            establishing: It belongs to how a connection gets to where it is; later parts repeat it.
        """
        if self.failure:
            return
        try:
            file = self._file or self._begun_by(entry)
            if file is not None and self._is_full(file):
                file = self._next_part(file, entry)
            if establishing:
                self._establish(entry)
            if file is not None:
                self._put(file, entry)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Put everything on the disk, so that it can be read though nobody closes the file."""
        if self._file is None or not self._unflushed or self.failure:
            return
        try:
            self._file.flush()
            self._unflushed = False
        except OSError as error:
            self._fail(error)

    def reloaded(self, config: str, now: float, wall: float) -> None:
        """Another configuration is in force from here on, YAML without secrets; later parts begin with it."""
        self.write(Reloaded(now=now, wall=wall, config=config))
        self._header = msgspec.structs.replace(self._header, config=config)

    def another_name(self, line: str) -> str:
        """One that no line has had."""
        self._names += 1
        return f"{line}~{self._names}"

    def close(self) -> None:
        """Finish the file."""
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Nothing is written from here on: said at once, for nothing else shows it until the end."""
        if not self.failure:
            reason = error.strerror or str(error)
            self.failure = f"cannot write {self._path}: {reason}"
            structlog.get_logger("alpmon").error("recording stopped", file=str(self._path), reason=reason)

    def _establish(self, entry: AnyEntry) -> None:
        if isinstance(entry, Held):
            self._established[entry.line] = [msgspec.structs.replace(entry, down_since=entry.now)]
            return
        lines = self._established.get(entry.line)
        if lines is None:
            return
        match entry:
            case Released():
                del self._established[entry.line]
            case Open():
                lines[:] = [msgspec.structs.replace(lines[0], topics=entry.topics), entry]
            case Failed():
                lines[1:] = [line for line in lines if isinstance(line, Asked)]
            case Disconnected():
                down = msgspec.structs.replace(lines[0], down_since=entry.now)
                lines[:] = [down, *(line for line in lines if isinstance(line, Asked))]
            case _ if len(lines) < _MAX_ESTABLISHING:
                lines.append(entry)

    def _begun_by(self, entry: AnyEntry) -> PartFile | None:
        """The file, once there is more to tell than what a state file held: that is read before anybody listens."""
        if isinstance(entry, Learnt):
            self._kept_back.append(entry)
            return None
        file = self._file = self._open()
        for learnt in self._kept_back:
            self._put(file, learnt)
        self._kept_back.clear()
        return file

    def _open(self) -> PartFile:
        if self._has_parts:
            shift(self._path, self._parts)
        file = PartFile(self._path)
        self._put(file, self._header)
        return file

    def _put(self, file: PartFile, entry: AnyEntry) -> int:
        written = file.write(_encoder.encode(entry) + b"\n")
        self._new_bytes += written
        self._unflushed = True
        return written

    def _is_full(self, file: PartFile) -> bool:
        if self._new_bytes < self._part_bytes // _LOOKS_A_PART:
            return False
        self._new_bytes = 0
        return self._has_parts and file.size() >= self._part_bytes

    def _next_part(self, file: PartFile, first: AnyEntry) -> PartFile:
        file.close()
        self._header = msgspec.structs.replace(self._header, now=first.now, wall=first.wall, part=self._header.part + 1)
        file = self._file = self._open()
        self._put_bounded(file, () if self.learning is None else self.learning(first.now, first.wall))
        for lines in self._established.values():
            for entry in lines:
                self._put(file, msgspec.structs.replace(entry, again=True))
        self._put_bounded(file, () if self.standing is None else self.standing(first.now, first.wall))
        return file

    def _put_bounded(self, file: PartFile, entries: Iterable[AnyEntry]) -> None:
        """What finds no room begins anew for whoever begins here."""
        room = self._part_bytes // _BEGINNING_SHARE
        for entry in entries:
            room -= self._put(file, entry)
            if room < 0:
                return


async def keep_flushed(tape: Tape, interval: float = FLUSH_SECONDS) -> None:
    """Flush every `interval` seconds, until cancelled."""
    while True:
        await asyncio.sleep(interval)
        tape.flush()
