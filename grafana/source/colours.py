"""Colours that a colour-blind reader can tell apart: Okabe and Ito's, with a darker grey.

https://jfly.uni-koeln.de/color/; the lighter grey of that set is too near the purple for a deuteranope. A test
measures what is left of the distances under each kind of colour blindness.
"""

from __future__ import annotations

from typing import Final

from alpmon.core.freshness import TopicState
from alpmon.core.states import State

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
ORANGE: Final = "#E69F00"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#4D4D4D"

PALETTE: Final = (BLUE, SKY, GREEN, YELLOW, ORANGE, VERMILLION, PURPLE, GREY)
GOOD: Final = BLUE
DOUBTFUL: Final = YELLOW
BAD: Final = VERMILLION
HEATMAP_SCHEME: Final = "Viridis"

TOPIC_STATES: Final = {
    TopicState.LIVE: BLUE,
    TopicState.QUIET: SKY,
    TopicState.PENDING: YELLOW,
    TopicState.DOWN: GREY,
    TopicState.SILENT: PURPLE,
    TopicState.STALE: VERMILLION,
    TopicState.REJECTED: ORANGE,
}
"""From best to worst: where two monitors disagree, a panel shows the later one."""

CONNECTION_STATES: Final = {
    State.LIVE: BLUE,
    State.SUBSCRIBING: SKY,
    State.WELCOMING: GREEN,
    State.CONNECTING: YELLOW,
    State.BACKOFF: VERMILLION,
    State.STOPPED: GREY,
}
"""From best to worst, too."""

CHANNELS: Final = {
    "trade": BLUE,
    "ticker": ORANGE,
    "market_depth": GREEN,
    "rates": PURPLE,
    "diff": VERMILLION,
    "wallet": SKY,
    "order": YELLOW,
    "account_trade": GREY,
}
