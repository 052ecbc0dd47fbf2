"""What a topic's silence means: its state, its age, and how long it has been stale altogether.

Nothing but a topic's own messages refreshes it: no ping, no acknowledgement of a probe, no other topic's frame. The
threshold is fixed when a message or the acknowledgement arrives, so that a message costs one comparison and every
figure is exact at any moment, also between two scrapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from alpmon.core.cadence import Cadence
from alpmon.core.stand import Stand


class TopicState(StrEnum):
    """A topic's state on one connection; the values of `alpmon_topic_state`."""

    DOWN = "down"
    PENDING = "pending"
    REJECTED = "rejected"
    SILENT = "silent"
    LIVE = "live"
    QUIET = "quiet"
    STALE = "stale"


TROUBLE: Final = frozenset({TopicState.REJECTED, TopicState.SILENT, TopicState.STALE})
"""The states of a topic that calls for somebody while its connection is up."""


class Mode(StrEnum):
    """Where a topic's threshold comes from."""

    ADAPTIVE = "adaptive"
    FIXED = "fixed"


@dataclass(slots=True, frozen=True)
class Rule:
    """How one topic is judged; all seconds. `after` counts in fixed mode only, `floor` and `ceiling` in adaptive."""

    mode: Mode = Mode.ADAPTIVE
    floor: float = 5.0
    ceiling: float = 600.0
    silent_after: float = 120.0
    after: float = 120.0


class Source(StrEnum):
    """Who can say whether a silence missed anything."""

    SIBLINGS = "siblings"
    REFERENCE = "reference"


def combine(verdicts: Iterable[bool | None]) -> bool | None:
    """What several sources say together: one that knows of something missed outweighs all that know of nothing.

    Args:
        verdicts: True for nothing missed, False for something missed, None for no knowledge.
    """
    known = [verdict for verdict in verdicts if verdict is not None]
    return all(known) if known else None


