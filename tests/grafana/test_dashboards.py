"""The four dashboards: what they are made from, what they read, and that a person can read them."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
import yaml
from grafana_foundation_sdk.models import units

from alpmon.core.freshness import TopicState
from alpmon.core.states import State
from alpmon.core.topics import Channel
from alpmon.telemetry.families import FAMILIES
from alpmon.telemetry.family import Kind
from grafana.source.__main__ import DASHBOARDS as SOURCE
from grafana.source.__main__ import FOLDER, as_json
from grafana.source.colours import CHANNELS, CONNECTION_STATES, HEATMAP_SCHEME, PALETTE, TOPIC_STATES
from grafana.source.links import TAG, Uid
from tests.grafana.reading import DASHBOARDS, GRAFANA, panels, selectors, targets
from tests.telemetry.records import Scraper, fresh_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA: Final = json.loads((GRAFANA.parent / "tests" / "grafana" / "grafana.schema.json").read_text())
OF_PROMETHEUS: Final = {"expr", "step", "tagKeys", "textFormat", "titleFormat", "useValueForTime"}
"""What Grafana's Prometheus plugin adds to an annotation; the types of the core do not know it."""

FROM_PROMETHEUS: Final = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS", "ALERTS_FOR_STATE"}
"""Prometheus' own series."""

PANELS: Final = [pytest.param(p, id=f"{n}-{p['title']}") for n, d in DASHBOARDS.items() for p in panels(d)]
TARGETS: Final = [pytest.param(target, id=str(target)) for target in targets()]


@pytest.mark.parametrize("name", SOURCE)
def test_the_committed_file_is_what_the_source_makes(name: str) -> None:
    """`make docs` writes them anew."""
    assert (FOLDER / f"{name}.json").read_text() == as_json(SOURCE[name]())


