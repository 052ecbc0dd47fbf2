"""The same messages over parallel connections: which of them missed what, and how late each is behind the first.

A message is told by its topic and an identity: a trade's symbol and id, else the frame's bytes, stamp included. A copy
that one connection repeats is the same message still. The limit of it: servers that stamp, round or batch the same
news differently send different messages, and each seems to miss the other's; an identical frame sent twice on purpose
counts once.

A message is missed by a connection that did not deliver it within `window` of its first copy, if

- the connection was subscribed from `grace` before the first copy until the end of the window without a break, so that
  neither a reconnect, nor joining late, nor what was in flight around either counts;
- one that did deliver it had been subscribed for `grace` when it did first, so that what a server sends on subscribing
  accuses nobody;
- the memory had room for it: where `limit` overflows nothing is held against anybody until the window has passed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from alpmon.core.numeric import Event, NumericTrade
from alpmon.core.protocol import Trade

NEVER: Final = -math.inf
_TRADES: Final = (Trade, NumericTrade)


def identity(event: Event, payload: bytes | bytearray | memoryview) -> int:
    """What a message has in common with its copies on other connections; 64 bits, meaningless to other processes."""
    if isinstance(event, _TRADES):
        return hash((event.symbol, event.id))
    return hash(bytes(payload))


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
        delivered: when its last message in this session came.
        newest: when the newest message that it delivered in this session was first seen on any connection.
        lacking: when the newest message that it lacks was first seen.
        vouched: until when its silence is known to be the market's.
    """

    missed: int = 0
    since: float = math.inf
    delivered: float = NEVER
    newest: float = NEVER
    lacking: float = NEVER
    vouched: float = NEVER

    @property
    def is_behind(self) -> bool:
        """Whether a sibling has delivered something newer, and not just now."""
        return self.lacking > self.newest

    def leave(self) -> None:
        """The session ended, or the topic left it."""
        self.since = math.inf
        self.delivered = self.newest = self.lacking = self.vouched = NEVER


@dataclass(slots=True, eq=False)
class _Sighting:
    """One message: `seen` holds a bit for each connection that delivered it, `accuses` whether its lack counts."""

    identity: int
    first: float
    seen: int
    accuses: bool


class SharedTopic:
    """One topic as its connections deliver it; amortised O(connections) a message."""

    __slots__ = ("_blind_until", "_everybody", "_judged", "_known", "_new", "_open", "_timing", "standings")

    def __init__(self, connections: int, timing: Timing) -> None:
        self.standings = tuple(Standing() for _ in range(connections))
        self._timing = timing
        self._everybody = (1 << connections) - 1
        self._known: dict[int, _Sighting] = {}
        # The known ones by age, oldest first: within `patience`, within `window`, within `memory`.
        self._new: deque[_Sighting] = deque()
        self._open: deque[_Sighting] = deque()
        self._judged: deque[_Sighting] = deque()
        self._blind_until = NEVER

    def saw(self, connection: int, message: int, now: float) -> float | None:
        """A connection delivered a message.

        Returns:
            Seconds behind the first sibling that did; None for the first itself, for a copy that this connection had
            already delivered, and for a message older than the connection's standing.
        """
        self.settle(now)
        standing = self.standings[connection]
        standing.delivered = now
        standing.since = min(standing.since, now)  # Data proves a subscription.
        bit, settled = 1 << connection, standing.since + self._timing.grace <= now
        sighting = self._known.get(message)
        if sighting is None:
            standing.newest = now
            self._remember(_Sighting(message, now, bit, settled))
            return None
        standing.newest = max(standing.newest, sighting.first)
        if sighting.seen & bit:
            return None
        sighting.seen |= bit
        sighting.accuses = sighting.accuses or settled
        return now - sighting.first if self._answers_for(standing, sighting) else None

    def settle(self, now: float) -> None:
        """Judge what is due by now."""
        timing = self._timing
        while self._new and now - self._new[0].first > timing.patience:
            self._open.append(self._new.popleft())
            for standing in self._lacking(self._open[-1]):
                standing.lacking = self._open[-1].first
        while self._open and now - self._open[0].first > timing.window:
            self._judged.append(self._open.popleft())
            for standing in self._lacking(self._judged[-1]):
                standing.missed += 1
        while self._judged and now - self._judged[0].first > timing.memory:
            del self._known[self._judged.popleft().identity]

    def _remember(self, sighting: _Sighting) -> None:
        if len(self._known) >= self._timing.limit:
            self._forget_the_oldest()
        if sighting.first <= self._blind_until:
            sighting.seen = self._everybody  # Perhaps a copy of one that was forgotten: nobody owes it.
        self._known[sighting.identity] = sighting
        self._new.append(sighting)

    def _forget_the_oldest(self) -> None:
        oldest = next(sightings for sightings in (self._judged, self._open, self._new) if sightings)
        forgotten = oldest.popleft()
        del self._known[forgotten.identity]
        if oldest is not self._judged:
            self._blind_until = forgotten.first + self._timing.window

    def _lacking(self, sighting: _Sighting) -> list[Standing]:
        """Who has not delivered a message and should have."""
        if sighting.seen == self._everybody or not sighting.accuses:
            return []
        return [
            standing
            for connection, standing in enumerate(self.standings)
            if not sighting.seen >> connection & 1 and self._answers_for(standing, sighting)
        ]

    def _answers_for(self, standing: Standing, sighting: _Sighting) -> bool:
        """Subscribed since long enough before the message, and ever since: a new session would have a later `since`."""
        return standing.since + self._timing.grace <= sighting.first


