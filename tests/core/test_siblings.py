"""What each of several parallel connections missed, how late it was, and what its silence means."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.core.events import Book, Tickers, Trade
from alpmon.core.protocol import decode
from alpmon.core.siblings import Siblings, identity
from alpmon.core.sightings import NEVER, Timing

TRADES, BOOK = "trade.*", "market_depth.BTC_USDT"
TIMING = Timing(patience=2.0, grace=2.0, window=5.0, memory=90.0, limit=100)
FIRST, SECOND, THIRD = 0, 1, 2


def group(connections: int = 2, timing: Timing = TIMING) -> Siblings:
    """Connections that were all subscribed to both topics at 0."""
    siblings = Siblings(connections, timing)
    for connection in range(connections):
        siblings.subscribed(connection, (TRADES, BOOK), 0.0)
    return siblings


def missed(siblings: Siblings, topic: str = TRADES) -> list[int]:
    """By connection."""
    return [siblings.standing(connection, topic).missed for connection in range(siblings.connections)]


class TestIdentity:
    def test_a_trade_is_its_symbol_and_id(self) -> None:
        """Whatever stamp or spelling a connection's server gives it."""
        one, same = b'["t",1790139142,7,"BTC_USDT","1","1","buy"]', b'["t",1790139142.5,7,"BTC_USDT","1.0","1","buy"]'
        other, elsewhere = one.replace(b",7,", b",8,"), one.replace(b"BTC", b"ETH")
        assert _identity(one) == _identity(same)
        assert len({_identity(one), _identity(other), _identity(elsewhere)}) == 3

    def test_anything_else_is_its_bytes(self) -> None:
        """The same figures at another time are other news."""
        one = b'["tk",1790139142,["BTC_USDT","1","1","1","1","1","1","1","1"]]'
        later = one.replace(b"142", b"143")
        assert _identity(one) == _identity(bytes(bytearray(one)))
        assert _identity(one) != _identity(later)

    def test_the_bytes_may_be_a_piece_of_a_read_buffer(self) -> None:
        """As the connection hands them over."""
        frame = b'["p",1790139142,{"Asks":[],"Bids":[],"Symbol":"BTC_USDT"}]'
        event = decode(frame)
        assert isinstance(event, Book)
        assert identity(event, memoryview(bytearray(b"xx" + frame))[2:]) == identity(event, frame)


def _identity(frame: bytes) -> int:
    event = decode(frame)
    assert isinstance(event, Trade | Tickers)
    return identity(event, frame)


