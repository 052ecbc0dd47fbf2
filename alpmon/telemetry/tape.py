"""Everything that connections receive, as JSON lines in a file: what `alpmon record` writes and `alpmon replay` reads.

One object a line, as in `entries`. A full file is renamed to FILE.1, the one before to FILE.2 and so on; every
part begins with a header and with how the connections that are up got there (`again`), so that it can be read alone.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from alpmon.telemetry.entries import AnyEntry, Disconnected, Failed, Header, Held

FORMAT: Final = 1
DEFAULT_PART_BYTES: Final = 64 << 20
DEFAULT_PARTS: Final = 8
FLUSH_SECONDS: Final = 1.0

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_ESTABLISHING: Final = 256
"""Requests and answers of one session that a later part repeats; far over what twenty topics need."""
_CHECK_EVERY_LINES: Final = 64


_decoder: Final = msgspec.json.Decoder(AnyEntry)
_encoder: Final = msgspec.json.Encoder()


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
        self._path = path
        self._header = Header(now=now, wall=wall, format=FORMAT, alpmon=version, run=wall, part=0, config=config)
        self._part_bytes = part_bytes
        self._parts = parts
        self._established: dict[str, list[AnyEntry]] = {}
        self._flushed = now
        self._lines = 0
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

    def close(self) -> None:
        """Finish the file."""
        try:
            self._close()
        except OSError as error:
            self.failure = self.failure or f"cannot write {self._path}: {error.strerror or error}"

    def _establish(self, entry: AnyEntry) -> None:
        lines = self._established.setdefault(entry.line, [])
        match entry:
            case Held():
                lines[:] = [entry]
            case Failed() | Disconnected():
                del lines[1:]
            case _ if len(lines) < _MAX_ESTABLISHING:
                lines.append(entry)

    def _put(self, entry: AnyEntry) -> None:
        self._out.write(_encoder.encode(entry) + b"\n")

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


def read(path: Path) -> Iterator[AnyEntry]:
    """The lines of a recording from its oldest part on, each part's header among them.

    What a part repeats of those before it is left out where they were read. A last line that was cut off, as by a
    crash, ends its part.

    Raises:
        TapeError: a file cannot be read, or is no recording.
    """
    run = header(path).run
    paths = [path]
    for number in range(1, 10_000):
        older = part_of(path, number)
        if not older.exists() or header(older).run != run:
            break
        paths.insert(0, older)
    for position, part in enumerate(paths):
        yield from (entry for entry in _entries(part) if not (entry.again and position))


def header(path: Path) -> Header:
    """The first line of a recording's newest part.

    Raises:
        TapeError: the file cannot be read, or is no recording.
    """
    first = next(_entries(path), None)
    if not isinstance(first, Header):
        raise TapeError(f"{path} is no recording of alpmon's")
    if first.format != FORMAT:
        raise TapeError(f"{path} is a recording of format {first.format}; this alpmon reads format {FORMAT}")
    return first


def _entries(path: Path) -> Iterator[AnyEntry]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as lines:
                yield from _decoded(path, lines)
    except (OSError, zlib.error) as error:
        raise TapeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _decoded(path: Path, lines: IO[bytes] | gzip.GzipFile) -> Iterator[AnyEntry]:
    try:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise TapeError(f"{path}:{number}: {error}") from error
    except EOFError:
        return