class TopicFreshness:
    """One topic on one connection. `now` is monotonic seconds throughout and never goes back.

    Call `up` at the welcome, `asked`/`acknowledged`/`rejected` as the subscription fares, `message` for every data
    frame and `down` at the close. What comes while down is ignored; a repeated acknowledgement changes nothing, and
    data proves a subscription whatever was, or was not, said about it.
    """

    __slots__ = (
        "_deadline",
        "_episodes",
        "_excused",
        "_excused_changed",
        "_flowing",
        "_phase",
        "_seed",
        "_silent_from",
        "_since",
        "_spell_from",
        "_stale_seconds",
        "_threshold",
        "_verdicts",
        "cadence",
        "rule",
    )

    _phase: TopicState
    _flowing: bool
    _excused: bool
    _since: float
    _seed: float
    _excused_changed: float
    _silent_from: float
    _deadline: float
    _spell_from: float
    _threshold: float

    def __init__(self, rule: Rule, now: float = 0.0, cadence: Cadence | None = None) -> None:
        self.rule = rule
        self.cadence: Cadence | None = None
        if rule.mode is Mode.ADAPTIVE:
            self.cadence = cadence or Cadence(rule.floor, rule.ceiling)
        self._stale_seconds = 0.0
        self._episodes = 0
        self._verdicts: dict[Source, tuple[float, bool | None]] = {}
        self._reset(now, TopicState.DOWN)

    def up(self, now: float) -> None:
        """The session was welcomed: the topic is waited for."""
        self._close_spell(now)
        self._reset(now, TopicState.PENDING)

    def down(self, now: float) -> None:
        """The session ended; the time until the next acknowledgement counts for nothing. Ignored while down."""
        if self._phase is not TopicState.DOWN:
            self._close_spell(now)
            self._reset(now, TopicState.DOWN)

    def asked(self, now: float) -> None:
        """A request that holds the topic was sent; the probe of a topic that is already served changes nothing."""
        if self._phase is TopicState.REJECTED:
            self._phase, self._since = TopicState.PENDING, now

    def rejected(self, now: float) -> None:
        """The server refused the topic or did not acknowledge it in time; void once data or the ack has come."""
        if self._phase is TopicState.PENDING:
            self._phase, self._since = TopicState.REJECTED, now

    def acknowledged(self, now: float) -> None:
        """The server accepted the topic: its age starts here. Counts once a session, and not after data."""
        if self._phase in (TopicState.PENDING, TopicState.REJECTED):
            self._phase, self._since = TopicState.LIVE, now
            self._silent_from = now + self.rule.silent_after
            self._arm(now)

    def message(self, now: float) -> float:
        """A data frame of this topic arrived.

        Returns:
            Seconds since the message before it in this session, -1.0 for the first.
        """
        if not self._flowing:
            self._first_message(now)
            return -1.0
        gap = now - self._seed
        if gap == 0.0 and not self._excused:
            return gap  # of one read with the message before: nothing follows from it, and bursts are made of it
        if now >= self._deadline:
            self._wake(now)
        cadence = self.cadence
        if cadence is not None:
            cadence.observe(gap)
            self._threshold = cadence.threshold
        self._seed = now
        self._deadline = self._spell_from = now + self._threshold
        self._excused = False
        return gap

    def evidence(self, now: float, nothing_missed: bool | None, source: Source = Source.SIBLINGS) -> None:
        """What a source says about the present silence, in place of what it said before; None where it cannot say.

        Nothing missed, by all that is known, makes `quiet` of `stale` from now on; the next message voids it all.
        """
        self._verdicts[source] = self._seed, nothing_missed
        excused = combine(verdict for seed, verdict in self._verdicts.values() if seed == self._seed) is True
        if excused is self._excused or self._phase is not TopicState.LIVE or now >= self._silent_from:
            return
        self._close_spell(now)
        self._excused, self._excused_changed = excused, now
        self._spell_from = self._silent_from if excused else min(max(self._deadline, now), self._silent_from)

    def judge_by(self, rule: Rule, now: float) -> None:
        """Another rule is in force from here on, for the present silence too; what was learnt stays."""
        learnt = self.snapshot()
        self._close_spell(now)
        self.rule = rule
        self.cadence = Cadence(rule.floor, rule.ceiling) if rule.mode is Mode.ADAPTIVE else None
        self._threshold = rule.after if self.cadence is None else self.cadence.stale_after()
        if learnt is not None:
            self.restore(learnt)
        if self._phase is TopicState.LIVE:
            self._deadline = self._seed + self._threshold
            self._silent_from = math.inf if self._flowing else self._seed + rule.silent_after
            self._spell_from = self._silent_from if self._excused else min(self._deadline, self._silent_from)
            self._spell_from = max(self._spell_from, now)

    def state(self, now: float) -> TopicState:
        """The state as the contract defines it."""
        if self._phase is not TopicState.LIVE:
            return self._phase
        if now >= self._silent_from:
            return TopicState.SILENT
        if now < self._deadline:
            return TopicState.LIVE
        return TopicState.QUIET if self._excused else TopicState.STALE

    def since(self, now: float) -> float:
        """When the present state began, monotonic seconds."""
        match self.state(now):
            case TopicState.SILENT:
                return self._silent_from
            case TopicState.QUIET | TopicState.STALE:
                return max(self._deadline, self._excused_changed)
            case _:
                return self._since

    def age(self, now: float) -> float:
        """Seconds since this session's last message, or since the ack before the first; 0 before either."""
        return now - self._seed if self._phase is TopicState.LIVE else 0.0

    @property
    def delivered(self) -> bool:
        """Whether a message came in this session."""
        return self._flowing

    def stale_after(self) -> float:
        """The threshold now in force, seconds of age."""
        return self._threshold

    def stale_seconds(self, now: float) -> float:
        """Seconds spent in `stale` or `silent` so far, the present spell included."""
        return self._stale_seconds + max(0.0, now - self._spell_from)

    def episodes(self, now: float) -> int:
        """Spells of `stale` or `silent` so far, the present one included; stale turning silent is one spell."""
        return self._episodes + (now >= self._spell_from)

    def snapshot(self) -> dict[str, object] | None:
        """What was learnt of the topic's silences, for `restore`; None in fixed mode."""
        return None if self.cadence is None else self.cadence.snapshot()

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Take what was learnt before; nothing to learn in fixed mode.

        Raises:
            ValueError: the snapshot is not one; nothing has changed then.
        """
        if self.cadence is not None:
            self.cadence.restore(snapshot)
            self._threshold = self.cadence.stale_after()

    def stand(self) -> Stand:
        """Where the topic stands, for `take_up`."""
        return Stand(
            phase=self._phase,
            since=self._since,
            seed=self._seed,
            threshold=self._threshold,
            delivered=self._flowing,
            excused=self._excused,
            excused_changed=self._excused_changed if math.isfinite(self._excused_changed) else None,
            said={source: verdict for source, (seed, verdict) in self._verdicts.items() if seed == self._seed},
        )

    def take_up(self, stand: Stand, now: float, *, by_its_threshold: bool) -> None:
        """Go on from where another one stood; its threshold counts only if it was judged by the same rule.

        Raises:
            ValueError: there is no such state.
        """
        self._phase, self._since, self._seed = TopicState(stand.phase), min(stand.since, now), min(stand.seed, now)
        self._flowing, self._excused = stand.delivered, stand.excused
        self._excused_changed = -math.inf if stand.excused_changed is None else min(stand.excused_changed, now)
        self._verdicts = {source: (self._seed, stand.said[source]) for source in Source if source in stand.said}
        if by_its_threshold:
            self._threshold = stand.threshold
        if self._phase is TopicState.LIVE:
            self._deadline = self._seed + self._threshold
            self._silent_from = math.inf if self._flowing else self._seed + self.rule.silent_after
            late_from = max(self._deadline, self._excused_changed)
            self._spell_from = self._silent_from if self._excused else min(late_from, self._silent_from)

    def _reset(self, now: float, phase: TopicState) -> None:
        self._phase, self._since, self._seed = phase, now, now
        self._flowing = self._excused = False
        self._excused_changed = -math.inf
        self._silent_from = self._deadline = self._spell_from = math.inf
        self._threshold = self.rule.after if self.cadence is None else self.cadence.stale_after()

    def _first_message(self, now: float) -> None:
        if self._phase is TopicState.DOWN:
            return
        if self.state(now) is not TopicState.LIVE:
            self._wake(now)
        self._phase, self._flowing, self._silent_from = TopicState.LIVE, True, math.inf
        self._arm(now)

    def _arm(self, now: float) -> None:
        self._seed, self._excused = now, False
        self._deadline = now + self._threshold
        self._spell_from = min(self._deadline, self._silent_from)

    def _wake(self, now: float) -> None:
        self._close_spell(now)
        self._since = now

    def _close_spell(self, now: float) -> None:
        """Book the spell that is running, if one is; the next begins where the caller says."""
        if now >= self._spell_from:
            self._stale_seconds += now - self._spell_from
            self._episodes += 1
            self._spell_from = math.inf
