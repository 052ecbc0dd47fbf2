"""The kinds of panel in use, each with a unit, a description and a word for the case that there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Final, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap as heat
from grafana_foundation_sdk.builders import prometheus as prom
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.source.colours import BAD, BLUE, GOOD, HEATMAP_SCHEME

AnyPanel: TypeAlias = Builder[model.Panel]
Target: TypeAlias = Builder[Dataquery]
S = TypeVar("S", bound=str)
P = TypeVar("P", bargauge.Panel, heatmap.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)

DATASOURCE: Final = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")
QUARTER: Final = 6
THIRD: Final = 8
HALF: Final = 12
WHOLE: Final = 24
NO_FLOOR: Final = float("-inf")
"""The step of `number` that colours what is below all others."""


@dataclass(frozen=True)
class Shown:
    """What every panel says about itself.

    Attributes:
        title: what is shown, in a few words.
        description: what it means and what to make of it.
        unit: Grafana's name of the unit.
        span: the width, of 24.
        height: in Grafana's grid rows.
        empty: what stands there when the query finds nothing.
    """

    title: str
    description: str
    unit: str = "short"
    span: int = HALF
    height: int = 8
    empty: str = "no data"


@dataclass(frozen=True)
class Query:
    """One PromQL query of a panel.

    Attributes:
        expr: the query.
        legend: how its series are named.
        limit: drawn as a dashed line in the colour of trouble: it is a threshold and no measurement.
        usual: drawn as a dashed line in its own colour: what the others should be.
        exemplars: whether to ask for the sessions behind slow observations.
    """

    expr: str
    legend: str = ""
    limit: bool = False
    usual: bool = False
    exemplars: bool = False


@dataclass(frozen=True)
class Style:
    """How lines over time are drawn.

    Attributes:
        colours: regular expressions over a series' name, to its colour; several series of one colour get its shades.
        minimum: where the axis starts, None to let it follow the data.
        stacked: areas upon each other.
        bars: bars instead of lines, for what happens now and then; they are stacked.
    """

    colours: Mapping[str, str] = field(default_factory=dict)
    minimum: float | None = 0
    stacked: bool = False
    bars: bool = False


def series(shown: Shown, *queries: Query, style: Style | None = None) -> AnyPanel:
    """Lines over time. A gap in the data stays a gap."""
    style = style or Style()
    panel = timeseries.Panel().span_nulls(False).show_points(kinds.VisibilityMode.AUTO)
    panel = panel.color_scheme(_shades(BLUE)).legend(_legend()).tooltip(_all_at_once())
    panel = panel.fill_opacity(60 if style.stacked or style.bars else 8)
    if style.minimum is not None:
        panel = panel.min(style.minimum)
    if style.bars:
        panel = panel.draw_style(kinds.GraphDrawStyle.BARS)
    if style.stacked or style.bars:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    for pattern, colour in style.colours.items():
        panel = panel.override_by_regexp(pattern, [value("color", {"mode": "shades", "fixedColor": colour})])
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        if query.limit:
            panel = panel.override_by_query(ref, [*_dashed(), *_limit_line()])
        if query.usual:
            panel = panel.override_by_query(ref, _dashed())
    return dressed(panel, shown).targets(_ranged(queries))


def number(shown: Shown, query: str, steps: Mapping[float, str] | None = None) -> AnyPanel:
    """One number, coloured by the highest of `steps` that it has reached.

    It is asked for the end of the range only: the last of a range that came to an end earlier would pass for the
    present one, though the monitor is gone or the trouble over.
    """
    panel = stat.Panel().graph_mode(kinds.BigValueGraphMode.NONE).reduce_options(_last()).color_scheme(_by_thresholds())
    panel = panel.color_mode(kinds.BigValueColorMode.VALUE).thresholds(_steps(steps or {}))
    return dressed(panel, shown).targets([at_once("A", Query(query))])


def histogram(shown: Shown, query: str) -> AnyPanel:
    """A heatmap of a histogram's buckets over time; empty cells are left out."""
    colour = heat.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme(HEATMAP_SCHEME).steps(64)
    panel = heatmap.Panel().calculate(False).color(colour).y_axis(heat.YAxisConfig().unit(shown.unit))
    panel = panel.cell_gap(1).exemplars_color(BAD).show_legend().filter_values(heat.FilterValueRange().le(1e-9))
    target = _target("A", Query(query, "{{le}}", exemplars=True)).range()
    return dressed(panel, shown).targets([target.format(PromQueryFormat.HEATMAP)])


