"""The numbers of the shipped alerts that a recording holds all the grounds for; a test holds them equal to the rules.

What `telemetry.troubles` has of them already is not said again here.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Alert(NamedTuple):
    """When an alert fires, in seconds.

    Attributes:
        hold: `for`: how long its condition has to hold.
        keep: `keep_firing_for`: how long it goes on when that ends.
        more_than: where its condition counts, that many are still well ...
        window: ... within so long.
    """

    name: str
    severity: str
    hold: float
    keep: float
    more_than: int = 0
    window: float = 0.0


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

ALERTS: Final = (
    *(STALE, SILENT, NEVER_DELIVERED, REJECTED, THIN, DOWN),
    *(FLAPPING, RECONNECT_FAILING, ERROR_FRAMES, MALFORMED_FRAMES, ANOMALIES, MISSED_MESSAGES),
)
