"""What is wrong, since when, and whose fault: each rule on both its sides."""

from __future__ import annotations

from typing import Any

import pytest

from alpmon.core.freshness import TopicState
from alpmon.core.states import State
from alpmon.telemetry.alerts import (
    ACK_SLOW,
    ANOMALIES,
    CLOCK_OFFSET_SECONDS,
    DIVERGENCE_SECONDS,
    ERROR_FRAMES,
    FLAPPING,
    LAGGING,
    MALFORMED_FRAMES,
    MAX_LATE_SHARE,
    MISSED_MESSAGES,
    PONG_SLOW,
    RECONNECT_FAILING,
    Alert,
    Lapse,
)
from alpmon.telemetry.labels import FailureReason
from alpmon.telemetry.targetstatus import ConnectionStatus, EndStatus, TargetStatus, TopicStatus
from alpmon.telemetry.troubles import (
    CERTIFICATE_BAD_SECONDS,
    CERTIFICATE_WARNING_SECONDS,
    DEAF_INTERVALS,
    THIN_RATIO,
    Fault,
    Kind,
    Level,
)
from alpmon.telemetry.verdict import ALERTS as FOUND_BY
from alpmon.telemetry.verdict import Finding, Own, Verdict, judge
from grafana.source.rules import variables
from tests.grafana import shipped

NOW = 1_790_000_000.0
STARTED = NOW - 600.0
DAY = 86400.0


def topic(name: str = "trade.*", state: TopicState = TopicState.LIVE, **more: Any) -> TopicStatus:
    fields = {"messages": 7, "bytes": 70, "last_message_timestamp_seconds": NOW, "state_seconds": 25.0, **more}
    return TopicStatus(topic=name, state=state, **fields)


def connection(*topics: TopicStatus, label: str = "0-0", **more: Any) -> ConnectionStatus:
    """One that is up and well, but for what is given."""
    fields = {
        "state": State.LIVE,
        "state_seconds": 60.0,
        "up": True,
        "client_id": "client-1",
        "dialect": "observed",
        "session_seconds": 60.0,
        "token_accepted": None,
        "advertised_ping_interval_seconds": 20.0,
        "advertised_ping_timeout_seconds": 30.0,
        "last_frame_ago_seconds": 0.5,
        "last_ping_ago_seconds": 10.0,
        "frames": 100,
        "attempts": 1,
        "worker_restarts": 0,
        "last_failure": None,
        "last_failure_ago_seconds": None,
        "last_end": None,
        "retry_in_seconds": None,
        "topics_in_trouble": 0,
        "lapses": [],
        **more,
    }
    return ConnectionStatus(connection=label, topics=list(topics or (topic(),)), **fields)


def down(label: str = "0-0", **more: Any) -> ConnectionStatus:
    return connection(topic(state=TopicState.DOWN), label=label, up=False, **{"state": State.BACKOFF, **more})


def failed(reason: str, ago: float = 1.0) -> dict[str, Any]:
    return {"last_failure": f"{reason}: tcp: so it was", "last_failure_ago_seconds": ago}


def ended(initiator: str, reason: str, ago: float = 30.0, words: str = "") -> dict[str, Any]:
    end = EndStatus(
        timestamp_seconds=NOW - ago,
        ago_seconds=ago,
        initiator=initiator,
        code="1012",
        reason=reason,
        close_reason=words,
    )
    return {"last_end": end}


def target(
    *connections: ConnectionStatus, name: str = "alp", expires_in: float | None = None, offset: float | None = 0.0
) -> TargetStatus:
    return TargetStatus(
        target=name,
        url="wss://exchange.test/ws",
        certificate_expires_in_seconds=expires_in,
        clock_offset_seconds=offset,
        clock_offset_error_seconds=0.25,
        symbols_dropped=0,
        connections=list(connections),
    )


def verdict(*targets: TargetStatus, **own: Any) -> Verdict:
    return judge(targets, Own(STARTED, **own), NOW)


def only(*targets: TargetStatus, **own: Any) -> Finding:
    [finding] = verdict(*targets, **own).findings
    return finding


def test_all_is_well() -> None:
    """A quiet topic is well, and so is a private channel, which is never judged."""
    quiet, private = topic(state=TopicState.QUIET), topic("wallet", None)  # type: ignore[arg-type]
    shown = verdict(target(connection(topic(), quiet, private)))
    assert (shown.level, shown.fault, shown.findings) == (Level.GOOD, Fault.NOBODY, [])
    assert shown.sentence == "All is well: 3 topics on 1 connection"


