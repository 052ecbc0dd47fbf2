"""What a scrape says about what was seen."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from functools import partial
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.registry import DuplicateTimeseries

from alpmon.core.events import FrameKind
from alpmon.core.freshness import TopicState
from alpmon.core.states import State
from alpmon.core.subscriptions import RequestOp
from alpmon.core.topics import Channel
from alpmon.telemetry.histogram import LATENCY_BUCKETS, Histogram
from alpmon.telemetry.labels import PingKind
from alpmon.telemetry.metrics import register, render
from alpmon.telemetry.state import ConnectionRecord, SymbolRecord, TargetRecord, TopicRecord
from tests.telemetry.records import (
    OPENMETRICS,
    STARTED_WALL,
    Clock,
    Scraper,
    bring_up,
    connection,
    fresh_monitor,
)


@pytest.fixture
def record() -> ConnectionRecord:
    """The one connection of the scraped monitor."""
    return connection()


@pytest.fixture
def scraper(record: ConnectionRecord) -> Scraper:
    return Scraper(fresh_monitor(record))


# Sessions


def test_an_up_connection_says_so_and_names_its_session(scraper: Scraper, record: ConnectionRecord) -> None:
    """From the welcome on."""
    bring_up(record, scraper.clock.now)
    assert scraper.value("alpmon_connection_up") == 1
    assert scraper.value("alpmon_connection_established_timestamp_seconds") == STARTED_WALL
    assert scraper.children("alpmon_session_info") == [{"client_id": "client-1", "dialect": "observed"}]


def test_a_connection_that_is_down_has_no_session(scraper: Scraper) -> None:
    """Not even one with an empty client id."""
    assert scraper.value("alpmon_connection_up") == 0
    assert scraper.value("alpmon_connection_established_timestamp_seconds") == 0
    assert scraper.children("alpmon_session_info") == []


@pytest.mark.parametrize("state", list(State))
def test_exactly_the_present_connection_state_is_one(scraper: Scraper, record: ConnectionRecord, state: State) -> None:
    """All states are there, and one of them is it."""
    record.state = state
    shown = {
        s.labels["alpmon_connection_state"]: s.value for s in scraper.samples() if s.name == "alpmon_connection_state"
    }
    assert shown == {each.value: float(each is state) for each in State}


def test_the_url_is_shown_without_its_password() -> None:
    """Secrets never reach a metric."""
    scraper = Scraper(fresh_monitor(url="wss://me:hunter2@exchange.test/ws?token=s3cret"))
    text = scraper.text()
    assert 'url="wss://me:***@exchange.test/ws?token=***"' in text
    assert "hunter2" not in text
    assert "s3cret" not in text


def test_a_session_end_is_counted_by_who_how_and_why(scraper: Scraper, record: ConnectionRecord) -> None:
    """Its neighbours stay at 0."""
    record.disconnects["server", "1012", "close_frame"] += 2
    labels = {"initiator": "server", "reason": "close_frame"}
    assert scraper.value("alpmon_disconnects_total", code="1012", **labels) == 2
    assert scraper.value("alpmon_disconnects_total", code="1001", **labels) == 0


def test_an_unforeseen_session_end_appears_when_it_happens(scraper: Scraper, record: ConnectionRecord) -> None:
    """Nothing is lost for not being on the list."""
    unforeseen = {"initiator": "server", "code": "1003", "reason": "close_frame"}
    assert unforeseen not in scraper.children("alpmon_disconnects_total")
    record.disconnects["server", "1003", "close_frame"] += 1
    assert scraper.value("alpmon_disconnects_total", **unforeseen) == 1


def test_unregistered_close_codes_share_one_series(scraper: Scraper, record: ConnectionRecord) -> None:
    """A server may invent 2000 codes; they add up under `other`."""
    before = len(scraper.children("alpmon_disconnects_total"))
    for code in range(4000, 4100):
        record.disconnects["server", str(code), "close_frame"] += 1
    assert scraper.value("alpmon_disconnects_total", code="other") == 100
    assert len(scraper.children("alpmon_disconnects_total")) == before


# Frames, topics, symbols


def test_data_frames_are_the_sum_of_both_ways_in(scraper: Scraper, record: ConnectionRecord) -> None:
    """Public data is counted where it arrives, private data with the other frames."""
    record.data_frames = 7
    record.frames[FrameKind.DATA] += 2
    record.frames[FrameKind.ACK] += 1
    assert scraper.value("alpmon_frames_total", kind="data") == 9
    assert scraper.value("alpmon_frames_total", kind="ack") == 1


def test_a_private_channel_is_counted_and_never_judged(scraper: Scraper, record: ConnectionRecord) -> None:
    """An account may be silent for ever, so it has no state, no age and no threshold."""
    record.topics["wallet"] = TopicRecord("wallet", None, messages=3, bytes=120, last_message_wall=STARTED_WALL)
    families = {sample.name for sample in scraper.samples() if sample.labels.get("topic") == "wallet"}
    assert families == {
        "alpmon_messages_total",
        "alpmon_message_bytes_total",
        "alpmon_topic_last_message_timestamp_seconds",
    }
    assert scraper.value("alpmon_messages_total", topic="wallet") == 3


def test_a_topic_turns_stale_between_two_scrapes_without_any_event(scraper: Scraper, record: ConnectionRecord) -> None:
    """Its state, flag, seconds and episodes are those of the moment of the scrape."""
    bring_up(record, scraper.clock.now)
    freshness = record.topics["trade.*"].freshness
    assert freshness is not None
    freshness.message(scraper.clock.now)
    assert scraper.value("alpmon_topic_stale", topic="trade.*") == 0
    scraper.clock.now += 14.0
    assert scraper.value("alpmon_topic_stale", topic="trade.*") == 1
    assert scraper.value("alpmon_topic_state", topic="trade.*", alpmon_topic_state=TopicState.STALE) == 1
    assert scraper.value("alpmon_topic_stale_seconds_total", topic="trade.*") == pytest.approx(4.0)
    assert scraper.value("alpmon_topic_stale_episodes_total", topic="trade.*") == 1
    assert scraper.value("alpmon_topic_stale_after_seconds", topic="trade.*") == 10.0


def test_a_silent_topic_counts_as_stale(scraper: Scraper, record: ConnectionRecord) -> None:
    """Acknowledged and never heard of: `silent`, which the flag shows as 1."""
    bring_up(record, scraper.clock.now)
    scraper.clock.now += 31.0
    assert scraper.value("alpmon_topic_state", topic="trade.*", alpmon_topic_state=TopicState.SILENT) == 1
    assert scraper.value("alpmon_topic_stale", topic="trade.*") == 1


def test_exactly_one_topic_state_is_one(scraper: Scraper) -> None:
    """A connection that never came up has its topics `down`, and in no other state."""
    shown = [s for s in scraper.samples() if s.name == "alpmon_topic_state" and s.labels["topic"] == "trade.*"]
    assert {s.labels["alpmon_topic_state"] for s in shown if s.value == 1} == {"down"}
    assert len(shown) == len(TopicState)


def test_symbols_appear_with_their_channel(scraper: Scraper, record: ConnectionRecord) -> None:
    """One child a pair and channel, as they come."""
    record.symbols[Channel.TRADE, "BTC_USDT"] = SymbolRecord(5, STARTED_WALL)
    record.symbols[Channel.TICKER, "BTC_USDT"] = SymbolRecord(6, STARTED_WALL)
    assert scraper.value("alpmon_symbol_messages_total", channel="trade", symbol="BTC_USDT") == 5
    assert scraper.value("alpmon_symbol_messages_total", channel="ticker", symbol="BTC_USDT") == 6


def test_what_a_connection_missed_and_how_late_it_was(scraper: Scraper, record: ConnectionRecord) -> None:
    """By topic, and over all topics."""
    trades, delay = record.topics["trade.*"].standing, record.delivery_delay
    assert trades is not None
    assert delay is not None
    trades.missed = 3
    delay.observe(0.3)
    assert scraper.value("alpmon_missed_messages_total", topic="trade.*") == 3
    assert scraper.value("alpmon_missed_messages_total", topic="ticker.*") == 0
    assert scraper.value("alpmon_delivery_delay_seconds_sum") == pytest.approx(0.3)


def test_a_connection_without_siblings_can_miss_nothing(scraper: Scraper, record: ConnectionRecord) -> None:
    """A zero would say that somebody looked."""
    record.delivery_delay = None
    for topic in record.topics.values():
        topic.standing = None
    shown = {sample.name for sample in scraper.samples()}
    assert not any(name.startswith(("alpmon_missed", "alpmon_delivery_delay")) for name in shown)


def test_how_long_rest_has_shown_news(scraper: Scraper, record: ConnectionRecord) -> None:
    """It grows from when the news was first seen; a topic that REST is not asked about has no series."""
    watch = record.topics["trade.*"].watch
    assert watch is not None
    watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, scraper.clock.now - 5.0)
    watch.answered({"BTC_USDT": 8}, {"BTC_USDT": 7}, scraper.clock.now - 1.0)
    record.topics["ticker.*"].watch = None
    assert scraper.value("alpmon_topic_reference_divergence_seconds") == 5.0


def test_a_target_that_another_shard_holds_has_no_series(record: ConnectionRecord) -> None:
    """Of a fleet's thousands of targets each shard shows its own; none of them twice."""
    monitor = fresh_monitor(record)
    monitor.targets["elsewhere"] = TargetRecord("elsewhere", "wss://elsewhere.test/ws")
    shown = {sample.labels["target"] for sample in Scraper(monitor).samples() if "target" in sample.labels}
    assert shown == {"alp"}