class TestMissed:
    def test_a_message_that_came_over_one_only_is_missed_by_the_other(self) -> None:
        """Once, and not before the window has passed."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.settle(15.0)
        assert missed(siblings) == [0, 0]
        siblings.settle(15.1)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 1]
        assert missed(siblings, BOOK) == [0, 0]

    def test_a_message_that_came_over_both_is_missed_by_none(self) -> None:
        """As late as the window allows."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.saw(SECOND, TRADES, 1, 15.0)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 0]

    def test_each_connection_without_it_missed_it(self) -> None:
        """Two of three."""
        siblings = group(3)
        siblings.saw(SECOND, TRADES, 1, 10.0)
        siblings.settle(99.0)
        assert missed(siblings) == [1, 0, 1]

    def test_a_copy_behind_the_window_is_late_and_accuses_nobody(self) -> None:
        """It was missed by then; it is no news of its own."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        assert siblings.saw(SECOND, TRADES, 1, 60.0) == 50.0
        siblings.settle(99.0)
        assert missed(siblings) == [0, 1]

    def test_a_connection_that_repeats_itself_delivers_one_message(self) -> None:
        """Its sibling misses one, and is late for one."""
        siblings = group()
        for now in (10.0, 10.1, 10.2):
            assert siblings.saw(FIRST, TRADES, 1, now) is None
        assert siblings.saw(SECOND, TRADES, 1, 11.0) == 1.0
        assert siblings.saw(SECOND, TRADES, 1, 11.5) is None
        siblings.saw(FIRST, TRADES, 2, 12.0)
        siblings.saw(FIRST, TRADES, 2, 12.1)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 1]

    def test_a_reconnect_misses_nothing(self) -> None:
        """Neither what came while away, nor what was in flight when it left, nor around its return."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 19.0)
        siblings.left(SECOND, (TRADES, BOOK), 20.0)
        siblings.saw(FIRST, TRADES, 2, 21.0)
        siblings.subscribed(SECOND, (TRADES, BOOK), 22.0)
        siblings.saw(FIRST, TRADES, 3, 22.0)
        siblings.saw(FIRST, TRADES, 4, 23.9)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 0]
        siblings.saw(FIRST, TRADES, 5, 100.0)
        siblings.settle(199.0)
        assert missed(siblings) == [0, 1], "the new session answers for itself"

    def test_what_was_due_before_the_loss_stays_missed(self) -> None:
        """A deaf connection does not get away with being dropped at last."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.left(SECOND, (TRADES, BOOK), 15.5)
        assert missed(siblings) == [0, 1]

    def test_what_a_server_sends_on_subscribing_accuses_nobody(self) -> None:
        """The last trades, again: the sibling had them long ago."""
        siblings = group()
        siblings.left(SECOND, (TRADES, BOOK), 200.0)
        siblings.subscribed(SECOND, (TRADES, BOOK), 201.0)
        siblings.saw(SECOND, TRADES, 1, 201.5)
        siblings.settle(999.0)
        assert missed(siblings) == [0, 0]

    def test_a_topic_never_acknowledged_is_not_missed(self) -> None:
        """A rejected topic has its own state."""
        siblings = Siblings(2, TIMING)
        siblings.subscribed(FIRST, (TRADES,), 0.0)
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 0]

    def test_data_proves_a_subscription(self) -> None:
        """Also where the acknowledgement was lost."""
        siblings = Siblings(2, TIMING)
        siblings.subscribed(FIRST, (TRADES,), 0.0)
        siblings.saw(SECOND, TRADES, 1, 1.0)
        siblings.saw(FIRST, TRADES, 2, 10.0)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 1]

    def test_memory_is_bounded_and_what_it_lost_is_held_against_nobody(self) -> None:
        """A hundred fit; the connection behind by two hundred has missed none of them."""
        siblings = group()
        for message in range(200):
            siblings.saw(FIRST, TRADES, message, 10.0)
        for message in range(200):
            siblings.saw(SECOND, TRADES, message, 11.0)
        siblings.settle(99.0)
        assert missed(siblings) == [0, 0]
        siblings.saw(FIRST, TRADES, 776, 99.5)
        siblings.saw(SECOND, TRADES, 776, 99.6)
        siblings.saw(FIRST, TRADES, 777, 100.0)
        siblings.settle(199.0)
        assert missed(siblings) == [0, 1], "the account goes on afterwards"


class TestWhatWasForgotten:
    @pytest.mark.parametrize(
        ("rate", "stall", "timing"),
        [(20, 20.0, TIMING), (20, 60.0, replace(TIMING, limit=1000)), (2, 120.0, replace(TIMING, limit=1000))],
        ids=["no room for what is due", "no room for what was missed", "longer than the memory"],
    )
    def test_what_a_stalled_connection_delivers_at_last_accuses_nobody(
        self, rate: int, stall: float, timing: Timing
    ) -> None:
        """The sibling had all of it, and longer ago than is remembered; both are judged as ever afterwards."""
        siblings = group(timing=timing)
        backlog = range(int(rate * stall))
        for message in backlog:
            siblings.saw(FIRST, TRADES, message, 10.0 + message / rate)
        resumed = 10.0 + stall
        for message in backlog:
            siblings.saw(SECOND, TRADES, message, resumed)
        siblings.settle(resumed + 2.5)
        assert not siblings.standing(FIRST, TRADES).is_behind
        for connection in (SECOND, FIRST):
            siblings.saw(connection, TRADES, -1, resumed + 3.0)
        siblings.settle(resumed + 99.0)
        assert missed(siblings)[FIRST] == 0
        assert missed(siblings)[SECOND] <= len(backlog)
        siblings.saw(SECOND, TRADES, -2, resumed + 100.0)
        siblings.settle(resumed + 199.0)
        assert missed(siblings)[FIRST] == 1, "what it really misses counts"

    def test_a_topic_slower_than_the_memory_is_judged_all_the_same(self) -> None:
        """All that both delivered is forgotten, and neither can deliver it again."""
        siblings = group()
        for message in range(3):
            for connection in (FIRST, SECOND):
                siblings.saw(connection, TRADES, message, 10.0 + 200 * message)
        siblings.saw(FIRST, TRADES, 3, 610.0)
        siblings.settle(999.0)
        assert missed(siblings) == [0, 1]

    def test_a_sibling_that_is_past_it_tells_a_copy_from_news(self) -> None:
        """The second lost a message long ago; of what it has first now the third lacks one, and the first knows it."""
        siblings = group(3)
        for connection in (FIRST, THIRD):
            siblings.saw(connection, TRADES, 1, 10.0)
        for connection in (SECOND, FIRST):
            siblings.saw(connection, TRADES, 2, 210.0)
        siblings.settle(400.0)
        assert missed(siblings) == [0, 1, 1]

    def test_where_nobody_can_tell_there_is_no_verdict_and_in_the_end_there_is(self) -> None:
        """The second lost one, and now the first is deaf: a while is doubtful, but it is never called quiet."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        for second in range(200, 400):
            siblings.saw(SECOND, TRADES, second, float(second))
            for connection in (FIRST, SECOND):
                siblings.saw(connection, BOOK, second, float(second))
            verdict = alone(siblings, float(second))
            if second >= 203:
                assert verdict is (None if second < 294 else False)
        assert missed(siblings) == [pytest.approx(200 - 91 - 5, abs=2), 1]

    def test_the_doubt_ends_with_what_both_deliver(self) -> None:
        """It was a copy then, and the silence since is the market's."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.saw(SECOND, TRADES, 1, 200.0)
        books(siblings, 190, 210).settle(210.0)
        assert alone(siblings, 210.0) is None
        for connection in (SECOND, FIRST):
            siblings.saw(connection, TRADES, 2, 211.0)
        books(siblings, 211, 240)
        assert alone(siblings, 240.0) is True
        assert missed(siblings) == [0, 1]


class TestDelay:
    def test_the_delay_is_behind_the_first(self) -> None:
        """Not behind the last before."""
        siblings = group(3)
        assert siblings.saw(SECOND, TRADES, 1, 10.0) is None
        assert siblings.saw(FIRST, TRADES, 1, 10.5) == 0.5
        assert siblings.saw(THIRD, TRADES, 1, 11.0) == 1.0

    def test_a_connection_that_joined_later_has_no_delay_for_what_was_before(self) -> None:
        """It could not have been sooner."""
        siblings = group()
        siblings.saw(FIRST, TRADES, 1, 10.0)
        siblings.left(SECOND, (TRADES,), 11.0)
        siblings.subscribed(SECOND, (TRADES,), 12.0)
        assert siblings.saw(SECOND, TRADES, 1, 12.1) is None


def alone(
    siblings: Siblings, now: float, connection: int = FIRST, *, stale_after: float = 10.0, lives_at: float | None = None
) -> bool | None:
    """What the siblings say of the trades' silence; the connection delivers other things just now."""
    lives = now if lives_at is None else lives_at
    return siblings.nothing_missed(connection, TRADES, now, stale_after=stale_after, lives_at=lives)


