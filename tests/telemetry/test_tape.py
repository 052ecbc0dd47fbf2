"""The recording's file: every line back as it was written, parts, and what is left after a crash or a full disk."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from alpmon.telemetry.entries import AnyEntry, Disconnected, Header, Held, Learnt, Open, Text
from alpmon.telemetry.tape import Tape, TapeError, keep_flushed
from alpmon.telemetry.untaped import MAX_LINE_BYTES, header, read
from tests.waiting import eventually

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
        Held(now=2.0, wall=101.0, line=LINE, topics=("trade.*", "rates.*"), down_since=2.0, again=True),
        Open(now=2.0, wall=101.0, line=LINE, topics=("trade.*", "rates.*"), again=True),
    ]
    times = [entry.now for entry in rest[2:] if isinstance(entry, Text)]
    assert times == [times[0] + step for step in range(len(times))]
    assert times[-1] == writer_last(name)
    assert sum(entry.again for entry in rest) == 2


def writer_last(name: str) -> float:
    """When the last frame of the test above came."""
    return 2.0 + (20_000 if name.endswith("gz") else 1000) - 1


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_part_is_full_after_its_size_and_a_line(tmp_path: Path, name: str) -> None:
    """However long the lines are: the longest frame is four megabytes, and sixty-four of them no rounding error."""
    writer = tape(tmp_path / name, part_bytes=50_000, parts=100)
    line, rng = 20_000, Random(1)
    for _ in range(30):
        data = rng.randbytes(line // 2).hex()  # nothing that could be packed to nothing
        writer.write(Text(now=2.0, wall=101.0, line=LINE, data=data, size=line))
    writer.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 3
    assert max(sizes) < 50_000 + 2 * line


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_what_is_flushed_can_be_read_without_an_end(tmp_path: Path, name: str) -> None:
    """A process that is killed closes nothing."""
    writer = tape(tmp_path / name)
    for number in range(3):
        writer.write(text(number))
        writer.flush()
        found, remarks, _ = outcome(tmp_path / name)
        assert found == [text(each) for each in range(number + 1)]
        assert len(remarks) == name.endswith(".gz")
    size = (tmp_path / name).stat().st_size
    writer.flush()
    assert (tmp_path / name).stat().st_size == size, "nothing new, nothing written"
    writer.close()


async def test_the_flusher_leaves_nothing_in_memory(tmp_path: Path) -> None:
    """A line alone as well: no other one need come after it."""
    writer = tape(tmp_path / "x.gz")
    flushing = asyncio.create_task(keep_flushed(writer, interval=0.01))
    writer.write(text(1))
    await eventually(lambda: outcome(tmp_path / "x.gz")[0] == [text(1)])
    flushing.cancel()
    writer.close()


def test_a_run_that_holds_no_connection_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Its address was taken, say; and it is started again and again."""
    written(tmp_path / "x", text(1))
    before = (tmp_path / "x").read_bytes()
    for _ in range(5):
        writer = tape(tmp_path / "x", wall=200.0, parts=3)
        writer.write(Learnt(now=2.0, wall=200.0, line=LINE, topic="trade.*"))  # of a state file
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == before
    tape(tmp_path / "y").close()
    assert not (tmp_path / "y").exists()


def test_what_was_learnt_comes_before_the_connection_that_knew_it(tmp_path: Path) -> None:
    """Though it was kept back until there was one."""
    entries: list[AnyEntry] = [
        Learnt(now=1.0, wall=100.0, line=LINE, topic="trade.*"),
        Held(now=2.0, wall=101.0, line=LINE, topics=("trade.*",)),
    ]
    assert written(tmp_path / "x", *entries) == entries


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_file_that_holds_nothing_but_a_header_is_no_part_to_keep(tmp_path: Path, name: str) -> None:
    """Of a run that was killed before anything came; nor is an empty one. Another program's is."""
    path = tmp_path / name
    written(path, text(1))
    whole = path.read_bytes()
    line, _, _ = (gzip.decompress(whole) if name.endswith(".gz") else whole).partition(b"\n")
    alone = line + b"\n"
    packed = gzip.compress(alone, mtime=0)
    for left in (b"", *((packed, packed[:-8]) if name.endswith(".gz") else (alone,))):
        path.write_bytes(left)
        written(path, text(2))
        assert not path.with_name(f"{name}.1").exists()
    path.write_bytes(b"somebody's\n")
    written(path, text(3))
    assert path.with_name(f"{name}.1").read_bytes() == b"somebody's\n"


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


