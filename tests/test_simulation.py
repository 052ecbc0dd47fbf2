"""What is healthy is called so: half an hour of the simulated market, by the demo's and the default configuration."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest

from alpmon.config.default import default_config
from alpmon.core.events import Dialect
from alpmon.core.freshness import TopicFreshness
from alpmon.core.topics import Channel, split_topic
from alpmon.exchange import Exchange, Settings, scenario
from alpmon.exchange.dialects import rules_of
from alpmon.exchange.feed import route
from alpmon.exchange.market import Market
from alpmon.exchange.pairs import PAIRS
from alpmon.probe.terms import rule_of
from alpmon.simulation import demo_config

if TYPE_CHECKING:
    from alpmon.config.models import Target

HALF_AN_HOUR = 1800.0
START = 1_790_139_140.25
STALE_FOR_SECONDS, SILENT_FOR_SECONDS = 60.0, 300.0
"""`for` of AlpmonFeedStale, and of AlpmonFeedSilent about a topic that never delivered."""
QUIET = frozenset(pair.symbol for pair in PAIRS[-Settings().quiet_pairs :])
MARKETS = [(dialect, seed) for dialect in (Dialect.OBSERVED, Dialect.DOCUMENTED) for seed in (1, 2, 3)]
"""The demo's own market of either dialect is among them: its seeds are fixed, so its promise can be held exactly."""


def demo_targets() -> dict[Dialect, Target]:
    """What the demo watches of an exchange of each dialect."""
    observed, documented = Exchange(Settings(port=1)), Exchange(Settings(port=2))
    found = demo_config("127.0.0.1:0", observed, documented, scenario.load("demo")).targets
    return {Dialect(target.name): target for target in found}


WATCHED = demo_targets()
PUBLIC = default_config({}).targets[0]


@cache
def heard(dialect: Dialect, seed: int) -> dict[str, list[float]]:
    """When each topic of both configurations delivers, in seconds from the start."""
    rules = rules_of(dialect)
    topics = frozenset((*WATCHED[dialect].topics, *PUBLIC.topics))
    market = Market(Random(seed), START, depth_on_whole_seconds=rules.depth_on_whole_seconds)
    times: dict[str, list[float]] = {topic: [] for topic in topics}
    for at, event in market.until(START + HALF_AN_HOUR):
        for topic, _ in route(event, topics, rules, authenticated=False):
            times[topic].append(at - START)
    return times


def judged(target: Target, dialect: Dialect, seed: int) -> dict[str, TopicFreshness]:
    """Each topic of a target after the half hour; acknowledged at its start, with nothing learnt before."""
    found = {}
    for topic in target.topics:
        freshness = found[topic] = TopicFreshness(rule_of(target, topic))
        freshness.up(0.0)
        freshness.acknowledged(0.0)
        for at in heard(dialect, seed)[topic]:
            freshness.message(at)
    return found


@pytest.mark.parametrize(("dialect", "seed"), MARKETS)
def test_what_the_demo_watches_is_never_stale_or_silent_while_nothing_is_wrong(dialect: Dialect, seed: int) -> None:
    """Not for a second, so that whatever is red in the demo is a fault of its scenario."""
    bad = {
        topic: seconds
        for topic, freshness in judged(WATCHED[dialect], dialect, seed).items()
        if (seconds := freshness.stale_seconds(HALF_AN_HOUR))
    }
    assert bad == {}


@pytest.mark.parametrize(("dialect", "seed"), MARKETS)
def test_with_the_defaults_nothing_is_stale_or_silent_for_as_long_as_it_takes_to_page(
    dialect: Dialect, seed: int
) -> None:
    """A topic that is new may surprise what has been learnt so far for some seconds, and a quiet book be late."""
    for topic, freshness in judged(PUBLIC, dialect, seed).items():
        seconds = freshness.stale_seconds(HALF_AN_HOUR)
        channel, symbol = split_topic(topic)
        if channel is Channel.MARKET_DEPTH and symbol in QUIET:
            late = heard(dialect, seed)[topic][0] - PUBLIC.freshness.default.silent_after
            assert seconds == pytest.approx(max(0.0, late)), f"{topic}: stale"
            assert seconds < SILENT_FOR_SECONDS, f"{topic}: silent"
        else:
            assert seconds < STALE_FOR_SECONDS, topic


def test_each_dialect_delivers_what_the_demo_watches_of_it() -> None:
    """What is acknowledged and never delivered would be red for as long as the demo runs."""
    for dialect, target in WATCHED.items():
        assert [topic for topic in target.topics if not rules_of(dialect).delivers(topic)] == []
        assert all(heard(dialect, 1)[topic] for topic in target.topics)
