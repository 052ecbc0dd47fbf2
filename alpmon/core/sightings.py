"""One topic as several connections deliver it: each message's first sight, who has it, and who misses it.

A message is missed by a connection that did not deliver it within `window` of its first copy, if

- the connection was subscribed from `grace` before the first copy until the end of the window without a break, so that
  neither a reconnect, nor joining late, nor what was in flight around either counts;
- one that did deliver it had been subscribed for `grace` when it did first, so that what a server sends on subscribing
  accuses nobody;
- the memory had room for it until then: it holds at most `limit` messages of a topic, each for `memory`;
- it is known to be no old copy, of a message that was forgotten. A connection that stalled may deliver such copies
  until it is known to be past all that was forgotten: by a message that is known to be younger, or by delivering on
  for as long as `memory` while nobody else delivers anything. Messages come in the same order on all connections.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from alpmon.core.stand import Compared

NEVER: Final = -math.inf


@dataclass(slots=True, frozen=True)
class Timing:
    """How long what is waited for; all but `limit` in seconds.

    Attributes:
        patience: a message that a sibling has had for so long, and this connection has not, is evidence against it.
        grace: margin after the acknowledgement.
        window: a message that has not come by then is missed.
        memory: a copy that comes by then is still recognised; longer than a dead peer can go unnoticed with the
            advertised 20 s + 30 s, as a connection that wakes up delivers what had piled up.
        limit: messages remembered of one topic.
    """

    patience: float = 2.0
    grace: float = 2.0
    window: float = 5.0
    memory: float = 90.0
    limit: int = 20_000


@dataclass(slots=True, eq=False)
class Standing:
    """One connection's account of one topic.

    Attributes:
        missed: messages that a sibling delivered and this connection never did; over all its sessions.
        since: subscribed since then; infinite while it is not.
        subscribed: the same, but for a replay that begins in the midst: what was missed by then is not known to it, how
            long it has been silent is.
        delivered: when its last message in this session came.
        newest: when the newest message that it delivered in this session was first seen on any connection.
        lacking: when the newest message that it lacks was first seen.
        puzzling: the same of one that may be an old copy.
        vouched: until when its silence is known to be the market's.
        reached: the number up to which it has delivered or lost everything.
        astray: since when it has delivered alone, and all of it may be old copies; infinite while none can be.
    """

    missed: int = 0
    since: float = math.inf
    subscribed: float = math.inf
    delivered: float = NEVER
    newest: float = NEVER
    lacking: float = NEVER
    puzzling: float = NEVER
    vouched: float = NEVER
    reached: int = 0
    astray: float = math.inf

    @property
    def is_behind(self) -> bool:
        """Whether a sibling has delivered something newer, and not just now."""
        return self.lacking > self.newest

    @property
    def may_be_behind(self) -> bool:
        """Whether a sibling has delivered something that may be newer, and not just now."""
        return self.puzzling > self.newest

    def reach(self, number: int) -> None:
        """It is known to be past everything up to this number."""
        self.reached = max(self.reached, number)
        self.astray = math.inf

    def leave(self) -> None:
        """The session ended, or the topic left it."""
        self.since = self.subscribed = self.astray = math.inf
        self.delivered = self.newest = self.lacking = self.puzzling = self.vouched = NEVER
        self.reached = 0

    def told(self) -> Compared:
        """What silences are judged by, for `take_up`."""
        return Compared(**{name: value for name in _TOLD if math.isfinite(value := getattr(self, name))})

    def take_up(self, told: Compared, now: float) -> None:
        """Judge silences by what another one knew; of messages nothing is known from before `now`."""
        for name in _TOLD:
            value = getattr(told, name)
            if value is not None:
                setattr(self, name, min(value, now))


_TOLD: Final = Compared.__struct_fields__


@dataclass(slots=True, eq=False)
class _Sighting:
    """One message.

    Attributes:
        identity: what it is known by.
        number: rises in the order in which messages are first seen, and is given anew when the place is known.
        first: when it was first seen.
        seen: a bit for each connection that delivered it.
        accuses: whether its lack counts.
        puzzles: whether its lack would count, were it known to be no old copy.
        placed: whether it is known to follow all lower numbers, so that who delivered it is that far.
    """

    identity: int
    number: int
    first: float
    seen: int
    accuses: bool = False
    puzzles: bool = False
    placed: bool = False


class SharedTopic:
    """One topic as its connections deliver it; amortised O(connections) a message."""

    __slots__ = ("_everybody", "_forgotten", "_judged", "_known", "_new", "_number", "_open", "_timing", "standings")

    def __init__(self, connections: int, timing: Timing) -> None:
        self.standings = tuple(Standing() for _ in range(connections))
        self._timing = timing
        self._everybody = (1 << connections) - 1
        self._known: dict[int, _Sighting] = {}
        # The known ones by age, oldest first: within `patience`, within `window`, within `memory`.
        self._new: deque[_Sighting] = deque()
        self._open: deque[_Sighting] = deque()
        self._judged: deque[_Sighting] = deque()
        self._number = self._forgotten = 0  # the highest there is, and the highest of those that are known no more

    def subscribed(self, connection: int, now: float) -> None:
        """The server acknowledged the topic; again changes nothing."""
        standing = self.standings[connection]
        if standing.since == math.inf:
            standing.since, standing.subscribed, standing.reached = now, now, self._number

    def saw(self, connection: int, message: int, now: float) -> float | None:
        """A connection delivered a message.

        Returns:
            Seconds behind the first sibling that did; None for the first itself, for a copy that this connection had
            already delivered, and for a message older than the connection's standing.
        """
        self.settle(now)
        self.subscribed(connection, now)  # Data proves it.
        standing, bit = self.standings[connection], 1 << connection
        standing.delivered = now
        sighting = self._known.get(message)
        if sighting is None:
            self._remember(_Sighting(message, self._next_number(), now, bit), standing, now)
            return None
        if sighting.seen & bit:
            return None
        sighting.seen |= bit
        if not sighting.placed:
            self._place(sighting, standing, now)
        if sighting.accuses or sighting.placed:
            standing.newest = max(standing.newest, sighting.first)
        if sighting.placed:
            standing.reach(sighting.number)
        return now - sighting.first if self._answers_for(standing, sighting) else None

    def settle(self, now: float) -> None:
        """Judge what is due by now."""
        timing = self._timing
        while self._new and now - self._new[0].first > timing.patience:
            self._open.append(self._new.popleft())
            self._hold_against(self._open[-1])
        while self._open and now - self._open[0].first > timing.window:
            self._judged.append(self._open.popleft())
            if self._judged[-1].accuses:
                for standing in self._lacking(self._judged[-1]):
                    standing.missed += 1
        while self._judged and now - self._judged[0].first > timing.memory:
            self._forget(self._judged)

    def _remember(self, sighting: _Sighting, standing: Standing, now: float) -> None:
        """Nobody is known to have delivered it before."""
        if len(self._known) >= self._timing.limit:
            self._forget(next(sightings for sightings in (self._judged, self._open, self._new) if sightings))
        settled = standing.since + self._timing.grace <= now
        if self._is_news(sighting, standing, now):
            standing.newest = now
            sighting.accuses = settled
            sighting.placed = settled and self._leads(standing)
            if sighting.placed:
                standing.reach(sighting.number)
        else:
            sighting.puzzles = settled
        self._known[sighting.identity] = sighting
        self._new.append(sighting)

    def _place(self, sighting: _Sighting, standing: Standing, now: float) -> None:
        """Another copy came: what the connection that brought it is known to be past may tell more of the message."""
        if sighting.seen == self._everybody:
            sighting.placed = True
        elif standing.since + self._timing.grace <= now and self._is_news(sighting, standing, now):
            sighting.accuses, sighting.puzzles = True, False
            if self._leads(standing):
                sighting.number, sighting.placed = self._next_number(), True
        if sighting.placed:
            for connection, each in enumerate(self.standings):
                if sighting.seen >> connection & 1:
                    each.reach(sighting.number)
                    each.newest = max(each.newest, sighting.first)

    def _is_news(self, sighting: _Sighting, standing: Standing, now: float) -> bool:
        """Whether what a connection delivers just now can be no copy of what was forgotten."""
        if standing.reached < self._forgotten:
            elsewhere = (each for n, each in enumerate(self.standings) if not sighting.seen >> n & 1)
            others = max((each.delivered for each in elsewhere), default=NEVER)
            standing.astray = now if standing.astray <= others else min(standing.astray, now)
            if now - standing.astray > self._timing.memory:
                standing.reach(self._forgotten)
        return standing.reached >= self._forgotten

    def _leads(self, standing: Standing) -> bool:
        """Whether no other is known to be further."""
        return all(other.reached <= standing.reached for other in self.standings)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _forget(self, sightings: deque[_Sighting]) -> None:
        """The oldest of them is known no more."""
        forgotten = sightings.popleft()
        del self._known[forgotten.identity]
        self._forgotten = max(self._forgotten, forgotten.number)

    def _hold_against(self, sighting: _Sighting) -> None:
        """It is older than what patience allows: who lacks it is behind, or may be."""
        if sighting.accuses:
            for standing in self._lacking(sighting):
                standing.lacking = sighting.first
        elif sighting.puzzles:
            for standing in self._lacking(sighting):
                standing.puzzling = sighting.first

    def _lacking(self, sighting: _Sighting) -> list[Standing]:
        """Who has not delivered a message and should have."""
        if sighting.seen == self._everybody:
            return []
        return [
            standing
            for connection, standing in enumerate(self.standings)
            if not sighting.seen >> connection & 1 and self._answers_for(standing, sighting)
        ]

    def _answers_for(self, standing: Standing, sighting: _Sighting) -> bool:
        """Subscribed since long enough before the message, and ever since: a new session would have a later `since`."""
        return standing.since + self._timing.grace <= sighting.first