def market_pauses(siblings: Siblings, start: float = 10.0, until: float = 40.0) -> Siblings:
    """Both get a trade at the start and no more, while books go on every second."""
    for connection in (FIRST, SECOND):
        siblings.saw(connection, TRADES, 1, start)
    return books(siblings, int(start), int(until))


def books(siblings: Siblings, start: int, until: int) -> Siblings:
    """A book every second, both bounds included, over both."""
    for second in range(start, until + 1):
        for connection in (FIRST, SECOND):
            siblings.saw(connection, BOOK, second, float(second))
    return siblings


class TestEvidence:
    def test_all_silent_while_other_topics_flow_is_the_market(self) -> None:
        """On both connections."""
        siblings = market_pauses(group())
        assert alone(siblings, 40.0) is True
        assert alone(siblings, 40.0, SECOND) is True

    def test_what_only_the_sibling_got_speaks_against(self) -> None:
        """For this connection; the sibling itself is not accused."""
        siblings = market_pauses(group(), until=30.0)
        siblings.saw(SECOND, TRADES, 2, 30.0)
        books(siblings, 31, 40)
        siblings.settle(40.0)
        assert alone(siblings, 40.0) is False
        assert alone(siblings, 40.0, SECOND) is True

    def test_what_may_be_in_flight_does_not_speak_against(self) -> None:
        """Not for as long as patience lasts."""
        siblings = market_pauses(group())
        siblings.saw(SECOND, TRADES, 2, 40.0)
        siblings.settle(42.0)
        assert alone(siblings, 41.0) is True
        siblings.settle(42.1)
        assert alone(siblings, 42.1) is False

    def test_a_message_it_lost_before_its_last_one_is_no_silence(self) -> None:
        """It is missed, and counted; the silence since is the market's."""
        siblings = group()
        siblings.saw(SECOND, TRADES, 5, 9.0)
        market_pauses(siblings)
        assert missed(siblings) == [0, 0]
        siblings.settle(40.0)
        assert missed(siblings) == [1, 0]
        assert alone(siblings, 40.0) is True

    def test_catching_up_settles_it(self) -> None:
        """What was lacking came after all."""
        siblings = market_pauses(group(), until=30.0)
        siblings.saw(SECOND, TRADES, 2, 30.0)
        siblings.settle(35.0)
        assert alone(siblings, 35.0) is False
        siblings.saw(FIRST, TRADES, 2, 36.0)
        books(siblings, 37, 50)
        assert alone(siblings, 50.0) is True

    def test_catching_up_with_older_news_only_does_not_settle_it(self) -> None:
        """It still lacks the newest."""
        siblings = market_pauses(group(), until=30.0)
        siblings.saw(SECOND, TRADES, 2, 30.0)
        siblings.saw(SECOND, TRADES, 3, 31.0)
        siblings.saw(FIRST, TRADES, 2, 32.0)
        books(siblings, 33, 50)
        siblings.settle(50.0)
        assert alone(siblings, 50.0) is False

    def test_a_frozen_target_excuses_nobody(self) -> None:
        """Everything is silent everywhere: no verdict at any moment, however long it lasts."""
        siblings = market_pauses(group(), until=10.0)
        for now in range(16, 200):
            assert alone(siblings, float(now), lives_at=10.0) is None

    def test_a_connection_without_other_news_excuses_nothing(self) -> None:
        """One topic alone cannot tell the market's silence from its own."""
        assert alone(market_pauses(group()), 40.0, lives_at=NEVER) is None

    def test_a_deaf_sibling_is_no_witness(self) -> None:
        """It is silent on everything."""
        siblings = group()
        for connection in (FIRST, SECOND):
            siblings.saw(connection, TRADES, 1, 10.0)
        for second in range(11, 41):
            siblings.saw(FIRST, BOOK, second, float(second))
        assert alone(siblings, 40.0) is None

    def test_no_sibling_no_verdict(self) -> None:
        """One that is down, or that has not got the topic, has seen nothing."""
        siblings = market_pauses(group())
        siblings.left(SECOND, (TRADES, BOOK), 40.0)
        assert alone(siblings, 41.0) is None

    def test_a_connection_that_is_down_has_no_verdict(self) -> None:
        """Nor has one that is not yet acknowledged."""
        siblings = market_pauses(group())
        siblings.left(FIRST, (TRADES, BOOK), 40.0)
        assert alone(siblings, 41.0) is None

    def test_a_verdict_holds_for_one_threshold_where_the_sibling_reconnects(self) -> None:
        """Its return is no reason to page; its staying away is no evidence either."""
        siblings = market_pauses(group())
        assert alone(siblings, 40.0) is True
        siblings.left(SECOND, (TRADES, BOOK), 40.0)
        assert alone(siblings, 50.0) is True
        assert alone(siblings, 50.1) is None

    def test_a_returned_sibling_vouches_on_where_it_left_off(self) -> None:
        """The gap was shorter than what may pass without a message."""
        siblings = market_pauses(group(), until=60.0)
        assert alone(siblings, 60.0) is True
        siblings.left(SECOND, (TRADES, BOOK), 60.0)
        siblings.subscribed(SECOND, (TRADES, BOOK), 62.0)
        siblings.saw(SECOND, BOOK, 900, 63.0)
        assert alone(siblings, 65.0) is True

    def test_a_sibling_that_joined_late_cannot_speak_for_what_was_before(self) -> None:
        """More than a threshold of the silence has no witness."""
        siblings = market_pauses(group(), until=60.0)
        siblings.left(SECOND, (TRADES, BOOK), 20.0)
        siblings.subscribed(SECOND, (TRADES, BOOK), 50.0)
        siblings.saw(SECOND, BOOK, 900, 60.0)
        assert alone(siblings, 60.0) is None

    def test_a_topic_that_never_delivered_is_judged_from_its_acknowledgement(self) -> None:
        """As its age is."""
        siblings = group()
        assert alone(books(siblings, 0, 40), 40.0) is True


