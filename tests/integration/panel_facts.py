"""What the panels of the dashboards are to show while a monitor goes through good and bad times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alpmon.core.freshness import TopicState
from alpmon.core.states import State
from grafana.source.colours import CONNECTION_STATES, TOPIC_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Fact:
    """What a panel is to show.

    Attributes:
        query: the panel and its query, as `Target` is written.
        labels: of the series that are meant, `a=b, c=d`; at least one must be there.
        holds: what is true of all their figures; None where there must be no such series.
        once: at some time in the range, rather than now.
    """

    query: str
    labels: str
    holds: Callable[[float], bool] | None
    once: bool = False

    def shown_by(self, series: Sequence[dict[str, Any]]) -> bool:
        """Whether the answer to the query says so."""
        wanted = dict(pair.split("=") for pair in self.labels.split(", ") if pair)
        meant = [one for one in series if wanted.items() <= one["metric"].items()]
        if self.holds is None:
            return not meant
        figures = [[float(text) for _, text in one.get("values", [one.get("value")])] for one in meant]
        return bool(figures) and all(any(map(self.holds, each)) for each in figures)

    def __str__(self) -> str:
        return f"{self.query} {{{self.labels}}}"


def equal(wanted: float, off: float = 0.0) -> Callable[[float], bool]:
    return lambda figure: abs(figure - wanted) <= off


def above(limit: float) -> Callable[[float], bool]:
    return lambda figure: figure > limit


def below(limit: float) -> Callable[[float], bool]:
    return lambda figure: figure < limit


def topic_is(state: TopicState) -> Callable[[float], bool]:
    return equal(1 + list(TOPIC_STATES).index(state))


def connection_is(*states: State) -> Callable[[float], bool]:
    return lambda figure: list(CONNECTION_STATES)[int(figure) - 1] in states


MUTED: Final = "target=test, connection=0-0, topic=trade.*"
THINNED: Final = "target=test, connection=0-1, topic=trade.*"
USUAL_RATE: Final = 10.0
CLEAR, TROUBLE = equal(0), equal(1)

WELL: Final = (
    Fact("overview: Bad feeds: A", "", equal(0)),
    Fact("overview: Connections down: A", "", equal(0)),
    Fact("overview: Longest silence of a bad feed: A", "", None),
    Fact("overview: Bad now: A", "", None),
    Fact("overview: Whose fault: A", "", CLEAR),
    Fact("overview: Whose fault: B", "", CLEAR),
    Fact("overview: Whose fault: C", "", CLEAR),
    Fact("overview: Alerts: A", "alertname=AlpmonFeedStale", None),
    Fact("overview: Alerts: A", "alertname=AlpmonConnectionDown", None),
    Fact("overview: Connections: A", "target=test", connection_is(State.LIVE)),
    Fact("topic: State: A", MUTED, topic_is(TopicState.LIVE)),
    Fact("topic: Silence over threshold: A", MUTED, below(1)),
    Fact("topic: Bad time: A", MUTED, equal(0)),
    Fact("topic: Rate against the learnt rate: A", MUTED, above(USUAL_RATE)),
    Fact("topic: Rate against the learnt rate: B", MUTED, equal(USUAL_RATE, 1)),
    Fact("topic: Rate over the learnt rate: A", MUTED, above(1)),
    Fact("connection: State: A", "target=test", connection_is(State.LIVE)),
    Fact("connection: Disconnects by cause: A", "", None),
    Fact("connection: Ping spacing: A", "target=test", equal(1, 0.5)),
    Fact("connection: Ping spacing: B", "target=test", equal(1)),
    Fact("connection: Ping spacing: B", "target=secure", equal(20)),
    Fact("connection: Sessions: C", "target=secure", equal(1)),
    Fact("connection: Sessions: C", "target=test", None),
    Fact("monitor: Event loop late, of what is tolerated: A", "", below(1)),
    Fact("monitor: Monitors that answer: A", "", equal(1)),
    Fact("monitor: Monitors with a failed reload: A", "", equal(0)),
)
"""Before anything happens."""

FAULTY: Final = (
    Fact("overview: Bad feeds: A", "", equal(1)),
    Fact("overview: Connections down: A", "", equal(0)),
    Fact("overview: Longest silence of a bad feed: A", "", above(2)),
    Fact("overview: Bad now: A", MUTED, topic_is(TopicState.STALE)),
    Fact("overview: Bad now: A", THINNED, None),
    Fact("overview: Bad now: B", MUTED, above(1.7e12)),
    Fact("overview: Bad now: C", MUTED, above(2)),
    Fact("overview: Whose fault: A", "", CLEAR),
    Fact("overview: Whose fault: C", "", TROUBLE),
    Fact("overview: Alerts: A", f"alertname=AlpmonFeedStale, alertstate=pending, {MUTED}", above(1.7e12)),
    Fact("overview: Good feed-seconds: A", "", lambda share: 0.5 < share < 1),
    Fact("overview: Error budget left: A", "", below(0)),
    Fact("overview: Monitors disagree on: A", "", equal(0)),
    Fact("overview: Worst topics: A", MUTED, topic_is(TopicState.STALE)),
    Fact("overview: Worst topics: B", MUTED, above(0)),
    Fact("overview: Worst topics: B", THINNED, equal(0)),
    Fact("overview: Worst topics: C", MUTED, equal(1, 0.5)),
    Fact("overview: Worst topics: E", MUTED, equal(2)),
    Fact("overview: Feeds by state: A", "alpmon_topic_state=stale", equal(1)),
    Fact("overview: Feeds by state: A", "alpmon_topic_state=rejected", equal(2)),
    Fact("overview: Bad share of feed-time: A", "target=test", above(0)),
    Fact("topic: State: A", MUTED, topic_is(TopicState.STALE)),
    Fact("topic: State: A", THINNED, topic_is(TopicState.LIVE)),
    Fact("topic: Silence: A", MUTED, above(2)),
    Fact("topic: Silence over threshold: A", MUTED, above(1)),
    Fact("topic: Bad time: A", MUTED, equal(1, 0.1)),
    Fact("topic: Rate against the learnt rate: A", MUTED, equal(0)),
    Fact("topic: Rate against the learnt rate: A", THINNED, lambda rate: 0 < rate < USUAL_RATE),
    Fact("topic: Rate against the learnt rate: B", THINNED, equal(USUAL_RATE, 1)),
    Fact("topic: Rate over the learnt rate: A", THINNED, below(1)),
    Fact("topic: Missed messages: A", MUTED, above(0)),
    Fact("topic: Missed messages: A", THINNED, equal(0)),
    Fact("topic: Anomalies: A", "channel=market_depth, kind=crossed_book", above(0)),
    Fact("connection: Requests that failed: A", "op=probe, reason=timeout", above(0), once=True),
    Fact("connection: Unreadable frames: A", "reason=invalid_json", above(0), once=True),
    Fact("monitor: REST reference: B", "target=test", above(0), once=True),
)
"""One feed is mute on one of two connections and thin on the other, among other faults."""

REFUSED_ENTRY: Final = (
    Fact("overview: Connections down: A", "", equal(2)),
    Fact("overview: Bad feeds: A", "", equal(0)),
    Fact("overview: Bad now: A", "", None),
    Fact("overview: Whose fault: B", "", TROUBLE, once=True),
    Fact("overview: Whose fault: C", "", TROUBLE),
    Fact("overview: Alerts: A", "alertname=AlpmonConnectionDown, alertstate=pending, target=test", above(1.7e12)),
    Fact("overview: Connections: A", "target=test", connection_is(State.BACKOFF, State.CONNECTING)),
    Fact("overview: Connections: D", "target=test", above(0)),
    Fact("overview: Worst state of each connection's feeds: A", "target=test", topic_is(TopicState.DOWN)),
    Fact("topic: State: A", MUTED, topic_is(TopicState.DOWN)),
    Fact("connection: State: A", "target=test", connection_is(State.BACKOFF, State.CONNECTING)),
    Fact("connection: State: A", "target=secure", connection_is(State.LIVE)),
    Fact("connection: Failed attempts: A", "reason=http_status", above(0)),
    Fact("connection: Disconnects by cause: A", "initiator=network, reason=connection_lost, code=1006", equal(2, 1)),
)
"""Both connections were lost and are refused: no topic of theirs is called bad."""

AFTERWARDS: Final = (
    Fact("overview: Bad feeds: A", "", equal(0)),
    Fact("overview: Connections down: A", "", equal(0)),
    Fact("overview: Longest silence of a bad feed: A", "", None),
    Fact("overview: Bad now: A", "", None),
    Fact("overview: Good feed-seconds: A", "", below(1)),
    Fact("overview: Connections: A", "target=test", connection_is(State.LIVE)),
    Fact("overview: Connections: C", "target=test", equal(1, 0.5)),
    Fact("connection: Disconnects by cause: A", "initiator=network, reason=connection_lost, code=1006", equal(2, 1)),
    Fact("connection: Session lengths: A", "le=+Inf", equal(2)),
    Fact("connection: Requests that failed: B", "reason=invalid_topic", above(0), once=True),
    Fact("topic: State: A", MUTED, topic_is(TopicState.LIVE)),
    Fact("topic: State: A", MUTED, topic_is(TopicState.STALE), once=True),
    Fact("topic: State: A", MUTED, topic_is(TopicState.DOWN), once=True),
)
"""All is well again, and what was is told where the past is told."""
SHOWN_BEFORE: Final = {fact.query for fact in FAULTY if fact.holds is not None}
"""These may be empty once all is well again."""