def test_a_monitor_that_holds_nothing_does_not_say_that_all_is_well() -> None:
    """As where there are more shards than connections."""
    shown = verdict(target())
    assert (shown.level, shown.sentence) == (Level.WAITING, "This monitor holds no connection")


def test_a_stale_topic_on_a_living_connection_is_the_exchanges_fault() -> None:
    """Since it became stale."""
    found = only(target(connection(topic(), topic("ticker.*", TopicState.STALE))))
    assert (found.kind, found.level, found.fault) == (Kind.STALE, Level.BAD, Fault.EXCHANGE)
    assert found.sentence == "ticker.* is stale on alp 0-0"
    assert found.because == "the connection is alive, and this feed is not"
    assert (found.since_timestamp_seconds, found.alert) == (NOW - 25.0, "AlpmonFeedStale")


def test_a_topic_that_a_sibling_gets_says_so() -> None:
    """Then the market is not the reason, and neither is the feed as a whole."""
    found = only(target(connection(topic(state=TopicState.STALE)), connection(topic(), label="0-1")))
    assert (found.fault, found.because) == (Fault.EXCHANGE, "another connection of ours gets it")
    assert found.connections == ["0-0"]


def test_topics_of_a_deaf_connection_are_the_networks_fault() -> None:
    """Nothing for one and a half ping intervals, not even pings: the connection comes first, its topics after."""
    deaf = connection(topic(state=TopicState.STALE), last_frame_ago_seconds=30.5)
    first, second = verdict(target(deaf)).findings
    assert (first.kind, first.fault, first.since_timestamp_seconds) == (Kind.DEAF, Fault.NETWORK, NOW - 30.5)
    assert (second.kind, second.fault) == (Kind.STALE, Fault.NETWORK)
    waiting = connection(topic(state=TopicState.STALE), last_frame_ago_seconds=29.5)
    assert only(target(waiting)).fault is not Fault.NETWORK


@pytest.mark.parametrize(
    ("late", "silent", "is_alive"), [(10.0, 9.9, True), (10.0, 10.1, False), (0.0, 4.9, True), (0.0, 5.1, False)]
)
@pytest.mark.parametrize("state", [TopicState.STALE, TopicState.SILENT])
def test_who_is_at_fault_is_unclear_until_another_frame_comes(
    state: TopicState, late: float, silent: float, is_alive: bool
) -> None:
    """Where a connection has just died, a topic is late before a ping is; a sibling's feed proves nothing here."""
    dying = connection(topic(state=state, state_seconds=late), last_frame_ago_seconds=silent)
    found = only(target(dying, connection(topic(), label="0-1")))
    assert found.fault is (Fault.EXCHANGE if is_alive else Fault.UNCLEAR)
    assert ("may be dead itself" in found.because) is not is_alive


@pytest.mark.parametrize(
    ("state", "fault", "sentence"),
    [
        (TopicState.SILENT, Fault.EXCHANGE, "trade.* has never delivered on alp 0-0"),
        (TopicState.REJECTED, Fault.CONFIGURATION, "trade.* was rejected on alp 0-0"),
    ],
)
def test_silent_and_rejected_topics(state: TopicState, fault: Fault, sentence: str) -> None:
    """The one is acknowledged and void, the other was never accepted."""
    found = only(target(connection(topic(state=state))))
    assert (found.fault, found.sentence) == (fault, sentence)


@pytest.mark.parametrize(("ratio", "thin"), [(None, False), (0.099, True), (0.1, False), (1.0, False)])
def test_a_thin_topic_is_a_warning(ratio: float | None, thin: bool) -> None:
    """Below a tenth of its usual rate; where none is learnt nothing is said."""
    shown = verdict(target(connection(topic(rate_ratio=ratio))))
    assert [(each.kind, each.level) for each in shown.findings] == ([(Kind.THIN, Level.WARNING)] if thin else [])


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("dns", Fault.NETWORK),
        ("unreachable", Fault.NETWORK),
        ("timeout", Fault.NETWORK),
        ("refused", Fault.EXCHANGE),
        ("tls", Fault.EXCHANGE),
        ("http_status", Fault.EXCHANGE),
        ("handshake", Fault.EXCHANGE),
        ("welcome_timeout", Fault.EXCHANGE),
        ("auth", Fault.CONFIGURATION),
        ("other", Fault.UNCLEAR),
    ],
)
def test_an_attempt_that_failed_says_whose_fault(reason: str, fault: Fault) -> None:
    """By its reason, with its own words; never up, so down since the start."""
    found = only(target(down(**failed(reason))))
    assert (found.kind, found.fault) == (Kind.DOWN, fault)
    assert found.because.endswith(" (tcp: so it was)")
    assert found.since_timestamp_seconds == STARTED