# Against a model that knows every delivery and every session and looks at them all


@dataclass(frozen=True)
class Delivered:
    at: float
    connection: int
    message: int


@dataclass(frozen=True)
class Moved:
    """A connection is subscribed, or has left."""

    at: float
    connection: int
    subscribed: bool


Story = list[Delivered | Moved]
GRID = 0.25
"""Seconds; exact in binary, so that the model and the code round alike."""


@st.composite
def stories(draw: st.DrawFn, connections: int) -> Story:
    """Messages that each connection drops, repeats or delivers late by chance, and reconnects at any moment."""
    story: Story = [Moved(draw(st.integers(0, 20)) * GRID, c, True) for c in range(connections)]
    for message in range(draw(st.integers(0, 12))):
        at = draw(st.integers(0, 240)) * GRID
        for connection in range(connections):
            delays = draw(st.lists(st.integers(0, 30), max_size=2))
            story += [Delivered(at + delay * GRID, connection, message) for delay in delays]
    for _ in range(draw(st.integers(0, 4))):
        connection, at = draw(st.integers(0, connections - 1)), draw(st.integers(0, 240))
        story.append(Moved(at * GRID, connection, False))
        story.append(Moved((at + draw(st.integers(1, 40))) * GRID, connection, True))
    return sorted(story, key=lambda event: event.at)


