"""The market's promises, over many seeds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpmon.core.events import Book, Diff, Private, Rates, Tickers, Trade
from alpmon.core.protocol import decode
from alpmon.core.topics import is_symbol
from alpmon.exchange.market import Market
from alpmon.exchange.pairs import PAIRS, SYMBOLS
from alpmon.exchange.quotes import LEVELS, Quotes
from alpmon.exchange.wire import AccountEvent, encode

START = 1_790_139_140.25
FEW = settings(max_examples=20)
SEEDS = st.integers(0, 2**32)


def story(seed: int, seconds: float, **options):
    return list(Market(Random(seed), START, **options).until(START + seconds))


@given(SEEDS, st.sampled_from(sorted(SYMBOLS)), st.lists(st.floats(0, 1e6), max_size=20))
def test_a_book_never_crosses(seed, symbol, gaps) -> None:
    """Twenty levels a side, best first, strictly sorted, bids below asks, all above zero, after any passage of time."""
    quotes, now = Quotes(Random(seed), START), START
    for gap in [0.0, *gaps]:
        now += gap
        levels = quotes.book(symbol, now).levels
        asks, bids = ([float(price) for price, _ in side] for side in (levels.asks, levels.bids))
        assert len(asks) == len(bids) == LEVELS
        assert all(low < high for low, high in pairwise(asks))
        assert all(high > low for high, low in pairwise(bids))
        assert 0 < bids[0] < asks[0]
        assert bids[-1] > 0
        assert all(float(amount) > 0 for _, amount in (*levels.asks, *levels.bids))


@FEW
@given(SEEDS)
def test_a_minute_of_any_market_holds_together(seed) -> None:
    """Events are in order, trade ids rise, pairs are known, tickers hold one to six rows with bid below ask."""
    events = story(seed, 60)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(events))
    ids = [event.id for _, event in events if isinstance(event, Trade)]
    assert all(earlier < later for earlier, later in pairwise(ids))
    for at, event in events:
        assert START - 1 <= event.time <= at
        assert _symbols(event) <= SYMBOLS
        if isinstance(event, Tickers):
            assert 1 <= len(event.rows) <= 6
            assert all(float(row.bid) < float(row.ask) for row in event.rows)
            assert all(float(row.low) <= float(row.close) <= float(row.high) for row in event.rows)


@FEW
@given(SEEDS)
def test_frames_decode_to_what_was_said(seed) -> None:
    """Each event, encoded as the server does, is read by the codec as the same event."""
    for _, event in story(seed, 10):
        decoded = decode(encode(event, event.time))
        if isinstance(event, AccountEvent):
            assert decoded == Private(event.channel, event.time)
        else:
            assert decoded == event


@FEW
@given(SEEDS)
def test_grid_books_are_stamped_with_whole_seconds(seed) -> None:
    """Each leaves 589 to 641 ms after its stamp, and a pair's gaps are whole seconds."""
    books = [(at, event) for at, event in story(seed, 120) if isinstance(event, Book)]
    assert all(0.588 <= at - event.time <= 0.642 for at, event in books)
    assert all(event.time == int(event.time) for _, event in books)


@FEW
@given(SEEDS, st.integers(0, len(PAIRS)))
def test_quiet_pairs_send_no_book_for_over_a_minute(seed, quiet) -> None:
    """As many pairs as asked for are silent for 75 s at the least."""
    market = Market(Random(seed), START, quiet_pairs=quiet)
    heard = {event.symbol for _, event in market.until(START + 75) if isinstance(event, Book)}
    assert len(market.quiet) == quiet
    assert not heard & market.quiet


@FEW
@given(SEEDS)
def test_one_seed_tells_one_story(seed) -> None:
    """The same seed and start give the same events."""
    assert [at for at, _ in story(seed, 5)] == [at for at, _ in story(seed, 5)]


def test_the_paces_are_those_of_the_survey() -> None:
    """Over 20 minutes: about 65 trades and 65 ticker frames in 75 s, and an active pair's books 5.5 s apart."""
    counts = Counter(type(event) for _, event in story(1, 1200))
    assert counts[Trade] / 16 == pytest.approx(65, rel=0.25)
    assert counts[Tickers] / 16 == pytest.approx(68, rel=0.1)
    assert counts[Book] / 12 / 1200 == pytest.approx(1 / 5.5, rel=0.25)


@pytest.mark.parametrize("grid", [True, False])
def test_no_silence_of_a_book_is_longer_than_a_survey_bears_out(grid: bool) -> None:
    """Active pairs: below two minutes, where a minute was measured. Quiet ones: from over one minute to five."""
    market = Market(Random(3), START, depth_on_whole_seconds=grid)
    times: dict[str, list[float]] = {pair.symbol: [START] for pair in PAIRS}
    for at, event in market.until(START + 1800):
        if isinstance(event, Book):
            times[event.symbol].append(at)
    for symbol, at in times.items():
        gaps = [later - earlier for earlier, later in pairwise([*at, START + 1800])]
        assert max(gaps) < (302 if symbol in market.quiet else 112), symbol
        assert symbol not in market.quiet or min(gaps[:-1]) > 79


def test_trade_gaps_have_a_heavy_tail() -> None:
    """The longest gap of the busiest pair is far beyond what a steady pace would ever show."""
    times = [at for at, event in story(2, 1800) if isinstance(event, Trade) and event.symbol == "BTC_USDT"]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    assert gaps[-1] > 10 * gaps[len(gaps) // 2]


def test_the_pairs_are_the_surveys() -> None:
    """22 of them, each once, in upper case."""
    assert len(PAIRS) == len(SYMBOLS) == 22
    assert all(is_symbol(symbol) for symbol in SYMBOLS)


def _symbols(event) -> set[str]:
    match event:
        case Tickers() | Rates():
            return {row.symbol for row in event.rows}
        case Trade() | Book() | Diff():
            return {event.symbol}
        case _:
            return set()