def test_what_is_learnt_leaves_a_part_to_the_frames(tmp_path: Path) -> None:
    """However much that is."""
    path = tmp_path / "x"
    writer = tape(path, part_bytes=40_000, parts=2)
    learnt = [Learnt(now=1.0, wall=100.0, line=LINE, again=True, topic=f"trade.{n}", rate={"x": 1}) for n in range(500)]
    writer.learning = lambda _now, _wall: learnt
    for number in range(2000):
        writer.write(text(number))
    writer.close()
    lines = list(read(path))
    kept = [entry for entry in lines if isinstance(entry, Learnt)]
    assert kept == learnt[: len(kept)]
    assert 10 < len(kept) < 200
    assert sum(isinstance(entry, Text) for entry in lines) > 500


def test_an_older_run_is_kept_and_not_mixed_in(tmp_path: Path) -> None:
    """Its monotonic clock was another one."""
    path = tmp_path / "x"
    for wall in (100.0, 200.0):
        writer = tape(path, wall=wall)
        writer.write(text(int(wall)))
        writer.close()
    assert [entry.data for entry in read(path) if isinstance(entry, Text)] == ['["t",200]']
    assert [entry.data for entry in read(tmp_path / "x.1") if isinstance(entry, Text)] == ['["t",100]']


def outcome(path: Path) -> tuple[list[AnyEntry], list[str], str]:
    """The frames of a recording, what is remarked upon, and why it is refused, if it is."""
    remarks: list[str] = []
    try:
        return [entry for entry in read(path, remarks.append) if isinstance(entry, Text)], remarks, ""
    except TapeError as error:
        return [], remarks, str(error)


@given(cut=st.integers(1, 10_000))
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_a_file_cut_off_by_a_crash_is_read_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: int
) -> None:
    """Wherever that is: every whole line, and a word about it, or no recording where not even the header is whole."""
    path = tmp_path_factory.mktemp("cut") / name
    entries = [text(number) for number in range(100)]
    written(path, *entries)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    found, remarks, refusal = outcome(path)
    if refusal:
        assert "is no recording" in refusal
        return
    assert found == entries[: len(found)]
    between_lines = not name.endswith(".gz") and path.read_bytes().endswith(b"\n")
    assert remarks == (
        [] if between_lines else [f"{path} was cut off, as by a crash; it was read to its last whole line"]
    )


def test_a_whole_file_is_not_remarked_upon(tmp_path: Path) -> None:
    """Neither a packed nor a plain one."""
    for name in ("x", "x.gz"):
        written(tmp_path / name, text(1))
        remarks: list[str] = []
        assert len(list(read(tmp_path / name, remarks.append))) == 2
        assert remarks == []