@dataclass(slots=True)
class Siblings:
    """The connections of one topic group, numbered from 0. `now` is monotonic seconds and never goes back.

    Tell it what happens to each connection, and let `settle` run about once a second: misses are judged then.
    """

    connections: int
    timing: Timing = field(default_factory=Timing)
    _shared: dict[str, SharedTopic] = field(default_factory=dict, init=False)
    _heard: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._heard = [NEVER] * self.connections

    def standing(self, connection: int, topic: str) -> Standing:
        """A connection's account of a topic; lives as long as the group."""
        return self._topic(topic).standings[connection]

    def subscribed(self, connection: int, topics: Iterable[str], now: float) -> None:
        """The server acknowledged topics; again changes nothing."""
        for topic in topics:
            standing = self.standing(connection, topic)
            standing.since = min(standing.since, now)

    def left(self, connection: int, topics: Iterable[str], now: float) -> None:
        """A connection carries topics no more: its session ended, or they were moved elsewhere."""
        self.settle(now)
        for topic in topics:
            self.standing(connection, topic).leave()

    def saw(self, connection: int, topic: str, message: int, now: float) -> float | None:
        """A connection delivered a message; returns how late, as `SharedTopic.saw` does."""
        self._heard[connection] = now
        return self._topic(topic).saw(connection, message, now)

    def settle(self, now: float) -> None:
        """Judge what is due by now."""
        for shared in self._shared.values():
            shared.settle(now)

    def nothing_missed(
        self, connection: int, topic: str, now: float, *, stale_after: float, lives_at: float
    ) -> bool | None:
        """Whether a topic's present silence on a connection is the market's own.

        Args:
            connection: whose silence.
            topic: of what.
            now: monotonic seconds.
            stale_after: the topic's threshold on this connection, seconds.
            lives_at: the last message of any other topic that is live on this connection, `NEVER` if there is none.

        Returns:
            False where a sibling received what this connection did not. True where siblings are subscribed, deliver
            other things, and are as silent here, while this connection too delivers other things: in the later half of
            the silence, so that a target that froze altogether excuses nobody. Where no sibling is subscribed just now
            what one said last holds for one threshold, as a message would. None where none of this is known.
        """
        standings = self._topic(topic).standings
        own = standings[connection]
        if own.is_behind:
            return False
        if own.since > now:
            return None
        settled_before = now - self.timing.grace
        witnesses = [n for n, it in enumerate(standings) if n != connection and it.since <= settled_before]
        if not witnesses:
            return True if now - own.vouched <= stale_after else None
        silent_from = max(own.delivered, own.since)
        lately = (now + silent_from) / 2
        known_until = max(silent_from, own.vouched) + stale_after
        if lives_at < lately or not any(
            self._heard[witness] >= lately and standings[witness].since <= known_until for witness in witnesses
        ):
            return None
        own.vouched = now
        return True

    def _topic(self, topic: str) -> SharedTopic:
        shared = self._shared.get(topic)
        if shared is None:
            shared = self._shared[topic] = SharedTopic(self.connections, self.timing)
        return shared
