"""The recording's file: every line back as it was written, parts, and what is left after a crash or a full disk."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.telemetry.entries import AnyEntry, Disconnected, Header, Held, Open, Text
from alpmon.telemetry.tape import Tape, TapeError
from alpmon.telemetry.untaped import header, read

LINE = "alp/0-0"
finite = st.floats(allow_nan=False, allow_infinity=False)


def tape(path: Path, *, now: float = 1.0, wall: float = 100.0, part_bytes: int = 1 << 20, parts: int = 8) -> Tape:
    """A tape of a run that began at `wall`."""
    return Tape(path, "targets: []\n", "0", now, wall, part_bytes=part_bytes, parts=parts)


def text(number: int, *, now: float = 2.0) -> Text:
    """A frame that is told from others."""
    return Text(now=now, wall=now + 99.0, line=LINE, data=f'["t",{number}]', size=9)


def written(path: Path, *entries: AnyEntry) -> list[AnyEntry]:
    """What comes back of these lines, without the header."""
    writer = tape(path)
    for entry in entries:
        writer.write(entry)
    writer.close()
    assert writer.failure == ""
    first, *rest = read(path)
    assert isinstance(first, Header)
    return rest


@given(now=finite, wall=finite, data=st.text(), raw=st.binary())
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_every_line_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, name: str, now: float, wall: float, data: str, raw: bytes
) -> None:
    """Floats to the last bit, any text, any bytes."""
    path = tmp_path_factory.mktemp("tape") / name
    entries: list[AnyEntry] = [
        Held(now=now, wall=wall, line=LINE, topics=("trade.*",)),
        Text(now=now, wall=wall, line=LINE, data=data, size=len(data)),
        Text(now=now, wall=wall, line=LINE, base64=raw, size=len(raw)),
    ]
    assert written(path, *entries) == entries


def test_gz_is_compressed(tmp_path: Path) -> None:
    """By its name; a reader finds out by itself."""
    path = tmp_path / "x.gz"
    written(path, *(text(number) for number in range(1000)))
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 1001
    path.rename(tmp_path / "renamed")
    assert len(list(read(tmp_path / "renamed"))) == 1001


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_parts_are_bounded_and_read_as_one(tmp_path: Path, name: str) -> None:
    """Nothing twice, nothing out of order, what was too old gone."""
    path = tmp_path / name
    writer = tape(path, part_bytes=2000, parts=3)
    entries: list[AnyEntry] = [
        Held(now=2.0, wall=101.0, line=LINE, topics=("trade.*",)),
        Open(now=2.0, wall=101.0, line=LINE, topics=("trade.*", "rates.*")),
    ]
    for entry in entries:
        writer.write(entry, establishing=True)
    for number in range(20_000 if name.endswith("gz") else 1000):
        writer.write(text(number, now=2.0 + number))
    writer.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, f"{name}.1", f"{name}.2"]
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 40_000
    first, *rest = read(path)
    assert isinstance(first, Header)
    assert first.part > 0
    assert rest[:2] == [
        Held(now=2.0, wall=101.0, line=LINE, topics=("trade.*", "rates.*"), again=True),
        Open(now=2.0, wall=101.0, line=LINE, topics=("trade.*", "rates.*"), again=True),
    ]
    times = [entry.now for entry in rest[2:] if isinstance(entry, Text)]
    assert times == [times[0] + step for step in range(len(times))]
    assert times[-1] == writer_last(name)
    assert sum(entry.again for entry in rest) == 2


def writer_last(name: str) -> float:
    """When the last frame of the test above came."""
    return 2.0 + (20_000 if name.endswith("gz") else 1000) - 1


def test_a_session_that_ended_is_not_repeated(tmp_path: Path) -> None:
    """A later part begins with the connections as they are then."""
    path = tmp_path / "x"
    writer = tape(path, part_bytes=1000, parts=2)
    writer.write(Held(now=2.0, wall=101.0, line=LINE, topics=()), establishing=True)
    writer.write(Open(now=2.0, wall=101.0, line=LINE), establishing=True)
    end = Disconnected(
        now=3.0, wall=102.0, line=LINE, initiator="server", code="1012", reason="close_frame", close_reason=""
    )
    writer.write(end, establishing=True)
    for number in range(500):
        writer.write(text(number))
    writer.close()
    repeated = [entry for entry in read(path) if entry.again]
    assert [type(entry) for entry in repeated] == [Held]


def test_an_older_run_is_kept_and_not_mixed_in(tmp_path: Path) -> None:
    """Its monotonic clock was another one."""
    path = tmp_path / "x"
    for wall in (100.0, 200.0):
        writer = tape(path, wall=wall)
        writer.write(text(int(wall)))
        writer.close()
    assert [entry.data for entry in read(path) if isinstance(entry, Text)] == ['["t",200]']
    assert [entry.data for entry in read(tmp_path / "x.1") if isinstance(entry, Text)] == ['["t",100]']


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_file_cut_off_by_a_crash_is_read_up_to_there(tmp_path: Path, name: str) -> None:
    """Every whole line of it."""
    path = tmp_path / name
    entries = [text(number) for number in range(100)]
    written(path, *entries)
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 12, len(whole) * 3 // 4):
        path.write_bytes(whole[:cut])
        found = [entry for entry in read(path) if isinstance(entry, Text)]
        assert found == entries[: len(found)]
    path.write_bytes(whole)
    assert len(list(read(path))) == 101


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"nonsense\n", b'{"event":"open","now":1,"wall":1}\n', b"\x1f\x8bnonsense"]
)
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """Never a traceback."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(TapeError, match="x"):
        header(path)


def test_a_recording_of_another_format_is_refused(tmp_path: Path) -> None:
    """It may mean anything."""
    path = tmp_path / "x"
    path.write_bytes(b'{"event":"header","now":1,"wall":1,"format":99,"alpmon":"9","run":1,"part":0,"config":""}\n')
    with pytest.raises(TapeError, match="format 99"):
        header(path)


def test_a_file_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    """Not after an hour."""
    with pytest.raises(TapeError, match="No such file"):
        tape(tmp_path / "nowhere" / "x")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is always full")
def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    """The monitor goes on, and it is said."""
    writer = tape(Path("/dev/full"))
    for number in range(10_000):
        writer.write(text(number))
    writer.close()
    assert "No space left" in writer.failure