def test_the_certificate_and_dropped_symbols_are_the_targets(record: ConnectionRecord) -> None:
    """Read from the target, shown at each of its connections and at the target alone."""
    monitor = fresh_monitor(record)
    monitor.targets["alp"].connections["0-0"].certificate_not_after_wall = 1_800_000_000.0
    for symbol in ("A_B", "C_D", "A_B"):
        monitor.targets["alp"].drop_symbol(symbol)
    scraper = Scraper(monitor)
    assert scraper.value("alpmon_tls_certificate_not_after_timestamp_seconds", connection="0-0") == 1_800_000_000.0
    assert scraper.value("alpmon_symbols_dropped_total", target="alp") == 2


# Histograms


@settings(max_examples=40)
@given(st.lists(st.floats(min_value=0, max_value=100) | st.sampled_from(LATENCY_BUCKETS), max_size=50))
def test_buckets_hold_what_is_at_most_their_limit(values: list[float]) -> None:
    """Cumulated and inclusive, as Prometheus defines `le`."""
    record = connection(topics=())
    for value in values:
        record.rtt.observe(value)
    family = Scraper(fresh_monitor(record)).families()["alpmon_rtt_seconds"]
    buckets = {float(s.labels["le"]): s.value for s in family.samples if s.name.endswith("_bucket")}
    assert buckets == {limit: sum(value <= limit for value in values) for limit in (*LATENCY_BUCKETS, inf)}
    totals = {s.name.removeprefix("alpmon_rtt_seconds"): s.value for s in family.samples if "le" not in s.labels}
    assert totals == {"_count": len(values), "_sum": pytest.approx(sum(values))}


