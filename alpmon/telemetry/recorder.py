"""The last frames of a connection, and those before each trouble, kept apart so that no success evicts a failure.

Bounded in frames, in bytes and in time: a frame longer than `MAX_FRAME_BYTES` is cut, and no more than a ring's worth
of data frames is kept in `WINDOW_SECONDS`. At the exchange's own pace that is every frame; at full speed it is a
sample, and costs a message one comparison. What is not data is always kept.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

from msgspec import Struct

from alpmon.core.events import FrameKind
from alpmon.masking import SECRETS

FRAMES: Final = 32
MAX_FRAME_BYTES: Final = 2048
WINDOW_SECONDS: Final = 0.1
TROUBLES_OF_A_KIND: Final = 5
"""As many as there are flaws of a frame: a peer that goes through them all pushes out none."""
MAX_TROUBLE_BYTES: Final = 256 * 1024
"""For all troubles of one connection together."""
SAME_TROUBLE_SECONDS: Final = 10.0
"""Trouble that comes again so soon, for the same reason, is counted and not kept again."""

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
