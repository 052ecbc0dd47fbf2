"""Tables: one row for each set of labels, one instant query for each column of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.table import Options

from grafana.source.links import Uid, url
from grafana.source.panels import AnyPanel, Query, Shown, at_once, dressed, value, value_map


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        title: its heading.
        expr: the query that fills it, with a figure for each row.
        unit: Grafana's name of the unit.
        values: texts and colours for its numbers, if they stand for states.
    """

    title: str
    expr: str
    unit: str = "short"
    values: Mapping[float, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """What a click on a label leads to.

    Attributes:
        label: the column to click on.
        title: what the link says.
        to: the dashboard.
        labels: the labels of the row that it takes along.
    """

    label: str
    title: str
    to: Uid
    labels: tuple[str, ...]


def rows(
    shown: Shown, labels: Sequence[str], columns: Sequence[Column], links: Sequence[Link] = (), worst: str = ""
) -> AnyPanel:
    """A table; rows with the highest figure in the column `worst` come first."""
    panel = table.Panel().filterable(True).cell_options(kinds.TableAutoCellOptions())
    panel.build().options = _options(worst)
    for column in columns:
        panel = panel.override_by_name(column.title, _drawn(column))
    for link in links:
        target = {"title": link.title, "url": url(link.to, link.labels, of="row")}
        panel = panel.override_by_name(link.label, [value("links", [target])])
    queries = [at_once(ref, Query(column.expr)) for ref, column in zip(ascii_uppercase, columns, strict=False)]
    panel = panel.targets([query.format(PromQueryFormat.TABLE) for query in queries])
    return dressed(panel.transformations(_joined(labels, columns)), shown)


def _options(worst: str) -> Options:
    options = Options(sort_by=[kinds.TableSortByFieldState(display_name=worst, desc=True)] if worst else [])
    options.footer = None  # theirs by default, and no longer known to Grafana
    return options


def _drawn(column: Column) -> list[model.DynamicConfigValue]:
    if not column.values:
        return [value("unit", column.unit)]
    coloured = {"type": "color-background", "mode": "basic"}
    return [value("mappings", [value_map(column.values)]), value("custom.cellOptions", coloured)]


def _joined(labels: Sequence[str], columns: Sequence[Column]) -> list[model.DataTransformerConfig]:
    values = ["Value"] if len(columns) == 1 else [f"Value #{ref}" for ref in ascii_uppercase[: len(columns)]]
    order = {name: place for place, name in enumerate((*labels, *values))}
    titles = dict(zip(values, (column.title for column in columns), strict=True))
    tidy = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": titles}
    return [
        model.DataTransformerConfig(id_val="merge", options={}),
        model.DataTransformerConfig(id_val="organize", options=tidy),
    ]