def test_there_are_the_four_dashboards_with_their_fixed_identities() -> None:
    """Alerts, links and provisioning know them by these."""
    assert {name: dashboard["uid"] for name, dashboard in DASHBOARDS.items()} == {
        uid.name.lower(): uid.value for uid in Uid
    }
    assert set(SOURCE) == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_follows_grafanas_own_types(name: str) -> None:
    """No key is unknown, nothing required is missing and every choice is one of Grafana's."""
    dashboard = json.loads(json.dumps(DASHBOARDS[name]))
    for annotation in dashboard["annotations"]["list"]:
        assert set(annotation) >= OF_PROMETHEUS
        for key in OF_PROMETHEUS:
            del annotation[key]
    jsonschema.validate(dashboard, SCHEMA["dashboard"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panels_options_follow_its_plugins_own_types(panel: dict[str, Any]) -> None:
    """The dashboard's schema leaves them open; each kind of panel has its own."""
    schema = SCHEMA["panels"][panel["type"]]
    jsonschema.validate(panel["options"], schema["options"])
    jsonschema.validate(panel["fieldConfig"]["defaults"].get("custom", {}), schema["custom"])


def test_the_schema_finds_mistakes() -> None:
    """An unknown key and a choice that does not exist are refused."""
    schema = SCHEMA["panels"]["timeseries"]["custom"]
    jsonschema.validate({"drawStyle": "bars"}, schema)
    for mistake in ({"drawStyle": "barz"}, {"drawstyle": "bars"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(mistake, schema)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_in_which_unit_and_what_nothing_means(panel: dict[str, Any]) -> None:
    """An empty panel must not look like a good one, and a gap in the data must not look like a line."""
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert defaults["unit"] in {value for name, value in vars(units).items() if name.isupper() or name[0].isupper()}
    assert defaults["noValue"]
    if panel["type"] == "timeseries":
        assert defaults["custom"]["spanNulls"] is False
    if panel["type"] in ("stat", "bargauge"):
        assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_the_width_and_do_not_lie_upon_each_other(name: str) -> None:
    """24 columns, no cell taken twice, and ids of their own."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert place["x"] + place["w"] <= 24
        assert not taken & cells
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_narrow_each_other_down_and_start_at_all(name: str) -> None:
    """The data source first, then from the job to the topic."""
    variables = DASHBOARDS[name]["templating"]["list"]
    assert [v["name"] for v in variables] == ["datasource", "job", "instance", "target", "connection", "topic"]
    for before, variable in itertools.pairwise(variables[1:]):
        assert f'{before["name"]}=~"${before["name"]}"' in variable["query"]
    for variable in variables[1:]:
        assert variable["includeAll"]
        assert variable["current"]["value"] == ["$__all"]


def _known_names() -> set[str]:
    recorded = yaml.safe_load((GRAFANA / "rules" / "alpmon.rules.yaml").read_text())
    rules = {rule["record"] for group in recorded["groups"] for rule in group["rules"] if "record" in rule}
    histograms = [family.name for family in FAMILIES if family.kind is Kind.HISTOGRAM]
    own = {family.name for family in FAMILIES} | {
        name + part for name in histograms for part in ("_bucket", "_sum", "_count")
    }
    process = {s.name for s in Scraper(fresh_monitor()).samples() if s.name.startswith(("process_", "python_"))}
    return rules | own | process | FROM_PROMETHEUS


KNOWN: Final = _known_names()


@pytest.mark.parametrize("target", TARGETS)
def test_a_query_reads_what_exists(target: Any) -> None:
    """Metrics by the table of families, the rules' records and what Prometheus adds; labels by the same table."""
    labels = {family.name: {*family.labels, "job", "instance"} for family in FAMILIES}
    for name, matchers in selectors(target.expr):
        assert name in KNOWN
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        if name in labels or stem in labels:
            assert set(matchers) <= labels.get(name, labels.get(stem, set()))


@pytest.mark.parametrize("target", TARGETS)
def test_a_figure_for_now_or_for_the_whole_range_is_asked_for_once(target: Any) -> None:
    """The last of a range would pass for the present one after its end, and a window as long as the range is one."""
    assert target.query["instant"] or (target.panel["type"] != "stat" and "$__range" not in target.expr)


def test_every_threshold_of_the_rules_is_drawn_somewhere() -> None:
    """As a dashed line, or as what a number is a share of; so a user's own one shows."""
    recorded = {name for name in KNOWN if re.fullmatch(r"alpmon:\w+:(threshold|objective)_\w+", name)}
    assert recorded == {name for target in targets() for name, _ in selectors(target.expr) if name in recorded}
    assert len(recorded) >= 10


@pytest.mark.parametrize("name", DASHBOARDS)
def test_annotations_and_variables_read_what_exists(name: str) -> None:
    """As the panels do."""
    dashboard = DASHBOARDS[name]
    annotations = [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    variables = [
        re.fullmatch(r"label_values\((.+), \w+\)", variable["query"])[1]  # type: ignore[index]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]
    assert [annotation["name"] for annotation in dashboard["annotations"]["list"]] == [
        "Reconnects",
        "Reloads",
        "Certificates",
    ]
    for expr in (*annotations, *variables):
        assert {metric for metric, _ in selectors(expr)} <= KNOWN


def _texts(tree: Any) -> Iterator[tuple[str, str]]:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from _texts(value)
        elif isinstance(value, str):
            yield str(key), value


@pytest.mark.parametrize("name", DASHBOARDS)
def test_links_lead_to_one_of_the_four_and_take_the_time_along(name: str) -> None:
    """From rows and series by address, and to all the others at the top by their tag."""
    urls = [value for key, value in _texts(DASHBOARDS[name]["panels"]) if key == "url"]
    for url in urls:
        assert re.match(r"/d/([\w-]+)\?", url)[1] in set(Uid)  # type: ignore[index]
        assert "${datasource:queryparam}" in url
        assert url.endswith("${__url_time_range}")
    assert urls or name not in ("overview", "topic")
    [others] = DASHBOARDS[name]["links"]
    assert (others["tags"], others["includeVars"], others["keepTime"]) == ([TAG], True, True)
    assert DASHBOARDS[name]["tags"] == [TAG]


def test_alerts_lead_to_dashboards_and_variables_that_exist() -> None:
    """The rules know the dashboards only by their addresses."""
    variables = {variable["name"] for variable in DASHBOARDS["overview"]["templating"]["list"]}
    rules = (GRAFANA / "rules" / "alpmon.rules.yaml").read_text()
    assert set(re.findall(r"/d/(alpmon-[a-z]+)", rules)) == set(Uid)
    assert set(re.findall(r"[?&]var-(\w+)=", rules)) <= variables


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_colour_comes_from_the_palette(name: str) -> None:
    """No red beside green, and no palette of Grafana's that was not made for everybody."""
    texts = list(_texts(DASHBOARDS[name]))
    assert {value for key, value in texts if key in ("color", "fixedColor", "iconColor")} <= set(PALETTE)
    assert {value for key, value in texts if key == "scheme"} <= {HEATMAP_SCHEME}
    for panel in panels(DASHBOARDS[name]):
        mode = panel["fieldConfig"]["defaults"].get("color", {}).get("mode")
        assert mode in ("shades", "fixed", "thresholds") or panel["type"] in ("heatmap", "table")


def test_every_state_and_channel_has_a_colour_of_its_own() -> None:
    """A state that is added to the program must be added to the dashboards."""
    assert set(TOPIC_STATES) == set(TopicState)
    assert set(CONNECTION_STATES) == set(State)
    assert set(CHANNELS) == set(Channel)
    for colours in (TOPIC_STATES, CONNECTION_STATES, CHANNELS):
        assert len(set(colours.values())) == len(colours)


VISION: Final = {
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""What reaches the eye of linear red, green and blue: Machado, Oliveira and Fernandes (2009), at full severity."""

JUST_SEEN: Final = 0.02
"""About the smallest difference in Oklab that a person sees, side by side."""


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _oklab(colour: str, vision: str) -> tuple[float, ...]:
    """Lightness and two axes of colour; https://bottosson.github.io/posts/oklab has the figures."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    seen = [min(1.0, max(0.0, _dot(row, linear))) for row in VISION[vision]]
    cones = (
        _dot((0.4122214708, 0.5363325363, 0.0514459929), seen),
        _dot((0.2119034982, 0.6806995451, 0.1073969566), seen),
        _dot((0.0883024619, 0.2817188376, 0.6299787005), seen),
    )
    roots = [cone ** (1 / 3) for cone in cones]
    return (
        _dot((0.2104542553, 0.7936177850, -0.0040720468), roots),
        _dot((1.9779984951, -2.4285922050, 0.4505937099), roots),
        _dot((0.0259040371, 0.7827717662, -0.8086757660), roots),
    )


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_every_kind_of_eye(vision: str) -> None:
    """Any two of the palette differ by several times what is just seen."""
    distances = [
        math.dist(_oklab(one, vision), _oklab(other, vision)) for one, other in itertools.combinations(PALETTE, 2)
    ]
    assert min(distances) > 3.5 * JUST_SEEN