@given(at=st.integers(20, 10_000), junk=st.binary(min_size=1, max_size=8))
def test_a_packed_file_that_is_broken_is_said_to_be(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    """Whatever became of its bytes there is one line about it, or they still say the same."""
    path = tmp_path_factory.mktemp("broken") / "x.gz"
    entries = [text(number) for number in range(100)]
    written(path, *entries)
    whole = bytearray(path.read_bytes())
    at %= len(whole)
    whole[at : at + len(junk)] = junk
    path.write_bytes(whole)
    found, remarks, refusal = outcome(path)
    assert found == entries or remarks or refusal.count(str(path)) == 1
    assert "\n" not in refusal


def add(path: Path, *lines: str) -> None:
    """Put lines at the end of a plain file."""
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_what_only_a_newer_version_knows_is_left_out_and_said(tmp_path: Path) -> None:
    """Kinds of lines, and fields of those that are known."""
    path = tmp_path / "x"
    written(path, text(1))
    add(path, *['{"event":"frobbed","now":3,"wall":102,"line":"alp/0-0","how":[1]}'] * 2)
    add(path, '{"event":"text","now":3,"wall":102,"line":"alp/0-0","data":"[]","size":2,"colour":"red"}')
    remarks: list[str] = []
    found = [entry for entry in read(path, remarks.append) if isinstance(entry, Text)]
    assert [entry.data for entry in found] == ['["t",1]', "[]"]
    assert remarks == ["left out 2 lines of kinds that this alpmon does not know: frobbed"]


@pytest.mark.parametrize("line", ['{"event":"text","now":3,"wall":102}', "nonsense", '{"now":3}', "[]", "\udcff"])
def test_a_line_that_is_broken_is_named(tmp_path: Path, line: str) -> None:
    """A line of a known kind without what it needs is not taken for one of a newer version."""
    path = tmp_path / "x"
    written(path, text(1))
    with path.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(TapeError, match=r"x:3: [^\n]+$"):
        list(read(path))


NOT_OURS = [
    b"",
    b"{}\n",
    b"nonsense\n",
    b"\n",
    b"no end of line",
    b'{"event":"open","now":1,"wall":1}\n',
    b'{"event":"frobbed","now":1,"wall":1}\n',
    b'{"event":"header","level":"info"}\n',
    b"\x7fELF\x02\x01\x01\x00\n\xff",
    gzip.compress(b"nonsense\n", mtime=0),
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("content", NOT_OURS)
def test_the_file_of_another_program_is_no_recording(tmp_path: Path, content: bytes) -> None:
    """Never a traceback."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(TapeError, match=r"x is no recording of alpmon's: [^\n]+$"):
        header(path)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """As no recording, or as what cannot be read."""
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(content)
    with pytest.raises(TapeError) as refused:
        list(read(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"), [(b"\x1f\x8bnonsense", "cannot read .*x: "), (b"\x28\xb5\x2f\xfd\x00", "compressed with zstd")]
)
def test_what_is_packed_otherwise_is_said(tmp_path: Path, content: bytes, why: str) -> None:
    """Broken gzip, and what somebody packed to save room."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(TapeError, match=why):
        header(path)


def test_the_file_of_another_program_beside_a_recording_is_left_alone(tmp_path: Path) -> None:
    """It only has the name of an older part; said, for the beginning may be missing."""
    written(tmp_path / "x", text(1))
    (tmp_path / "x.1").write_text("nonsense\n")
    remarks: list[str] = []
    assert len(list(read(tmp_path / "x", remarks.append))) == 2
    assert len(remarks) == 1
    assert "x.1 is no recording" in remarks[0]


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    """A disk image, say."""
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(4 * MAX_LINE_BYTES)
    with pytest.raises(TapeError, match="is no recording"):
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


@pytest.mark.parametrize("suffix", ["zst", "xz", "bz2", "lz4", "br", "ZST", "GZ"])
def test_a_name_that_promises_another_compression_is_refused(tmp_path: Path, suffix: str) -> None:
    """It would hold plain lines."""
    with pytest.raises(TapeError, match=rf"x\.jsonl\.{suffix}: only gzip compresses; name it .*x\.jsonl\.gz$"):
        tape(tmp_path / f"x.jsonl.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is always full")
def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    """The monitor goes on, and it is said, once, when it happens."""
    writer = tape(Path("/dev/full"))
    with capture_logs() as logs:
        for number in range(10_000):
            writer.write(text(number))
    with capture_logs() as later:
        writer.close()
    assert "No space left" in writer.failure
    why = {"file": "/dev/full", "reason": "No space left on device"}
    assert logs == [{"event": "recording stopped", "log_level": "error", **why}]
    assert later == []