def timeline(
    shown: Shown, *queries: Query, values: Mapping[float, tuple[str, str]], links: Sequence[build.DashboardLink] = ()
) -> AnyPanel:
    """A bar for each series, coloured and labelled by its value: `values` tells a number's text and colour."""
    panel = statetimeline.Panel().merge_values(True).row_height(0.8).show_value(kinds.VisibilityMode.AUTO)
    panel = panel.per_page(20).fill_opacity(80).legend(_legend()).tooltip(_all_at_once())
    panel = panel.mappings([value_map(values)]).color_scheme(_by_thresholds()).thresholds(_steps({}))
    panel = panel.data_links(list(links))
    return dressed(panel, shown).targets(_ranged(queries))


def bars(shown: Shown, query: Query, *, buckets: bool = False) -> AnyPanel:
    """A bar for each series, as of now; with `buckets`, for each of a histogram's."""
    panel = bargauge.Panel().display_mode(kinds.BarGaugeDisplayMode.BASIC).reduce_options(_last()).min(0)
    panel = panel.orientation(kinds.VizOrientation.HORIZONTAL).color_scheme(_fixed(BLUE))
    target = at_once("A", query)
    return dressed(panel, shown).targets([target.format(PromQueryFormat.HEATMAP) if buckets else target])


def dressed(panel: P, shown: Shown) -> P:
    """The panel with what every panel has."""
    panel = panel.title(shown.title).description(shown.description).datasource(DATASOURCE)
    return panel.unit(shown.unit).no_value(shown.empty).span(shown.span).height(shown.height)


def at_once(ref: str, query: Query) -> prom.Dataquery:
    """The query, for the end of the range shown only."""
    return _target(ref, query).instant()


def value(name: str, setting: object) -> model.DynamicConfigValue:
    """One property of an override."""
    return model.DynamicConfigValue(id_val=name, value=setting)


def value_map(values: Mapping[float, tuple[str, str]]) -> model.ValueMap:
    """Numbers to their texts and colours."""
    results = {
        f"{number:g}": model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (number, (text, colour)) in enumerate(values.items())
    }
    return model.ValueMap(options=results)


def numbered(states: Mapping[S, str]) -> dict[float, tuple[str, str]]:
    """States in their order, with their colours, as `promql.state_number` counts them."""
    return {place: (str(state), colour) for place, (state, colour) in enumerate(states.items(), 1)}


def _ranged(queries: Sequence[Query]) -> list[Target]:
    return [_target(ref, query).range() for ref, query in zip(ascii_uppercase, queries, strict=False)]


def _target(ref: str, query: Query) -> prom.Dataquery:
    target = prom.Dataquery().ref_id(ref).expr(query.expr).datasource(DATASOURCE).exemplar(query.exemplars)
    return target.legend_format(query.legend) if query.legend else target


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.LIST)
    return legend.placement(kinds.LegendPlacement.BOTTOM).show_legend(True)


def _all_at_once() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _shades(colour: str) -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.SHADES).fixed_color(colour)


def _fixed(colour: str) -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(colour)


def _by_thresholds() -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def _steps(steps: Mapping[float, str]) -> build.ThresholdsConfig:
    base = model.Threshold(value=None, color=steps.get(NO_FLOOR, GOOD))
    above = [model.Threshold(value=at, color=colour) for at, colour in steps.items() if at != NO_FLOOR]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps([base, *above])


def _dashed() -> list[model.DynamicConfigValue]:
    return [
        value("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        value("custom.fillOpacity", 0),
        value("custom.showPoints", "never"),
    ]


def _limit_line() -> list[model.DynamicConfigValue]:
    return [
        value("color", {"mode": "fixed", "fixedColor": BAD}),
        value("custom.stacking", {"mode": "none"}),
    ]
