"""What a replay says: each trouble as of the moment when it came and went, and a table at the end."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from alpmon.core.freshness import TopicState
from alpmon.replay.alarms import Alarms
from alpmon.replay.clocks import moment_of
from alpmon.replay.conditions import Conditions
from alpmon.replay.tales import Tale
from alpmon.telemetry.troubles import THIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpmon.core.freshness import TopicFreshness
    from alpmon.replay.clocks import Clocks
    from alpmon.replay.line import ReplayedLine
    from alpmon.telemetry.state import TopicRecord

_TOLD: Final = frozenset({TopicState.STALE, TopicState.SILENT, TopicState.REJECTED, TopicState.QUIET})
_LATE: Final = frozenset({TopicState.STALE, TopicState.SILENT})
_BEFORE: Final = {
    TopicState.STALE: TopicState.LIVE,
    TopicState.SILENT: TopicState.LIVE,
    TopicState.QUIET: TopicState.LIVE,
    TopicState.REJECTED: TopicState.PENDING,
}
"""What a topic was before it came into trouble, as far as one can tell from that."""
_COLUMNS: Final = (
    "messages",
    "longest silence",
    "threshold",
    "times stale",
    "longest time",
    "in all",
    "time thin",
    "missed",
)


class Teller:
    """Looks at connections when it is told to, and says what is new, in the order in which it happened.

    Args:
        say: is given each line.
        clocks: of the recording.

    Attributes:
        conditions: where what would have been alerted is seen.
    """

    def __init__(self, say: Callable[[str], None], clocks: Clocks) -> None:
        self._say = say
        self._clocks = clocks
        self._untold: list[tuple[float, str]] = []
        self._alarms = Alarms(self.report)
        self.conditions = Conditions(self._alarms)

    def report(self, name: str, now: float, words: str, wall: float | None = None) -> None:
        """Something happened at `now`, which is past; told by `flush`."""
        moment = moment_of(self._clocks.wall - (self._clocks.now - now) if wall is None else wall)
        self._untold.append((now, f"{moment} {name} {words}" if name else f"{moment} {words}"))

    def flush(self, now: float) -> None:
        """Tell what is reported and what would have been alerted by now, the oldest first; nothing older may come."""
        self._alarms.until(now)
        for _, words in sorted(self._untold, key=lambda each: each[0]):
            self._say(words)
        self._untold.clear()

    def welcomed(self, line: ReplayedLine, now: float, wall: float) -> None:
        """A session began."""
        self.report(line.name, now, f"welcomed, client id {line.record.client_id}", wall)

    def take_up(self, line: ReplayedLine, now: float, down_since: float | None) -> None:
        """Begin with a connection that has been there before, and tell what of that is so still."""
        if down_since is not None:
            self.report(line.name, down_since, "down")
        self.conditions.take_up(line, down_since)
        for topic, freshness in line.judged():
            state = freshness.state(now)
            line.tales.topics[topic] = Tale(_BEFORE.get(state, state))
        self.look(line, now)

    def look(self, line: ReplayedLine, now: float) -> None:
        """Tell each topic that came into trouble or out of it, as of the moment when it did."""
        held, tales = 0, line.tales.topics
        for topic, freshness in line.judged():
            held += 1
            tale = tales.setdefault(topic, Tale())
            tale.longest_silence = max(tale.longest_silence, freshness.age(now))
            state = freshness.state(now)
            if state is not tale.state:
                self._turned(line, topic, tale, freshness, state, now)
        if held < len(tales):
            for topic in [topic for topic in tales if topic not in line.record.topics]:
                del tales[topic]
                self.conditions.gone(line, now, topic)

    def look_at_feed(self, line: ReplayedLine) -> None:
        """Tell what the feed's own sanity found, and what was missed, since the last look."""
        now = self._clocks.now
        for channel, seen in line.record.channels.items():
            for kind, count in seen.anomalies.items():
                new = count - line.tales.anomalies.get((channel, kind), 0)
                if new:
                    self.report(line.name, now, f"{channel}: {kind}, {new} more")
                line.tales.anomalies[channel, kind] = count
        for topic in line.record.topics.values():
            if topic.standing is not None:
                tale = line.tales.topics.setdefault(topic.topic, Tale())
                new, tale.missed = topic.standing.missed - tale.missed, topic.standing.missed
                if new:
                    self.report(
                        line.name, self._clocks.now, f"{topic.topic}: missed {new} more that a sibling received"
                    )

    def look_at_rates(self, line: ReplayedLine, now: float) -> None:
        """Tell each topic that went thin or is no longer, now that its rate was read."""
        self.conditions.rates_read(line, now)
        for topic in line.record.topics.values():
            if topic.freshness is None:
                continue
            tale, ratio = line.tales.topics.setdefault(topic.topic, Tale()), topic.meter.rate.ratio
            is_thin = ratio < THIN_RATIO and topic.freshness.state(now) is TopicState.LIVE
            if is_thin and tale.thin_since == inf:
                tale.thin_since = now
                self.report(line.name, now, f"{topic.topic}: thin, {ratio:.3f} of its usual rate")
            elif not is_thin and tale.thin_since < inf:
                self.report(line.name, now, f"{topic.topic}: no longer thin after {now - tale.thin_since:.3f} s")
                tale.thin_seconds += now - tale.thin_since
                tale.thin_since = inf

    def sum_up_alerts(self) -> None:
        """How often each alert would have fired, and what fires still."""
        fired = ", ".join(f"{name}: {times}" for name, times in sorted(self._alarms.fired.items()))
        self._say(f"would have fired: {fired or 'nothing'}")
        for alert, subject in self._alarms.firing():
            self._say(f"fires still: {alert.name}, {subject}")

    def sum_up(self, line: ReplayedLine, now: float) -> None:
        """A table of one connection, as of `now`."""
        record = line.record
        frames = record.data_frames + sum(record.frames.values())
        attempts, failures, ends = record.attempts, record.failures.total(), record.disconnects.total()
        self._say("")
        self._say(f"{line.name}: {frames} frames, attempts: {attempts}, failed: {failures}, disconnects: {ends}")
        rows: list[tuple[str, ...]] = [("", *_COLUMNS)]
        rows += [self._row(line, topic, now) for topic in record.topics.values()]
        self._say_table(rows)

    def _turned(
        self, line: ReplayedLine, topic: str, tale: Tale, freshness: TopicFreshness, state: TopicState, now: float
    ) -> None:
        since = freshness.since(now) if state in _TOLD else now
        if tale.state in _LATE:
            tale.longest_late = max(tale.longest_late, since - tale.since)
        words = f"{topic}: {tale.state} -> {state}"
        if tale.state in _TOLD:
            words += f" after {since - tale.since:.3f} s"
        if state in (TopicState.STALE, TopicState.QUIET):
            words += f", threshold {freshness.stale_after():.3f} s"
        elif state is TopicState.SILENT:
            words += ", nothing since it was acknowledged"
        if state in _TOLD or tale.state in _TOLD:
            self.report(line.name, since, words)
        self.conditions.turned(line, topic, state, since, now)
        tale.state, tale.since = state, since

    def _row(self, line: ReplayedLine, topic: TopicRecord, now: float) -> tuple[str, ...]:
        freshness = topic.freshness
        if freshness is None:
            return (topic.topic, str(topic.messages), *["-"] * (len(_COLUMNS) - 1))
        tale = line.tales.topics.setdefault(topic.topic, Tale())
        late = max(tale.longest_late, now - tale.since if tale.state in _LATE else 0.0)
        thin = tale.thin_seconds + max(0.0, now - tale.thin_since)
        return (
            topic.topic,
            str(topic.messages),
            f"{tale.longest_silence:.3f} s",
            f"{freshness.stale_after():.3f} s",
            str(freshness.episodes(now)),
            f"{late:.3f} s",
            f"{freshness.stale_seconds(now):.3f} s",
            f"{thin:.3f} s",
            "-" if topic.standing is None else str(topic.standing.missed),
        )

    def _say_table(self, rows: list[tuple[str, ...]]) -> None:
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) + 1)]
        for first, *rest in rows:
            cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
            self._say("  " + "  ".join(cells))
