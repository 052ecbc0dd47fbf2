"""The numbers of the shipped alerts, for those who judge without Prometheus; a test holds them equal to the rules.

What `telemetry.troubles` has of them already is not said again here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct


class Alert(NamedTuple):
    """When an alert fires, in seconds.

    Attributes:
        hold: `for`: how long its condition has to hold.
        keep: `keep_firing_for`: how long it goes on when that ends.
        more_than: where its condition counts, that many are still well ...
        window: ... within so long.
        share: Up to this share of all is well too.
        slower_than: What it counts took longer than this.
    """

    name: str
    severity: str
    hold: float
    keep: float
    more_than: int = 0
    window: float = 0.0
    share: float = 0.0
    slower_than: float = 0.0


class Lapse(Struct, frozen=True, kw_only=True):
    """The condition of an alert that counts, where it holds on a connection: over the window that the alert looks back.

    Attributes:
        what: The channel, reason, kind or topic that was counted; empty where the alert tells none apart.
        count: How many there were.
        share: Of all that there were of the kind; null where the alert only counts.
        slow_round_trips: The share of round trips that were slow meanwhile; null where none was measured.
        since_timestamp_seconds: When the condition was first seen to hold.
    """

    alert: str
    what: str
    count: int
    share: float | None
    window_seconds: float
    slow_round_trips: float | None
    since_timestamp_seconds: float


STALE: Final = Alert("AlpmonFeedStale", "critical", 60.0, 120.0)
SILENT: Final = Alert("AlpmonFeedSilent", "critical", 120.0, 120.0)
NEVER_DELIVERED: Final = Alert("AlpmonFeedSilent", "warning", 300.0, 300.0)
REJECTED: Final = Alert("AlpmonSubscribeRejected", "warning", 120.0, 120.0)
THIN: Final = Alert("AlpmonFeedThin", "critical", 300.0, 300.0)
STALE_NOT_THIN_SECONDS: Final = 120.0
"""A topic that has been stale for so long is no thin one: it has an alert of its own."""
DOWN: Final = Alert("AlpmonConnectionDown", "critical", 60.0, 60.0)
FLAPPING: Final = Alert("AlpmonConnectionFlapping", "warning", 60.0, 900.0, more_than=3, window=900.0)
RECONNECT_FAILING: Final = Alert("AlpmonReconnectFailing", "warning", 60.0, 300.0, more_than=3, window=600.0)
ERROR_FRAMES: Final = Alert("AlpmonErrorFrames", "warning", 60.0, 300.0, more_than=0, window=600.0)
MALFORMED_FRAMES: Final = Alert("AlpmonMalformedFrames", "warning", 60.0, 300.0, more_than=5, window=600.0)
ANOMALIES: Final = Alert("AlpmonFeedAnomalies", "warning", 60.0, 600.0, more_than=5, window=600.0)
MISSED_MESSAGES: Final = Alert("AlpmonMissedMessages", "warning", 60.0, 600.0, more_than=5, window=600.0)
LAGGING: Final = Alert(
    "AlpmonFeedLagging", "critical", 120.0, 300.0, more_than=2, window=300.0, share=0.1, slower_than=2.0
)
PONG_SLOW: Final = Alert("AlpmonPongSlow", "warning", 120.0, 300.0, window=600.0, share=0.1, slower_than=0.1)
ACK_SLOW: Final = Alert("AlpmonSubscribeAckSlow", "warning", 120.0, 300.0, window=600.0, share=0.5, slower_than=0.5)
MAX_LATE_SHARE: Final = 0.25
"""Of its time that a monitor's event loop is late, as in the alert AlpmonMonitorSlow."""
SLOW_ROUND_TRIP_SECONDS: Final = 0.5
CLOCK_OFFSET_SECONDS: Final = 1.0
"""As in the alert AlpmonClockOffset, the error of the estimate taken off."""
DIVERGENCE_SECONDS: Final = 60.0
"""As in the alert AlpmonFeedDivergedFromReference."""

ALERTS: Final = (
    *(STALE, SILENT, NEVER_DELIVERED, REJECTED, THIN, DOWN),
    *(FLAPPING, RECONNECT_FAILING, ERROR_FRAMES, MALFORMED_FRAMES, ANOMALIES, MISSED_MESSAGES),
)
"""Those that a recording holds all the grounds for."""
SLOW: Final = (LAGGING, PONG_SLOW, ACK_SLOW)