def test_every_reason_of_a_failure_is_known() -> None:
    """A new one must be given to somebody; only `other` is nobody's."""
    unclear = [reason for reason in FailureReason if only(target(down(**failed(reason)))).fault is Fault.UNCLEAR]
    assert unclear == [FailureReason.OTHER]


@pytest.mark.parametrize(
    ("initiator", "reason", "fault"),
    [
        ("server", "close_frame", Fault.EXCHANGE),
        ("network", "connection_lost", Fault.NETWORK),
        ("client", "silence", Fault.NETWORK),
        ("client", "ping_timeout", Fault.NETWORK),
        ("client", "protocol_error", Fault.EXCHANGE),
        ("client", "too_big", Fault.EXCHANGE),
    ],
)
def test_a_session_that_ended_says_whose_fault(initiator: str, reason: str, fault: Fault) -> None:
    """Down since its end."""
    found = only(target(down(**ended(initiator, reason))))
    assert (found.kind, found.fault, found.since_timestamp_seconds) == (Kind.DOWN, fault, NOW - 30.0)


def test_the_servers_own_words_are_told() -> None:
    """With the code."""
    found = only(target(down(**ended("server", "close_frame", words="service restart"))))
    assert found.because == "it closed the session with code 1012, saying “service restart”"


@pytest.mark.parametrize(("failed_ago", "fault"), [(10.0, Fault.EXCHANGE), (50.0, Fault.NETWORK)])
def test_the_newer_of_failure_and_end_is_the_cause(failed_ago: float, fault: Fault) -> None:
    """The older one is history."""
    both = {**failed("refused", failed_ago), **ended("network", "connection_lost")}
    assert only(target(down(**both))).fault is fault


@pytest.mark.parametrize(
    "fields", [{"state": State.CONNECTING}, ended("client", "reload"), {"state": State.STOPPED}, {}]
)
def test_a_connection_that_is_just_being_made_is_nobodys_fault(fields: dict[str, Any]) -> None:
    """At the start, and after we ended it ourselves."""
    shown = verdict(target(down(**fields)))
    assert (shown.level, shown.fault, shown.sentence) == (Level.WAITING, Fault.NOBODY, "alp 0-0 is being connected")


def test_a_slow_monitor_comes_first_and_hides_nothing() -> None:
    """It may be the reason for all the rest."""
    late = target(connection(topic(state=TopicState.STALE)))
    shown = verdict(late, late_share=0.26)
    assert (shown.fault, shown.level, len(shown.findings)) == (Fault.MONITOR, Level.BAD, 2)
    assert shown.sentence == "This monitor is too slow to judge anybody, and 1 more trouble"
    assert verdict(late, late_share=0.25).fault is Fault.EXCHANGE


def test_a_refused_reload_is_a_warning() -> None:
    """Below everything that is bad."""
    shown = verdict(target(down(**failed("dns"))), reload_refused=True)
    assert [each.kind for each in shown.findings] == [Kind.DOWN, Kind.RELOAD]
    assert shown.findings[1].level is Level.WARNING


@pytest.mark.parametrize(
    ("left", "level"),
    [(None, None), (14.5 * DAY, None), (13.5 * DAY, Level.WARNING), (1.5 * DAY, Level.BAD), (-1.0, Level.BAD)],
)
def test_a_certificate_is_told_before_it_ends(left: float | None, level: Level | None) -> None:
    """Two weeks ahead, and gravely two days ahead."""
    found = verdict(target(connection(), expires_in=left)).findings
    assert [each.level for each in found] == ([level] if level else [])


