"""The way from one dashboard to another, with the variables and the time range."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

TAG: Final = "alpmon"
_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
_WHEN: Final = "${__url_time_range}"


class Uid(StrEnum):
    """The fixed identities of the dashboards; alerts and links rely on them."""

    OVERVIEW = "alpmon-overview"
    CONNECTION = "alpmon-connection"
    TOPIC = "alpmon-topic"
    MONITOR = "alpmon-monitor"


def to_the_others() -> build.DashboardLink:
    """Links at the top of a dashboard to all of them."""
    link = build.DashboardLink("alpmon").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True)


def url(to: Uid, labels: tuple[str, ...], *, of: str) -> str:
    """A dashboard narrowed down to the labels of what was clicked on, `of` a "row" or a "series"."""
    source = {"row": "__data.fields", "series": "__field.labels"}[of]
    chosen = "&".join(f"var-{label}=${{{source}.{label}}}" for label in labels)
    return f"/d/{to}?{_KEPT}&{chosen}&{_WHEN}"


def from_series(title: str, to: Uid, labels: tuple[str, ...]) -> build.DashboardLink:
    """A link on a series."""
    return build.DashboardLink(title).type(DashboardLinkType.LINK).url(url(to, labels, of="series"))
