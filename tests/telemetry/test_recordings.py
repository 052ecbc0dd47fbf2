"""The answer that shows what the recorders keep."""

from __future__ import annotations

import msgspec

from alpmon.core.events import FrameKind
from alpmon.core.states import State
from alpmon.telemetry.recorder import Trouble
from alpmon.telemetry.recordings import Recordings, recordings
from alpmon.telemetry.state import ConnectionRecord
from tests.telemetry.records import fresh_monitor

WALL = 1_790_139_140.0


def test_the_answer_is_text_whatever_the_bytes_are() -> None:
    """And a token that looks like one is masked wherever it stands."""
    record = ConnectionRecord("0-0", State.LIVE)
    record.recorder.keep_other(FrameKind.MALFORMED, b"\xff\x00abc", WALL, account=False)
    jwt = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"
    record.recorder.keep_other(FrameKind.ERROR, f'["error",1,"{jwt}"]'.encode(), WALL, account=False)
    record.recorder.trouble(Trouble.ERROR, "other", jwt, "client", WALL)
    body = msgspec.json.encode(recordings(fresh_monitor(record), WALL))
    shown = msgspec.json.decode(body, type=Recordings).connections[0]
    assert [frame.text for frame in shown.recent] == ["\\xff\x00abc", '["error",1,"***"]']
    assert shown.troubles[0].detail == "***"
    assert shown.troubles[0].client_id == "client"
    assert jwt.encode() not in body
