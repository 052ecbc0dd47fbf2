"""Reads what `tape` has written, and says of any other file in one line why it is none.

What a newer version added to the format is left out, and what a crash left of a file is read to its last whole line;
both are remarked upon, for the verdicts may lack something.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, get_args

import msgspec

from alpmon.telemetry.entries import AnyEntry, Foreign, Header
from alpmon.telemetry.parts import part_of
from alpmon.telemetry.tape import FORMAT, TapeError

MAX_LINE_BYTES: Final = 64 << 20
"""Far over the longest line that is ever written; another program's file may have no end of line at all."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

_decoder: Final = msgspec.json.Decoder(AnyEntry)
_foreign: Final = msgspec.json.Decoder(Foreign)
_KNOWN: Final = frozenset(kind.__struct_config__.tag for kind in get_args(AnyEntry))


class NoRecordingError(TapeError):
    """The file was not written by us."""


class _CutError(Exception):
    """The file ends within a line."""


def read(path: Path, remark: Callable[[str], None] = lambda _: None) -> Iterator[AnyEntry]:
    """The lines of a recording from its oldest part on, each part's header among them.

    What a part repeats of those before it is left out where they were read.

    Args:
        path: The newest part.
        remark: Is given a line for whatever is missing.

    Raises:
        TapeError: a file cannot be read, or is no recording.
    """
    foreign: Counter[str] = Counter()
    for position, part in enumerate(_parts(path, remark)):
        try:
            for entry in _entries(part):
                if isinstance(entry, Foreign):
                    foreign[entry.event] += 1
                elif not (entry.again and position):
                    yield entry
        except _CutError:
            remark(f"{part} was cut off, as by a crash; it was read to its last whole line")
    if foreign:
        names = ", ".join(sorted(foreign))
        remark(f"left out {foreign.total()} lines of kinds that this alpmon does not know: {names}")


def header(path: Path) -> Header:
    """The first line of a recording's newest part.

    Raises:
        TapeError: the file cannot be read, or is no recording; says which.
    """
    try:
        first = next(_entries(path), None)
    except _CutError:
        first = None
    if not isinstance(first, Header):
        raise NoRecordingError(f"{path} is no recording of alpmon's: it does not begin with a header")
    if first.format != FORMAT:
        raise NoRecordingError(f"{path} is a recording of format {first.format}; this alpmon reads format {FORMAT}")
    return first


def _parts(path: Path, remark: Callable[[str], None]) -> list[Path]:
    """All that belong to one run, oldest first."""
    run = header(path).run
    paths = [path]
    while (older := part_of(path, len(paths))).exists():
        try:
            if header(older).run != run:
                break
        except NoRecordingError as other:
            remark(f"{other}; what is older than {paths[0]} was left out")
            break
        paths.insert(0, older)
    return paths


def _entries(path: Path) -> Iterator[AnyEntry | Foreign]:
    try:
        with _opened(path) as lines:
            yield from _decoded(path, lines)
    except (OSError, zlib.error) as error:
        raise TapeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with path.open("rb") as raw:
        magic = raw.read(len(_ZSTD_MAGIC))
        if magic == _ZSTD_MAGIC:
            raise NoRecordingError(f"{path} is compressed with zstd, which alpmon does not read; decompress it first")
        raw.seek(0)
        if magic.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=raw) as lines:
                yield lines
        else:
            yield raw


def _decoded(path: Path, lines: IO[bytes] | gzip.GzipFile) -> Iterator[AnyEntry | Foreign]:
    number = 0
    while True:
        try:
            line = lines.readline(MAX_LINE_BYTES)
        except EOFError:
            raise _CutError from None
        if not line:
            return
        if not line.endswith(b"\n"):
            raise _CutError
        number += 1
        try:
            yield _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == 1:
                raise NoRecordingError(f"{path} is no recording of alpmon's: {error}") from error
            raise TapeError(f"{path}:{number}: {error}") from error


def _decode(line: bytes) -> AnyEntry | Foreign:
    try:
        entry: AnyEntry = _decoder.decode(line)
    except msgspec.ValidationError:
        other = _foreign.decode(line)
        if other.event in _KNOWN:
            raise
        return other
    return entry
