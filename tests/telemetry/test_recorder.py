"""The rings of frames: what is kept, what pushes out what, and what is never shown."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Flaw, FrameKind
from alpmon.masking import Masker
from alpmon.telemetry.recorder import (
    FRAMES,
    MAX_FRAME_BYTES,
    MAX_TROUBLE_BYTES,
    TROUBLES_OF_A_KIND,
    WINDOW_SECONDS,
    Recorder,
    Trouble,
)

WALL = 1_790_139_140.0


def texts(recorder: Recorder) -> list[bytes]:
    """What is kept of the last frames."""
    return [frame.payload for frame in recorder.recent()]


def offer(recorder: Recorder, payload: bytes, now: float) -> None:
    """A data frame, as the intake offers it."""
    if now >= recorder.due:
        recorder.keep(payload, now, WALL + now)


def test_at_the_exchanges_pace_every_frame_is_kept() -> None:
    """The last ones, in order."""
    recorder = Recorder()
    for number in range(100):
        offer(recorder, b"%d" % number, number * 0.3)
    assert texts(recorder) == [b"%d" % number for number in range(100 - FRAMES, 100)]


def test_a_burst_keeps_a_ring_full_and_leaves_the_rest_of_the_window() -> None:
    """Many frames of one read: the first of them, and then again from the next window on."""
    recorder = Recorder()
    for number in range(1000):
        offer(recorder, b"%d" % number, 5.0)
    assert texts(recorder) == [b"%d" % number for number in range(FRAMES)]
    offer(recorder, b"next", 5.0 + WINDOW_SECONDS * 1.01)
    assert texts(recorder)[-1] == b"next"


def test_a_long_frame_is_cut_and_its_size_is_told() -> None:
    """Four megabytes a frame are no memory to spend on a memory."""
    recorder = Recorder()
    offer(recorder, b"x" * 100_000, 1.0)
    (frame,) = recorder.recent()
    assert (len(frame.payload), frame.size) == (MAX_FRAME_BYTES, 100_000)


def test_success_never_evicts_a_failure() -> None:
    """A day of good frames after it."""
    recorder = Recorder()
    offer(recorder, b"before", 1.0)
    recorder.trouble(Trouble.DISCONNECTED, "close_frame", "code 1012", "client", WALL)
    for number in range(10_000):
        offer(recorder, b"good", 2.0 + number)
    (incident,) = recorder.incidents()
    assert [frame.payload for frame in incident.frames] == [b"before"]


def test_a_flood_of_one_kind_evicts_no_other_kind() -> None:
    """The newest of each kind stay."""
    recorder = Recorder()
    recorder.trouble(Trouble.DISCONNECTED, "close_frame", "", "", WALL)
    for number in range(100):
        recorder.trouble(Trouble.MALFORMED, f"reason {number}", "", "", WALL + number)
    kinds = [incident.kind for incident in recorder.incidents()]
    assert kinds == [Trouble.DISCONNECTED, *[Trouble.MALFORMED] * TROUBLES_OF_A_KIND]
    assert recorder.incidents()[-1].reason == "reason 99"


def test_the_same_again_soon_is_counted_and_not_kept() -> None:
    """Else a frame that cannot be read, sent all day long, would be all that there is to see."""
    recorder = Recorder()
    for number in range(50):
        recorder.trouble(Trouble.MALFORMED, "binary", "", "", WALL + number * 0.1)
    (incident,) = recorder.incidents()
    assert (incident.repeats, incident.wall) == (49, WALL)
    recorder.trouble(Trouble.MALFORMED, "binary", "", "", WALL + 60.0)
    assert len(recorder.incidents()) == 2


@given(st.lists(st.sampled_from(list(Flaw)), min_size=1, max_size=100))
def test_troubles_that_alternate_are_counted_as_well(flaws: list[Flaw]) -> None:
    """A frame cannot be read in five ways; in whichever order they come, each is kept once."""
    recorder = Recorder()
    recorder.keep(b"the frame before", 1.0, WALL)
    for number, flaw in enumerate(flaws):
        recorder.trouble(Trouble.MALFORMED, flaw, "", "", WALL + number * 0.09)
        recorder.keep(b"later", 2.0 + number, WALL)
    assert {incident.reason: incident.repeats + 1 for incident in recorder.incidents()} == Counter(flaws)
    assert recorder.incidents()[0].frames[-1].payload == b"the frame before"


def test_a_clock_that_was_set_back_hides_no_trouble() -> None:
    """What lies an hour ahead was not soon before."""
    recorder = Recorder()
    for wall in (WALL, WALL - 3600.0, WALL - 3599.0):
        recorder.trouble(Trouble.MALFORMED, "binary", "", "", wall)
    assert [incident.repeats for incident in recorder.incidents()] == [1, 0]


@given(st.lists(st.tuples(st.sampled_from(list(Trouble)), st.integers(0, 5), st.integers(0, 8000)), max_size=120))
def test_memory_is_bounded_in_bytes(events: list[tuple[Trouble, int, int]]) -> None:
    """Whatever comes; and the newest trouble is always there."""
    recorder = Recorder()
    for number, (kind, reason, size) in enumerate(events):
        for frame in range(FRAMES):
            offer(recorder, b"x" * size, number * 20.0 + frame)
        recorder.trouble(kind, str(reason), "", "", WALL + number * 20.0)
        assert recorder.incidents()[-1].wall == WALL + number * 20.0
        assert sum(incident.bytes for incident in recorder.incidents()) <= MAX_TROUBLE_BYTES
        assert sum(len(frame.payload) for frame in recorder.recent()) <= FRAMES * MAX_FRAME_BYTES


def test_nothing_of_an_account_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Private frames, and what cannot be told from one; the server's own words stay, without the token."""
    secrets, recorder = Masker(), Recorder()
    secrets.add("tok3n")
    monkeypatch.setattr("alpmon.telemetry.recorder.SECRETS", secrets)
    recorder.keep_other(FrameKind.DATA, b'["w",1,2,3,"BTC","100"]', WALL, account=True)
    recorder.keep_other(FrameKind.UNKNOWN, b'["ww",1,"100"]', WALL, account=True)
    recorder.keep_other(FrameKind.MALFORMED, b'["w","100"]', WALL, account=True)
    recorder.keep_other(FrameKind.ERROR, b'["error",1,"bad token tok3n"]', WALL, account=True)
    assert texts(recorder) == [b"(private)"] * 3 + [b'["error",1,"bad token ***"]']
    assert [frame.size for frame in recorder.recent()] == [23, 14, 11, 29]


def test_a_private_frame_is_not_kept_without_an_account_either() -> None:
    """A server that sends what was not asked for."""
    recorder = Recorder()
    recorder.keep_other(FrameKind.DATA, b'["w",1,2]', WALL, account=False)
    recorder.keep_other(FrameKind.MALFORMED, b"not json", WALL, account=False)
    assert texts(recorder) == [b"(private)", b"not json"]