def test_the_same_trouble_on_many_connections_is_told_once() -> None:
    """With how many of how many, since the first of them."""
    lost = [down(str(n), **ended("server", "close_frame", ago=10.0 + n)) for n in range(3)]
    found = only(target(*lost, connection(label="9-0")))
    assert found.sentence == "3 of 4 connections of alp are down"
    assert (found.connections, found.since_timestamp_seconds) == (["0", "1", "2"], NOW - 12.0)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("a", "a is stale on alp 0-0"),
        ("ab", "a and b are stale on alp 0-0"),
        ("abc", "a, b and c are stale on alp 0-0"),
        ("abcde", "a, b and 3 more topics are stale on alp 0-0"),
    ],
)
def test_topics_are_named_while_they_are_few(names: str, sentence: str) -> None:
    """A sentence that nobody can read says nothing."""
    found = only(target(connection(*(topic(name, TopicState.STALE) for name in names))))
    assert (found.sentence, found.topics) == (sentence, len(names))


def test_the_page_and_the_alerts_draw_their_lines_at_the_same_place() -> None:
    """Who is paged by one finds the other saying the same."""
    assert {
        "monitor_slow_ratio": MAX_LATE_SHARE,
        "clock_offset_seconds": CLOCK_OFFSET_SECONDS,
        "reference_divergence_seconds": DIVERGENCE_SECONDS,
        "feed_lag_seconds": LAGGING.slower_than,
        "feed_lag_share": LAGGING.share,
        "feed_lag_messages": LAGGING.more_than + 1,
        "pong_slow_seconds": PONG_SLOW.slower_than,
        "pong_slow_share": PONG_SLOW.share,
        "ack_slow_seconds": ACK_SLOW.slower_than,
        "ack_slow_share": ACK_SLOW.share,
        "ping_overdue_ratio": DEAF_INTERVALS,
        "feed_thin_ratio": THIN_RATIO,
        "certificate_warning_days": CERTIFICATE_WARNING_SECONDS / DAY,
        "certificate_critical_days": CERTIFICATE_BAD_SECONDS / DAY,
    }.items() <= variables().items()


def test_every_alert_about_a_connection_has_a_finding_of_its_name() -> None:
    """Who is paged finds on the page what for; the others are of several monitors, or of a monitor that is gone."""
    fleet = {"Absent", "ShardMissing", "ShardDoubled", "ReplicasDisagree", "ErrorBudgetBurn"}
    told = {alert["alert"] for alert in shipped.alerts()} - {f"Alpmon{name}" for name in fleet}
    assert set(FOUND_BY.values()) == told


def lapse(alert: Alert, what: str = "", **more: Any) -> Lapse:
    fields = {"count": 7, "share": None, "slow_round_trips": None, "since_timestamp_seconds": NOW - 90.0, **more}
    return Lapse(alert=alert.name, what=what, window_seconds=alert.window, **fields)


LATELY = [
    (lapse(LAGGING, "trade"), Kind.LAGGING, Fault.UNCLEAR, "alp 0-0 brings old messages"),
    (lapse(LAGGING, "trade", slow_round_trips=0.5), Kind.LAGGING, Fault.EXCHANGE, "alp 0-0 brings old messages"),
    (lapse(LAGGING, "trade", slow_round_trips=0.6), Kind.LAGGING, Fault.NETWORK, "alp 0-0 brings old messages"),
    (lapse(ACK_SLOW, slow_round_trips=0.0), Kind.ACK_SLOW, Fault.EXCHANGE, "alp 0-0 acknowledges late"),
    (lapse(PONG_SLOW), Kind.PONG_SLOW, Fault.MONITOR, "alp 0-0 gets its pongs late"),
    (lapse(ANOMALIES, "trade crossed_book"), Kind.ANOMALIES, Fault.EXCHANGE, "alp 0-0 contradicts itself"),
    (lapse(MALFORMED_FRAMES), Kind.MALFORMED, Fault.EXCHANGE, "alp 0-0 sends what cannot be read"),
    (lapse(ERROR_FRAMES, "unauthorized"), Kind.ERRORS, Fault.UNCLEAR, "alp 0-0 reports errors"),
    (lapse(MISSED_MESSAGES, "trade.*"), Kind.MISSED, Fault.EXCHANGE, "trade.* has missed messages on alp 0-0"),
    (lapse(RECONNECT_FAILING, "dns"), Kind.FAILING, Fault.NETWORK, "alp 0-0 was hard to reach"),
    (lapse(FLAPPING), Kind.FLAPPING, Fault.NOBODY, "alp 0-0 keeps being lost"),
]