def test_limits_are_written_as_go_writes_them(scraper: Scraper) -> None:
    """A query for le="86400.0" must find the series whatever client made it."""
    limits = {child["le"] for child in scraper.children("alpmon_session_duration_seconds_bucket")}
    assert {"1.0", "3600.0", "86400.0", "604800.0", "+Inf"} <= limits


def test_an_ack_histogram_is_there_before_the_first_ack(scraper: Scraper) -> None:
    """For every operation, though the record starts without any."""
    ops = {child["op"] for child in scraper.children("alpmon_subscribe_ack_seconds_count")}
    assert ops == set(RequestOp)


def test_latency_buckets_name_the_session_of_their_last_observation(scraper: Scraper, record: ConnectionRecord) -> None:
    """Pong, ack and round trip carry exemplars in OpenMetrics, on the bucket that the value fell into."""
    record.rtt.observe_for(0.3, "session-a", STARTED_WALL)
    record.pong_latency[PingKind.TEXT].observe_for(0.3, "session-b", STARTED_WALL)
    record.ack[RequestOp.SUBSCRIBE] = Histogram(LATENCY_BUCKETS)
    record.ack[RequestOp.SUBSCRIBE].observe_for(0.3, "session-c", STARTED_WALL)
    found = {
        (family.name, sample.labels["le"], sample.exemplar.labels["client_id"], sample.exemplar.value)
        for family in scraper.families().values()
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {
        ("alpmon_rtt_seconds", "0.5", "session-a", 0.3),
        ("alpmon_pong_latency_seconds", "0.5", "session-b", 0.3),
        ("alpmon_subscribe_ack_seconds", "0.5", "session-c", 0.3),
    }
    assert "session-a" not in scraper.text()


# Over time, and while the event loop writes

_EVENTS = st.lists(
    st.tuples(st.sampled_from(["up", "down", "message", "end", "frame", "wait"]), st.floats(0, 40)), max_size=25
)


@given(_EVENTS)
def test_counters_never_go_back(events: list[tuple[str, float]]) -> None:
    """Whatever happens to the connection, and whenever it is scraped."""
    clock, record = Clock(), connection()
    scraper = Scraper(fresh_monitor(record), clock)
    before = _counters(scraper)
    for event, seconds in events:
        clock.now += seconds
        _happen(record, event, clock.now)
        after = _counters(scraper)
        assert all(after[key] >= value for key, value in before.items())
        before = after


def _counters(scraper: Scraper) -> dict[tuple[object, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in scraper.registry.collect()
        if metric.type == "counter" and metric.name.startswith("alpmon_")
        for sample in metric.samples
    }


def _happen(record: ConnectionRecord, event: str, now: float) -> None:
    topics = [topic.freshness for topic in record.topics.values() if topic.freshness is not None]
    match event:
        case "up":
            bring_up(record, now)
        case "down":
            for topic in topics:
                topic.down(now)
        case "message":
            topics[0].message(now)
        case "end":
            record.disconnects["server", "4000", "close_frame"] += 1
        case "frame":
            record.data_frames += 1


def _writes_when_read(record: object, attribute: str, write: Callable[[], None]) -> None:
    """Let the event loop write whenever a scrape reads this attribute: the worst moment a thread switch can choose."""
    value = getattr(record, attribute)

    def read(_: object) -> object:
        write()
        return value

    record.__class__ = type("Watched", (type(record),), {"__slots__": (), attribute: property(read)})


def test_a_symbol_may_come_while_symbols_are_read(scraper: Scraper, record: ConnectionRecord) -> None:
    """The scrape goes on with those that it knew."""
    known = record.symbols[Channel.TRADE, "A_B"] = SymbolRecord(1, STARTED_WALL)
    for attribute in ("messages", "last_message_wall"):
        newcomer = (Channel.TICKER, f"NEW{len(attribute)}_B")
        _writes_when_read(known, attribute, partial(record.symbols.__setitem__, newcomer, SymbolRecord()))
    before = len(record.symbols)
    assert "A_B" in scraper.text()
    assert len(record.symbols) == before + 2


def test_a_topic_may_come_while_topics_are_read(scraper: Scraper, record: ConnectionRecord) -> None:
    """Topics move between connections while the server teaches us its limit."""
    newcomer = TopicRecord("rates.*", None)
    _writes_when_read(record.topics["trade.*"], "messages", partial(record.topics.__setitem__, "rates.*", newcomer))
    assert "trade.*" in scraper.text()
    assert "rates.*" in record.topics


def test_a_connection_may_come_while_connections_are_read() -> None:
    """An overflow opens one at any time."""
    record = connection("0-0")
    monitor = fresh_monitor(record)
    connections = monitor.targets["alp"].connections
    _writes_when_read(record, "label", partial(connections.__setitem__, "1-0", connection("1-0")))
    assert 'connection="0-0"' in Scraper(monitor).text()
    assert "1-0" in connections


def test_a_session_may_end_while_ends_are_read(scraper: Scraper, record: ConnectionRecord) -> None:
    """The new way of ending shows at the next scrape."""

    class Code(str):
        __slots__ = ()

        def __hash__(self) -> int:
            record.disconnects["server", "1003", "close_frame"] = 1
            return super().__hash__()

    dict.__setitem__(record.disconnects, ("server", Code("1001"), "close_frame"), 1)
    record.disconnects.pop(("server", "1003", "close_frame"))
    assert scraper.value("alpmon_disconnects_total", initiator="server", code="1001") == 1
    assert scraper.value("alpmon_disconnects_total", initiator="server", code="1003") == 1


# The two formats


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=nonsense", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_is_the_one_asked_for(scraper: Scraper, accept: str, content_type: str) -> None:
    """And the text format where the request makes no sense of it."""
    scrape = render(scraper.registry, accept, "")
    assert scrape.content_type == content_type
    assert scrape.body.endswith(b"# EOF\n") is content_type.startswith("application/openmetrics")


@pytest.mark.parametrize(("encodings", "gzipped"), [("gzip, deflate", True), ("br", False), ("", False)])
def test_a_scrape_is_compressed_where_that_is_accepted(scraper: Scraper, encodings: str, gzipped: bool) -> None:
    """And only there."""
    scrape = render(scraper.registry, "", encodings)
    assert scrape.gzipped is gzipped
    body = gzip.decompress(scrape.body) if gzipped else scrape.body
    assert b"alpmon_connection_up{" in body


def test_a_scrape_can_be_limited_to_names(scraper: Scraper) -> None:
    """As with the other client libraries, by sample name."""
    scrape = render(scraper.registry, "", "", ["alpmon_connection_up", "alpmon_frames_total"])
    names = Counter(line.partition("{")[0] for line in scrape.body.decode().splitlines() if line[0] != "#")
    assert names == {"alpmon_connection_up": 1, "alpmon_frames_total": len(FrameKind)}


def test_a_registry_that_holds_one_of_our_names_is_refused() -> None:
    """Two owners of one name would make a scrape that Prometheus rejects."""
    registry = CollectorRegistry()
    Gauge("alpmon_connection_up", "not ours", registry=registry)
    with pytest.raises(DuplicateTimeseries):
        register(registry, fresh_monitor())
