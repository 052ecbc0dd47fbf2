"""The state as Prometheus families, read anew at every scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import Metric
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from alpmon.telemetry.families import FAMILIES, OF_CLOCK, OF_CONNECTION, OF_MONITOR, OF_TARGET
from alpmon.telemetry.family import Family
from alpmon.telemetry.histogram import Histogram
from alpmon.telemetry.readers import Labels, Seen, SeenClock

if TYPE_CHECKING:
    from alpmon.telemetry.monitor import Monitor

S = TypeVar("S")


class MonitorCollector:
    """What a registry collects from a `Monitor`; safe in a thread while the event loop writes.

    Families are made one after the other as the renderer asks for them, so that the samples of one are gone before the
    next: a scrape leaves little for the garbage collector, whose passes would stop the event loop as well.

    Args:
        monitor: the state.
        monotonic: the clock that the state's `now` comes from.
        wall: the clock that the server's is compared with.
    """

    def __init__(self, monitor: Monitor, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monitor = monitor
        self._monotonic = monotonic
        self._wall = wall

    def describe(self) -> Iterable[Metric]:
        """Every family without samples, so that a registry knows the names."""
        return [_empty(family) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """Every family with all its children, as of now."""
        now, wall = self._monotonic(), self._wall()
        # another shard shows what it holds: over a whole fleet, all targets everywhere would be most of the series
        targets = [target for target in list(self._monitor.targets.values()) if target.connections]
        connections = [
            ((target.name, record.label), Seen(target, record, now))
            for target in targets
            for record in list(target.connections.values())
        ]
        for of_monitor in OF_MONITOR:
            yield _filled(of_monitor, [((), self._monitor)])
        for of_target in OF_TARGET:
            yield _filled(of_target, [((target.name,), target) for target in targets])
        for of_clock in OF_CLOCK:
            yield _filled(of_clock, [((target.name,), SeenClock(target.clock, now, wall)) for target in targets])
        for of_connection in OF_CONNECTION:
            yield _filled(of_connection, connections)


def _empty(family: Family[Any]) -> Metric:
    return Metric(family.stem, family.help, family.kind, family.unit)


def _filled(family: Family[S], sources: Iterable[tuple[Labels, S]]) -> Metric:
    metric = _empty(family)
    samples = metric.samples
    for scope, source in sources:
        for values, figure in family.read(source):
            labels = dict(zip(family.labels, scope + values, strict=True))
            if isinstance(figure, Histogram):
                samples.extend(_of_histogram(family, labels, figure))
            else:
                samples.append(Sample(family.name, labels, figure))
    return metric


def _of_histogram(family: Family[Any], labels: dict[str, str], histogram: Histogram) -> Iterator[Sample]:
    """Buckets cumulated from one copy of the counts, so that the last is the count whatever is observed meanwhile."""
    total = histogram.sum
    counts = list(accumulate(histogram.counts.copy()))
    bucket = f"{family.name}_bucket"
    for index, (le, count) in enumerate(zip(_les(histogram.bounds), counts, strict=True)):
        exemplar = _exemplar(histogram, index) if family.exemplars else None
        yield Sample(bucket, {**labels, "le": le}, count, None, exemplar)
    yield Sample(f"{family.name}_count", labels, counts[-1])
    yield Sample(f"{family.name}_sum", labels, total)


def _exemplar(histogram: Histogram, bucket: int) -> Exemplar | None:
    seen = histogram.exemplars.get(bucket)
    return None if seen is None else Exemplar({"client_id": seen.client_id}, seen.value, seen.wall)


@cache
def _les(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """Upper limits as Go writes them, which is how Prometheus matches them."""
    return (*(floatToGoString(bound) for bound in bounds), "+Inf")  # type: ignore[no-untyped-call]
