"""How `alpmon check` shows itself: a tree that fills in on a terminal, plain lines into a pipe."""

from __future__ import annotations

from typing import Final

import click

from alpmon.cli.output import Look, echo
from alpmon.masking import mask_urls
from alpmon.probe.check.report import Report, Step, StepReport, Verdict

_COLOURS: Final = {Verdict.OK: "green", Verdict.FAILED: "red", Verdict.SKIPPED: "bright_black"}
_MARKS: Final = {Verdict.OK: "✓", Verdict.FAILED: "✗", Verdict.SKIPPED: "·"}
_PLAIN_MARKS: Final = {Verdict.OK: "ok", Verdict.FAILED: "XX", Verdict.SKIPPED: "--"}
_NAME_WIDTH: Final = max(map(len, Step))
_TIME_WIDTH: Final = 9
_ERASE_LINE: Final = "\r\x1b[2K"
_SECONDS_A_DAY: Final = 86_400


class Tree:
    """For a terminal: a line a step as it ends, and one below for what is being waited for."""

    def __init__(self, url: str, look: Look) -> None:
        self._marks = _MARKS if look.unicode else _PLAIN_MARKS
        self._branch, self._end, self._dots = ("├─ ", "└─ ", "…") if look.unicode else ("|- ", "`- ", "...")
        self._style = click.style if look.coloured else _unstyled
        self._awaited: tuple[Step, float] | None = None
        echo(mask_urls(url))

    def waiting(self, step: Step, seconds: float) -> None:
        """Say what is being waited for, below everything else."""
        self._awaited = step, seconds
        text = f"{self._branch}{self._dots} {step:<{_NAME_WIDTH}}  up to {seconds:.3g} s"
        echo(_ERASE_LINE + self._style(text, dim=True), nl=False)

    def done(self, report: StepReport) -> None:
        """A line for the step."""
        verdict = report.verdict
        mark = self._style(self._marks[verdict], fg=_COLOURS[verdict])
        words = "  ".join(filter(None, (report.topic, report.detail)))
        time = "" if report.seconds is None else shown(report.seconds)
        line = f"{self._branch}{mark} {report.step:<{_NAME_WIDTH}} {time:>{_TIME_WIDTH}}  {words}"
        echo(_ERASE_LINE + line.rstrip())
        if report.step is Step.MESSAGE and verdict is Verdict.OK and self._awaited is not None:
            self.waiting(*self._awaited)  # Messages come in any order, beside the pong.

    def end(self, report: Report) -> None:
        """The verdict."""
        verdict = self._style(verdict_of(report), fg="green" if report.healthy else "red", bold=True)
        echo(f"{_ERASE_LINE}{self._end}{verdict}")


class Lines:
    """For a pipe: `step verdict seconds topic detail`, and the verdict last."""

    def waiting(self, step: Step, seconds: float) -> None:
        """Nothing to show."""

    def done(self, report: StepReport) -> None:
        """A line for the step."""
        time = "-" if report.seconds is None else shown(report.seconds)
        words = (report.step, report.verdict, time, report.topic, report.detail)
        echo(" ".join(filter(None, words)))

    def end(self, report: Report) -> None:
        """The verdict."""
        echo(verdict_of(report))


class Silent:
    """For a program that reads the report."""

    def waiting(self, step: Step, seconds: float) -> None:
        """Nothing to show."""

    def done(self, report: StepReport) -> None:
        """Nothing to show."""


def tell(report: Report, look: Look) -> None:
    """All of a check that is over, below its target's name and URL."""
    heading = f"{report.target} {report.url}"
    view = view_of(heading, look)
    if isinstance(view, Lines):
        echo(heading)
    for step in report.steps:
        view.done(step)
    view.end(report)


def view_of(url: str, look: Look) -> Tree | Lines:
    """The view that an output can show."""
    return Tree(url, look) if look.terminal else Lines()


def _unstyled(text: str, **_: object) -> str:
    return text


def verdict_of(report: Report) -> str:
    """One line: healthy or not, why not, and who was talked to."""
    if not report.healthy:
        return f"unhealthy: {report.failed_step}: {report.detail}"
    facts = [f"healthy in {shown(report.seconds)}", f"{report.peer}{' (proxy)' if report.proxied else ''}"]
    if report.dialect is not None:
        facts.append(f"{report.dialect} dialect")
    facts.append(f"client id {report.client_id}")
    if report.certificate_expires_in_seconds is not None:
        days = report.certificate_expires_in_seconds / _SECONDS_A_DAY
        facts.append(f"{report.tls_version}, certificate good for {days:.0f} days")
    return "; ".join(facts)


def shown(seconds: float) -> str:
    """`0.3 ms`, `12 ms`, `1.24 s`."""
    if seconds >= 1.0:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.01 else f"{seconds * 1e3:.0f} ms"  # noqa: PLR2004 - two digits