@pytest.mark.parametrize(
    ("lately", "kind", "fault", "sentence"), LATELY, ids=[f"{kind}-{fault}" for _, kind, fault, _ in LATELY]
)
def test_what_passes_and_comes_back_is_told(lately: Lapse, kind: Kind, fault: Fault, sentence: str) -> None:
    """With what was counted, over what time, and since when; a connection that is live meanwhile hides none of it."""
    found = only(target(connection(lapses=[lately])))
    assert (found.kind, found.fault, found.sentence) == (kind, fault, sentence)
    assert found.since_timestamp_seconds == NOW - 90.0
    assert f"in the last {lately.window_seconds / 60:.0f} min" in found.because
    assert lately.what in found.because + found.sentence or kind is Kind.FAILING
    assert found.level is (Level.BAD if kind is Kind.LAGGING else Level.WARNING)


def test_a_connection_that_keeps_being_lost_says_how_it_was_the_last_time() -> None:
    """That is whose fault it seems to be."""
    found = only(target(connection(lapses=[lapse(FLAPPING)], **ended("network", "connection_lost"))))
    assert (found.kind, found.fault) == (Kind.FLAPPING, Fault.NETWORK)
    assert "cut without a close frame" in found.because


def test_what_a_rejected_topic_tells_is_not_told_twice() -> None:
    """The error frame is how it was rejected; other errors come first to the log."""
    errors = [lapse(ERROR_FRAMES, "invalid_topic")]
    assert only(target(connection(topic(state=TopicState.REJECTED), lapses=errors))).kind is Kind.REJECTED
    assert only(target(connection(lapses=errors))).kind is Kind.ERRORS


@pytest.mark.parametrize(("offset", "differs"), [(None, False), (1.25, False), (1.26, True), (-1.26, True)])
def test_clocks_that_surely_differ_are_told(offset: float | None, differs: bool) -> None:
    """The error of the estimate, a quarter of a second, taken off."""
    findings = verdict(target(connection(), offset=offset)).findings
    assert [found.sentence for found in findings] == ["The clock of alp and ours differ"] * differs


@pytest.mark.parametrize(("behind", "last", "diverged"), [(60.0, NOW, False), (60.1, NOW, True), (60.1, None, False)])
def test_a_topic_that_rest_is_ahead_of_is_told(behind: float, last: float | None, diverged: bool) -> None:
    """Though it is not stale by its own cadence; one that never delivered is silent, and that is told by its state."""
    shown = topic(reference_divergence_seconds=behind, last_message_timestamp_seconds=last)
    findings = verdict(target(connection(shown))).findings
    assert [found.sentence for found in findings] == ["trade.* has fallen behind REST on alp 0-0"] * diverged
    assert all(found.since_timestamp_seconds == NOW - behind for found in findings)


@pytest.mark.parametrize(("accepted", "closed"), [(None, False), (True, False), (False, True)])
def test_a_token_that_was_refused_is_told_for_as_long_as_it_is(accepted: bool | None, closed: bool) -> None:
    """The public topics go on, and hide nothing; the error frame is not told twice."""
    errors = [lapse(ERROR_FRAMES, "unauthorized")] if closed else []
    findings = verdict(target(connection(token_accepted=accepted, lapses=errors))).findings
    assert [found.sentence for found in findings] == ["The private channels are closed on alp 0-0"] * closed
    assert all((found.level, found.fault) == (Level.BAD, Fault.CONFIGURATION) for found in findings)
    assert all(found.alert == "AlpmonPrivateChannelsClosed" for found in findings)


def test_several_targets_that_cannot_be_reached_point_at_this_machine() -> None:
    """It is what they have in common; one that is up clears it."""
    lost = [target(down(**failed("timeout")), name=name) for name in ("one", "two")]
    assert "this machine's own" in verdict(*lost).because
    assert "this machine's own" not in verdict(*lost, target(connection(), name="three")).because


def test_the_worst_comes_first_then_the_oldest() -> None:
    """Down before stale, stale before thin."""
    topics = (topic("c", rate_ratio=0.01), topic("b", TopicState.STALE))
    shown = verdict(target(connection(*topics)), target(down(**ended("network", "connection_lost")), name="other"))
    assert [each.kind for each in shown.findings] == [Kind.DOWN, Kind.STALE, Kind.THIN]
    assert shown.sentence == "other 0-0 is down, and 2 more troubles"
    assert shown.since_timestamp_seconds == NOW - 30.0
