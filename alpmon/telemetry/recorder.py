"""The last frames of a connection, and those before each trouble, kept apart so that no success evicts a failure.

Bounded in frames, in bytes and in time: a frame longer than `MAX_FRAME_BYTES` is cut, and no more than a ring's worth
of data frames is kept in `WINDOW_SECONDS`. At the exchange's own pace that is every frame; at full speed it is a
sample, and costs a message one comparison. What is not data is always kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from alpmon.core.events import FrameKind
from alpmon.masking import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alpmon.telemetry.state import ConnectionRecord, Monitor

FRAMES: Final = 32
MAX_FRAME_BYTES: Final = 2048
WINDOW_SECONDS: Final = 0.1
TROUBLES_OF_A_KIND: Final = 5
"""As many as there are flaws of a frame: a peer that goes through them all pushes out none."""
MAX_TROUBLE_BYTES: Final = 256 * 1024
"""For all troubles of one connection together."""
SAME_TROUBLE_SECONDS: Final = 10.0
"""Trouble that comes again so soon, for the same reason, is counted and not kept again."""
LOOK_SECONDS: Final = 1.0

_REDACTED: Final = b"(private)"
_OWN_WORDS: Final = frozenset({FrameKind.WELCOME, FrameKind.ACK, FrameKind.ERROR, FrameKind.PING})
"""What holds nothing of an account, whoever is logged in."""


class Trouble(StrEnum):
    """What frames are kept for."""

    CONNECT_FAILED = "connect_failed"
    DISCONNECTED = "disconnected"
    MALFORMED = "malformed"
    ERROR = "error"
    STALE = "stale"
    ANOMALY = "anomaly"


class Kept(Struct, frozen=True, gc=False):
    """A frame as it is kept: arrival in seconds since the epoch, whole size, and as much of it as may be shown."""

    wall: float
    kind: str
    size: int
    payload: bytes


class Incident(Struct, kw_only=True):
    """One trouble and the frames before it, oldest first; `repeats` counts the same again soon after."""

    kind: Trouble
    reason: str
    detail: str
    wall: float
    client_id: str
    frames: tuple[Kept, ...]
    repeats: int = 0

    @property
    def bytes(self) -> int:
        """What its frames take."""
        return sum(len(frame.payload) for frame in self.frames)


class Recorder:
    """One connection's frames and troubles. Times are seconds, `now` monotonic and `wall` since the epoch.

    Attributes:
        due: The monotonic time from which on a data frame shall be given to `keep`; looked at for each one.
    """

    __slots__ = ("_incidents", "_kept", "_recent", "_window_from", "due")

    def __init__(self) -> None:
        self.due = 0.0
        self._window_from = 0.0
        self._kept = 0
        self._recent: deque[Kept] = deque(maxlen=FRAMES)
        self._incidents: dict[Trouble, deque[Incident]] = {}

    def keep(self, payload: bytes | bytearray | memoryview, now: float, wall: float) -> None:
        """Keep a public data frame."""
        if now - self._window_from >= WINDOW_SECONDS:
            self._window_from, self._kept = now, 0
        self._kept += 1
        if self._kept >= FRAMES:
            self.due = self._window_from + WINDOW_SECONDS
        self._recent.append(Kept(wall, FrameKind.DATA, len(payload), bytes(payload[:MAX_FRAME_BYTES])))

    def keep_other(
        self, kind: FrameKind, payload: bytes | bytearray | memoryview, wall: float, *, account: bool
    ) -> None:
        """Keep a frame that is not public data; a server that repeats a secret is not repeated.

        Args:
            kind: `data` for a private channel's.
            payload: Its bytes.
            wall: When it arrived.
            account: The connection carries an account's channels: what is not plainly the server's own words is not
                kept.
        """
        private = kind not in _OWN_WORDS and (account or kind is FrameKind.DATA)
        shown = _REDACTED if private else SECRETS.frame(bytes(payload[:MAX_FRAME_BYTES]))
        self._recent.append(Kept(wall, kind, len(payload), shown))

    def trouble(self, kind: Trouble, reason: str, detail: str, client_id: str, wall: float) -> None:
        """Keep what came before this trouble."""
        incidents = self._incidents.setdefault(kind, deque(maxlen=TROUBLES_OF_A_KIND))
        for incident in incidents:
            if incident.reason == reason and abs(wall - incident.wall) < SAME_TROUBLE_SECONDS:
                incident.repeats += 1
                return
        frames = tuple(self._recent)
        incidents.append(
            Incident(kind=kind, reason=reason, detail=detail, wall=wall, client_id=client_id, frames=frames)
        )
        self._make_room()

    def recent(self) -> list[Kept]:
        """The last frames, oldest first."""
        return list(self._recent)

    def incidents(self) -> list[Incident]:
        """Every trouble that is kept, oldest first."""
        kept = [incident for incidents in list(self._incidents.values()) for incident in list(incidents)]
        return sorted(kept, key=lambda incident: incident.wall)

    def _make_room(self) -> None:
        """Let go of the oldest, but of a kind's last one only where every kind is down to one."""
        while sum(incident.bytes for incident in self.incidents()) > MAX_TROUBLE_BYTES:
            spare = [incidents for incidents in self._incidents.values() if len(incidents) > 1]
            min(spare or filter(None, self._incidents.values()), key=lambda incidents: incidents[0].wall).popleft()