@dataclass(frozen=True)
class Lived:
    """One session: the places in the story, and the times, of its first and last moment."""

    start: int
    end: int
    since: float
    until: float


def sessions(story: Story, connection: int) -> Iterator[Lived]:
    """When a connection was subscribed; data proves it, too, wherever it comes."""
    start: int | None = None
    for place, event in enumerate(story):
        if event.connection != connection:
            continue
        if isinstance(event, Delivered) or event.subscribed:
            start = place if start is None else start
        elif start is not None:
            yield Lived(start, place, story[start].at, event.at)
            start = None
    if start is not None:
        yield Lived(start, len(story), story[start].at, math.inf)


def expected(story: Story, connections: int) -> list[int]:
    """Misses by connection, straight from the rules, by a memory without bounds."""
    lives = [list(sessions(story, connection)) for connection in range(connections)]
    counts: Counter[int] = Counter()
    for message in {event.message for event in story if isinstance(event, Delivered)}:
        copies = first_copies(story, message)
        first = min(story[place].at for place in copies)
        until = first + TIMING.window
        in_time = {place for place in copies if story[place].at <= until}
        accused = any(
            life.start <= place < life.end and life.since + TIMING.grace <= story[place].at
            for place in in_time
            for life in lives[story[place].connection]
        )
        for connection in set(range(connections)) - {story[place].connection for place in in_time}:
            answers = any(life.since + TIMING.grace <= first and life.until > until for life in lives[connection])
            counts[connection] += accused and answers
    return [counts[connection] for connection in range(connections)]


