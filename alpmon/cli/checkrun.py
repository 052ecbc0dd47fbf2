"""`alpmon check` as it runs: one connection while it goes, or those of a whole configuration as each is done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alpmon.cli import checkview
from alpmon.cli.output import echo, look
from alpmon.probe.check.report import Report
from alpmon.probe.check.request import CheckRequest
from alpmon.probe.check.steps import check
from alpmon.probe.check.targets import check_each


async def one(request: CheckRequest, *, as_json: bool) -> bool:
    """Check and show it; whether it is healthy."""
    if as_json:
        report = await check(request, checkview.Silent())
        _echo(report)
    else:
        view = checkview.view_of(request.url, look())
        report = await check(request, view)
        view.end(report)
    return report.healthy


async def several(requests: Sequence[CheckRequest], *, as_json: bool) -> bool:
    """Check and show them, in their order; whether all are healthy."""
    reports = await check_each(requests, checkview.Silent(), _ignore if as_json else _tell)
    healthy = sum(report.healthy for report in reports)
    if as_json:
        _echo(reports)
    else:
        echo(f"{healthy} of {len(reports)} targets healthy")
    return healthy == len(reports)


def _tell(report: Report) -> None:
    checkview.tell(report, look())


def _ignore(_: Report) -> None:
    """The reports are shown together."""


def _echo(value: Report | list[Report]) -> None:
    echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
