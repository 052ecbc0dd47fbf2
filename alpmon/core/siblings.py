"""The same messages over parallel connections: who missed what, how late each is, and what a silence means.

A message is told by its topic and an identity: a trade's symbol and id, else the frame's bytes, stamp included. A copy
that one connection repeats is the same message still. The limit of it: servers that stamp, round or batch the same
news differently send different messages, and each seems to miss the other's; an identical frame sent twice on purpose
counts once. `core/sightings.py` has the account of each topic, and the rules of what is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from alpmon.core.events import Trade
from alpmon.core.numeric import Event, NumericTrade
from alpmon.core.sightings import NEVER, SharedTopic, Standing, Timing
from alpmon.core.stand import Compared

_TRADES: Final = (Trade, NumericTrade)


def identity(event: Event, payload: bytes | bytearray | memoryview) -> int:
    """What a message has in common with its copies on other connections; 64 bits, meaningless to other processes."""
    if isinstance(event, _TRADES):
        return hash((event.symbol, event.id))
    return hash(bytes(payload))


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
            self._topic(topic).subscribed(connection, now)

    def left(self, connection: int, topics: Iterable[str], now: float) -> None:
        """A connection carries topics no more: its session ended, or they were moved elsewhere."""
        self.settle(now)
        for topic in topics:
            self.standing(connection, topic).leave()

    def saw(self, connection: int, topic: str, message: int, now: float) -> float | None:
        """A connection delivered a message; returns how late, as `SharedTopic.saw` does."""
        self._heard[connection] = now
        return self._topic(topic).saw(connection, message, now)

    def take_up(self, connection: int, topic: str, told: Compared, now: float) -> None:
        """Begin in the midst of a session that carries the topic."""
        standing = self.standing(connection, topic)
        if standing.since <= now:
            standing.take_up(told, now)
            self._heard[connection] = max(self._heard[connection], standing.delivered)

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
            what one said last holds for one threshold, as a message would. None where none of this is known, or a
            sibling received what may be news and may be old.
        """
        standings = self._topic(topic).standings
        own = standings[connection]
        if own.is_behind:
            return False
        if own.since > now or own.may_be_behind:
            return None
        settled_before = now - self.timing.grace
        witnesses = [n for n, it in enumerate(standings) if n != connection and it.subscribed <= settled_before]
        if not witnesses:
            return True if now - own.vouched <= stale_after else None
        silent_from = max(own.delivered, own.subscribed)
        lately = (now + silent_from) / 2
        known_until = max(silent_from, own.vouched) + stale_after
        if lives_at < lately or not any(
            self._heard[witness] >= lately and standings[witness].subscribed <= known_until for witness in witnesses
        ):
            return None
        own.vouched = now
        return True

    def _topic(self, topic: str) -> SharedTopic:
        shared = self._shared.get(topic)
        if shared is None:
            shared = self._shared[topic] = SharedTopic(self.connections, self.timing)
        return shared