def first_copies(story: Story, message: int) -> list[int]:
    """Where in the story each connection delivered a message first."""
    places: dict[int, int] = {}
    for place, event in enumerate(story):
        if isinstance(event, Delivered) and event.message == message:
            places.setdefault(event.connection, place)
    return list(places.values())


@pytest.mark.parametrize("connections", [2, 3])
@given(data=st.data())
def test_misses_are_exactly_those_of_the_rules(connections: int, data: st.DataObject) -> None:
    """Over random drops, copies, delays and reconnects, settled now and then or only at the end."""
    story = data.draw(stories(connections))
    ticks = data.draw(st.sets(st.integers(0, 80)))
    siblings = Siblings(connections, TIMING)
    events = sorted([*((event.at, 0, event) for event in story), *((float(t), 1, None) for t in ticks)], key=_order)
    for at, _, event in events:
        _tell(siblings, at, event)
    siblings.settle(1_000.0)
    assert missed(siblings) == expected(story, connections)


def _order(entry: tuple[float, int, Delivered | Moved | None]) -> tuple[float, int]:
    return entry[0], entry[1]


def _tell(siblings: Siblings, at: float, event: Delivered | Moved | None) -> None:
    match event:
        case Delivered():
            siblings.saw(event.connection, TRADES, event.message, at)
        case Moved(subscribed=True):
            siblings.subscribed(event.connection, [TRADES], at)
        case Moved():
            siblings.left(event.connection, [TRADES], at)
        case None:
            siblings.settle(at)


FORGETFUL = Timing(patience=2.0, grace=2.0, window=5.0, memory=10.0, limit=6)


@st.composite
def stalls(draw: st.DrawFn, connections: int) -> Story:
    """A feed over connections that drop by chance, and stall once each: what is due then comes in order afterwards."""
    story: Story = [Moved(0.0, connection, True) for connection in range(connections)]
    due = [2.0 + pause * GRID for pause in accumulate(draw(st.lists(st.integers(0, 40), min_size=1, max_size=30)))]
    for connection in range(connections):
        began = draw(st.integers(0, 160)) * GRID
        ended = began + draw(st.integers(0, 160)) * GRID
        lost = draw(st.sets(st.integers(0, 29), max_size=8))
        for message, at in enumerate(due):
            if message not in lost:
                story.append(Delivered(ended if began <= at < ended else at, connection, message))
    order = draw(st.permutations(range(connections)))
    return sorted(story, key=lambda event: (event.at, order[event.connection]))


@pytest.mark.parametrize("connections", [2, 3])
@given(data=st.data())
def test_no_connection_is_accused_of_more_than_it_missed(connections: int, data: st.DataObject) -> None:
    """However much was forgotten meanwhile, for want of room or by age."""
    story = data.draw(stalls(connections))
    siblings = Siblings(connections, FORGETFUL)
    for event in story:
        _tell(siblings, event.at, event)
    siblings.settle(1_000.0)
    assert all(counted <= truth for counted, truth in zip(missed(siblings), expected(story, connections), strict=True))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 8)), max_size=60))
def test_connections_that_all_deliver_in_time_miss_nothing(deliveries: list[tuple[int, int, int]]) -> None:
    """However they reconnect in between: nobody is ever accused of what it had."""
    siblings = group(3)
    now = 10.0
    for connection, message, pause in deliveries:
        now += pause / 4
        siblings.left(connection, [TRADES], now)
        siblings.subscribed(connection, [TRADES], now)
        for each in range(3):
            siblings.saw(each, TRADES, message, now + each / 16)
    siblings.settle(1_000.0)
    assert missed(siblings) == [0, 0, 0]
