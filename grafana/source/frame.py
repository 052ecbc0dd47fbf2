"""What all four dashboards share: identity, variables, annotations, links and the order of their panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.source.colours import GREEN, PURPLE, SKY
from grafana.source.links import TAG, Uid, to_the_others
from grafana.source.panels import DATASOURCE, AnyPanel
from grafana.source.promql import INTERVAL, ONE_CONNECTION, Scope, by, of

_EVERYTHING: Final = ".+"
_CHILD_OF: Final = {
    "job": "alpmon_build_info",
    "instance": 'alpmon_build_info{job=~"$job"}',
    "target": of("alpmon_target_info", Scope.MONITOR),
    "connection": of("alpmon_connection_up", Scope.TARGET),
    "topic": of("alpmon_messages_total", Scope.CONNECTION),
}
"""Each variable with the series that know its values; each is narrowed down by those before it."""


@dataclass(frozen=True)
class Section:
    """A heading and the panels under it."""

    title: str
    panels: Sequence[AnyPanel]


def dashboard(uid: Uid, title: str, description: str, since: str, sections: Sequence[Section]) -> model.Dashboard:
    """A dashboard with everything that all of them have."""
    made = build.Dashboard(f"alpmon / {title}").uid(uid).description(description).tags([TAG]).readonly()
    made = made.time(since, "now").refresh("30s").timezone("browser").tooltip(model.DashboardCursorSync.CROSSHAIR)
    made = made.link(to_the_others()).variables(_variables()).annotations(_annotations())
    ids = count(1)
    for section in sections:
        made = made.with_row(build.Row(section.title).id(next(ids)))
        for panel in _with_ids(section.panels, ids):
            made = made.with_panel(panel)
    return made.build()


def _with_ids(panels: Sequence[AnyPanel], ids: Iterator[int]) -> Iterator[AnyPanel]:
    for panel in panels:
        panel.build().id_val = next(ids)  # a builder builds the same object each time it is asked
        yield panel


def _variables() -> list[Builder[model.VariableModel]]:
    source: Builder[model.VariableModel] = (
        build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )
    variables = [source, *(_variable(label, series) for label, series in _CHILD_OF.items())]
    for variable in variables:  # what only an interval has, and the builders give to all
        made = variable.build()
        made.auto = made.auto_min = made.auto_count = None
    return variables


def _variable(label: str, series: str) -> build.QueryVariable:
    query = f"label_values({series}, {label})"
    made = build.QueryVariable(label).label(label.capitalize()).datasource(DATASOURCE).query(query)
    made = made.multi(True).include_all(True).all_value(_EVERYTHING).sort(model.VariableSort.NATURAL_ASC)
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    return made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).current(everything)


def _annotations() -> list[Builder[model.AnnotationQuery]]:
    established = of("alpmon_connection_established_timestamp_seconds", Scope.CONNECTION)
    made = by("max", ONE_CONNECTION, _at_any_time(established))
    loaded = _at_any_time(of("alpmon_config_last_reload_success_timestamp_seconds", Scope.MONITOR))
    return [
        _annotation("Reconnects", f"{made} * 1000 > 0", SKY, "{{target}} {{connection}}: connected", exact=True),
        _annotation("Reloads", f"{loaded} * 1000 > 0", PURPLE, "{{instance}}: configuration loaded", exact=True),
        _annotation("Certificates", _changed(), GREEN, "{{target}}: the server's certificate changed"),
    ]


def _at_any_time(selector: str) -> str:
    """What a gauge showed at any time since the step before: on a long range much happens between two steps."""
    return f"max_over_time({selector}[{INTERVAL}])"


def _changed() -> str:
    """Where the certificate is another than the last that was seen up to a step before.

    A gauge of 0 has seen none yet, as after a restart. So long as a monitor may be away, what it saw before counts.
    """
    certificate = of("alpmon_tls_certificate_not_after_timestamp_seconds", Scope.CONNECTION)
    seen = f"{by('max', ('target',), certificate)} > 0"
    return f"{seen} != last_over_time(({seen})[1h:15s] offset {INTERVAL})"


def _annotation(name: str, expr: str, colour: str, text: str, *, exact: bool = False) -> build.AnnotationQuery:
    """An annotation where the query has a value, or with `exact` at the very millisecond that the value says."""
    made = build.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(colour)
    made = made.expr(expr).step("15s").title_format(name).text_format(text).tag_keys("target,connection,instance")
    return made.use_value_for_time(exact)
