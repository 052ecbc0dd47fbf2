"""What the recorders keep, as `/api/v1/recordings` answers it: text, and without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from alpmon.masking import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alpmon.telemetry.monitor import Monitor
    from alpmon.telemetry.recorder import Kept
    from alpmon.telemetry.state import ConnectionRecord


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
