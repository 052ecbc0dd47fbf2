"""Asks REST about the topics of one target that are silent for too long, and tells them what it says."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from alpmon.core.backoff import Backoff
from alpmon.core.facts import Facts
from alpmon.core.freshness import Source, TopicFreshness, TopicState
from alpmon.core.latest import Latest
from alpmon.core.reference import Watch
from alpmon.core.rest import Question, UnreadableError, question, read
from alpmon.logs import Bounded
from alpmon.probe.rest import RestError, client, fetch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from random import Random

    from aiohttp import ClientSession
    from structlog.typing import FilteringBoundLogger

    from alpmon.telemetry.state import ConnectionRecord, TargetRecord, TopicRecord

PACE_SECONDS: Final = 1.0
"""At most one request a second a target."""
_LONGEST_BACKOFF_SECONDS: Final = 300.0
_WARN_EVERY_SECONDS: Final = 60.0


class _Silence(NamedTuple):
    """A topic that is past its threshold, and what goes with it."""

    connection: str
    topic: str
    freshness: TopicFreshness
    watch: Watch
    latest: Latest


def prepare(record: ConnectionRecord, interval: float) -> None:
    """Let REST be asked about a connection's topics, every `interval` seconds while one is silent.

    What is prepared already stays, but for the interval. Where a session lives that nobody listened to for this until
    now, it takes a message of a topic before its silence can be judged: REST may have moved on since the last one.
    """
    listened = record.latest is not None
    record.latest = record.latest or Latest()
    for topic in record.topics.values():
        if topic.watch is not None:
            topic.watch.ask_every(interval)
        elif topic.freshness is not None and (asked := question(topic.topic)) is not None:
            topic.watch = Watch(topic.topic, asked, interval)
            topic.watch.unheard = None if listened else _silence(topic)


def dismiss(record: ConnectionRecord, now: float, *, listening: bool) -> None:
    """Forget what REST said of a connection's topics; `listening` where another REST is to be asked about them."""
    if not listening:
        record.latest = None
    for topic in record.topics.values():
        if topic.watch is not None and topic.freshness is not None:
            topic.freshness.evidence(now, None, Source.REFERENCE)
        topic.watch = None


def _silence(topic: TopicRecord) -> object:
    """What tells one silence of a topic from all its others: the message or the acknowledgement that it began with."""
    return topic.messages, topic.subscribed_wall


class Reference:
    """REST's word on one target; only on connections that were prepared.

    Args:
        url: the base that endpoints are appended to.
        interval: seconds between two reads about the same topic.
        target: whose connections are looked at, and where reads are counted.
        rng: spreads the retries after trouble.
        log: bound to the target.
    """

    def __init__(self, url: str, interval: float, target: TargetRecord, rng: Random, log: FilteringBoundLogger) -> None:
        self._url = url.rstrip("/")
        self._target = target
        self._backoff = Backoff(interval, max(interval, _LONGEST_BACKOFF_SECONDS), 2.0, rng)
        self._log = log
        self._warnings = Bounded(_WARN_EVERY_SECONDS)

    async def run(self) -> None:
        """Look again and again; never ends of itself."""
        async with client() as http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again(lambda: self._ask(http)))
            tasks.create_task(self._again(self._expire))

    async def _again(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(PACE_SECONDS)
            try:
                await act()
            except Exception:  # noqa: BLE001 - the connections live on without it, and so does the next look
                self._log.exception("asking the reference failed of a bug")

    async def _ask(self, http: ClientSession) -> None:
        now = time.monotonic()
        asked = self._most_urgent(now) if now >= self._target.reference_away.get(self._url, now) else None
        if asked is None:
            return
        self._target.reference_checks += 1
        try:
            shown = read(asked, await fetch(http, "GET", f"{self._url}/{asked.path}"))
        except (RestError, UnreadableError) as failure:
            self._failed(asked, failure)
        else:
            self._answered(asked, shown)

    async def _expire(self) -> None:
        """Say that nothing is known any more where no read said so in time, whether REST fails or is left alone."""
        now = time.monotonic()
        silences = list(self._silences(now))
        round_seconds = PACE_SECONDS * len({silence.watch.question for silence in silences})
        for silence in silences:
            if silence.watch.expires(now, round_seconds):
                silence.freshness.evidence(now, None, Source.REFERENCE)

    def _most_urgent(self, now: float) -> Question | None:
        due = [silence.watch for silence in self._silences(now) if silence.watch.due <= now]
        return min(due, key=lambda watch: watch.due).question if due else None

    def _silences(self, now: float, asked: Question | None = None) -> Iterator[_Silence]:
        """The topics past their threshold, all or those that a question is about; what was known of others is void."""
        for record in self._target.connections.values():
            for topic in record.topics.values():
                freshness, watch, latest = topic.freshness, topic.watch, record.latest
                if freshness is None or watch is None or latest is None:
                    continue
                past = _is_past(topic, freshness.state(now)) and _silence(topic) != watch.unheard
                watch.attend(_silence(topic) if past else None)
                if past and asked in (None, watch.question):
                    yield _Silence(record.label, topic.topic, freshness, watch, latest)

    def _answered(self, asked: Question, shown: Facts) -> None:
        self._backoff.reset()
        now = time.monotonic()
        for silence in self._silences(now, asked):
            was_diverging = silence.watch.divergence(now) > 0.0
            verdict = silence.watch.answered(shown, silence.latest.facts(silence.topic), now)
            silence.freshness.evidence(now, verdict, Source.REFERENCE)
            if verdict is False and not was_diverging:
                self._log.warning(
                    "REST shows news that the stream has not", connection=silence.connection, topic=silence.topic
                )

    def _failed(self, asked: Question, failure: RestError | UnreadableError) -> None:
        self._target.reference_failures += 1
        now = time.monotonic()
        if isinstance(failure, RestError) and failure.is_trouble:
            self._target.reference_away[self._url] = now + self._backoff.next_delay(failure.retry_after_seconds)
        for silence in self._silences(now, asked):
            silence.watch.failed(now)
        allowed, suppressed = self._warnings.allow(asked.endpoint, now)
        if allowed:
            self._log.warning("the reference failed", path=asked.path, detail=str(failure), suppressed=suppressed)


def _is_past(topic: TopicRecord, state: TopicState) -> bool:
    """Whether a topic is past its threshold; one that never spoke at all has nothing that REST could be news to."""
    return state in (TopicState.STALE, TopicState.QUIET) or (state is TopicState.SILENT and _has_spoken(topic))


def _has_spoken(topic: TopicRecord) -> bool:
    """Ever: in an earlier session, or before a restart."""
    cadence = None if topic.freshness is None else topic.freshness.cadence
    return topic.messages > 0 or (cadence is not None and cadence.knows_gaps)