class FrameShown(Struct, frozen=True, kw_only=True):
    """A kept frame; `text` may be cut, and is not the frame's own where it is private."""

    timestamp_seconds: float
    kind: str
    bytes: int
    text: str


class TroubleShown(Struct, frozen=True, kw_only=True):
    """One trouble; `client_id` is that of the session, for the exchange to look up."""

    kind: str
    reason: str
    detail: str
    timestamp_seconds: float
    repeats: int
    client_id: str | None
    frames: list[FrameShown]


class ConnectionShown(Struct, frozen=True, kw_only=True):
    """One connection's recordings."""

    target: str
    connection: str
    troubles: list[TroubleShown]
    recent: list[FrameShown]


class Recordings(Struct, frozen=True, kw_only=True):
    """What `/api/v1/recordings` answers."""

    timestamp_seconds: float
    connections: list[ConnectionShown]


def recordings(monitor: Monitor, wall: float) -> Recordings:
    """Everything that is kept; safe in a thread while the event loop writes."""
    connections = [
        _connection(target.name, record)
        for target in list(monitor.targets.values())
        for record in list(target.connections.values())
    ]
    return Recordings(timestamp_seconds=wall, connections=connections)


def _connection(target: str, record: ConnectionRecord) -> ConnectionShown:
    recorder = record.recorder
    troubles = [
        TroubleShown(
            kind=incident.kind,
            reason=incident.reason,
            detail=SECRETS.text(incident.detail),
            timestamp_seconds=incident.wall,
            repeats=incident.repeats,
            client_id=incident.client_id or None,
            frames=_frames(incident.frames),
        )
        for incident in recorder.incidents()
    ]
    return ConnectionShown(target=target, connection=record.label, troubles=troubles, recent=_frames(recorder.recent()))


def _frames(kept: Iterable[Kept]) -> list[FrameShown]:
    return [
        FrameShown(
            timestamp_seconds=frame.wall,
            kind=frame.kind,
            bytes=frame.size,
            text=SECRETS.text(frame.payload.decode(errors="backslashreplace")),
        )
        for frame in kept
    ]


class Lookout:
    """Finds the troubles that no frame tells of: topics gone stale, and what the feed's own sanity counts."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._episodes: dict[tuple[str, str, str], int] = {}
        self._anomalies: dict[tuple[str, str, str, str], int] = {}

    def look(self, now: float, wall: float) -> None:
        """Keep the frames of every connection where something new is wrong."""
        for target in self._monitor.targets.values():
            for record in target.connections.values():
                self._look_at_topics(target.name, record, now, wall)
                self._look_at_feed(target.name, record, wall)

    def _look_at_topics(self, target: str, record: ConnectionRecord, now: float, wall: float) -> None:
        for topic in record.topics.values():
            if topic.freshness is None:
                continue
            key, episodes = (target, record.label, topic.topic), topic.freshness.episodes(now)
            if episodes > self._episodes.get(key, 0):
                state, age = topic.freshness.state(now), topic.freshness.age(now)
                detail = f"{topic.topic} is {state}, {age:.1f} s old"
                record.recorder.trouble(Trouble.STALE, topic.topic, detail, record.client_id, wall)
            self._episodes[key] = episodes

    def _look_at_feed(self, target: str, record: ConnectionRecord, wall: float) -> None:
        for channel, seen in record.channels.items():
            for kind, count in seen.anomalies.items():
                key = (target, record.label, channel, kind)
                if count > self._anomalies.get(key, 0):
                    reason = f"{channel} {kind}"
                    detail = f"{count - self._anomalies.get(key, 0)} times within a second"
                    record.recorder.trouble(Trouble.ANOMALY, reason, detail, record.client_id, wall)
                self._anomalies[key] = count


async def watch_troubles(monitor: Monitor, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
    """Look out once a second, until cancelled."""
    lookout = Lookout(monitor)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        lookout.look(monotonic(), wall())
