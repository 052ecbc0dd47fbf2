"""What a scrape reads while the event loop writes."""

from __future__ import annotations

from alpmon.core.states import State
from alpmon.probe.records import clear_session
from alpmon.telemetry.readers import Seen, session
from alpmon.telemetry.state import ConnectionRecord, TargetRecord


def scraped(record: ConnectionRecord) -> list[tuple[str, ...]]:
    """The labels of the session that a scrape finds."""
    return [labels for labels, _ in session(Seen(TargetRecord("t", ""), record, 0.0))]


class Watched(ConnectionRecord):
    """A record that is scraped whenever a field of it has changed, from when `seen` is given."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if "seen" in self.__dict__:
            self.seen.extend(scraped(self))


def test_a_scrape_amid_the_end_of_a_session_shows_the_session_or_none() -> None:
    """Never one without a name."""
    record = Watched("0-0", State.LIVE, client_id="c1", established_wall=1.0)
    record.__dict__["seen"] = seen = []
    clear_session(record, 1.0)
    assert set(seen) <= {("c1", "unknown")}
    assert scraped(record) == []


class Beginning(ConnectionRecord):
    """A record whose session begins while it is read."""

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name == "client_id" and not value:
            self.client_id, self.established_wall = "c1", 1.0
        return value


def test_a_scrape_amid_the_beginning_of_a_session_shows_the_session_or_none() -> None:
    """A scrape is another thread: between two of its readings anything may happen."""
    record = Beginning("0-0", State.WELCOMING)
    assert set(scraped(record)) <= {("c1", "unknown")}
    assert scraped(record) == [("c1", "unknown")]
