"""Timed faults from a YAML file.

    description: one line, shown in lists
    repeat_every: 8m          # optional: start again
    steps:
      - {at: 20s, fault: mute, topic: "trade.*", for: 40s}
      - {at: 1m10s, fault: close, code: 1012}

`at` counts from the start, `for` is how long a fault holds (without it: to the end of the round, and for good where
nothing repeats), the rest are the fields of the fault, as in `alpmon.exchange.faults`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alpmon.exchange import faults
from alpmon.exchange.durations import Seconds
from alpmon.exchange.faults import Fault, describe

if TYPE_CHECKING:
    from alpmon.exchange.server import Exchange

_SUFFIX: Final = ".yaml"
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class ScenarioError(Exception):
    """A scenario cannot be read; each argument is one mistake, with its line where it has one."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class _When(BaseModel):
    """The part of a step that is not the fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Seconds
    duration: Seconds | None = Field(default=None, alias="for")


class _File(BaseModel):
    """The outline of a scenario file; its steps are read one by one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    repeat_every: Annotated[Seconds, Field(gt=0)] | None = None
    redundancy: Annotated[int, Field(ge=1, le=10)] = 1
    reference: bool = False
    steps: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One fault; `at` and `duration` in seconds, None to hold to the end of the round, if there is one."""

    at: float
    duration: float | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps in the order of their start; played once if `repeat_every_seconds` is None.

    Attributes:
        redundancy: how many parallel connections a client needs to see what it shows.
        reference: whether a client has to look at REST for it.
    """

    description: str
    steps: tuple[Step, ...]
    repeat_every_seconds: float | None = None
    redundancy: int = 1
    reference: bool = False


def names() -> dict[str, str]:
    """The built-in scenarios and what each shows."""
    return {name: parse(file.read_text(), file.name).description for name, file in _built_in().items()}


def load(name_or_path: str) -> Scenario:
    """A built-in scenario by name, or one from a file.

    Raises:
        ScenarioError: there is none, or it has mistakes; all of them are named.
    """
    known = _built_in()
    if name_or_path in known:
        return parse(known[name_or_path].read_text(), name_or_path)
    try:
        text = Path(name_or_path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(_unknown(name_or_path, known)) from error
    return parse(text, name_or_path)


def parse(text: str, source: str = "scenario") -> Scenario:
    """A scenario from YAML; `source` names it in errors.

    Raises:
        ScenarioError: it has mistakes; all of them are named.
    """
    outline, lines = _outline(text, source)
    steps: list[Step] = []
    mistakes: list[str] = []
    for line, fields in zip(lines, outline.steps, strict=True):
        step, wrong = _step(fields)
        steps += step
        mistakes += [f"{source}:{line}: {mistake}" for mistake in wrong]
    if mistakes:
        raise ScenarioError(*mistakes)
    steps.sort(key=lambda step: step.at)
    return Scenario(
        outline.description, tuple(steps), outline.repeat_every, outline.redundancy, reference=outline.reference
    )


async def play(exchange: Exchange, scenario: Scenario, *, pace: float = 1.0) -> None:
    """Bring the faults about in time, `pace` times as fast as written; all are lifted at the end of each round.

    Returns after the last step of a scenario that neither repeats nor leaves a fault on; the others play, or hold what
    is on, until they are cancelled.
    """
    round_seconds = None if scenario.repeat_every_seconds is None else scenario.repeat_every_seconds / pace
    while True:
        await _play_round(exchange, scenario.steps, pace, round_seconds)
        if round_seconds is None:
            return


async def _play_round(exchange: Exchange, steps: Iterable[Step], pace: float, seconds: float | None) -> None:
    """All cues, and then the rest of the round; without an end it is over once nothing is on any more."""
    started = time.monotonic()
    ids: dict[int, int] = {}
    try:
        for at, begins, position, step in _cues(steps):
            await asyncio.sleep(started + at / pace - time.monotonic())
            fields = step.fault.model_dump(exclude={"fault"}, exclude_defaults=True, mode="json")
            _log.info("fault" if begins else "fault lifted", kind=step.fault.fault, **fields)
            if not begins:
                exchange.faults.lift(ids.pop(position))
            elif step.fault.instant:
                exchange.faults.add(step.fault)
            else:
                ids[position] = exchange.faults.add(step.fault)
        if seconds is not None:
            await asyncio.sleep(started + seconds - time.monotonic())
        elif ids:
            await asyncio.Event().wait()
    finally:
        for fault_id in ids.values():
            exchange.faults.lift(fault_id)


def _cues(steps: Iterable[Step]) -> Iterator[tuple[float, bool, int, Step]]:
    """When each fault begins and is lifted, in order; at the same moment the lifting comes first."""
    cues = []
    for position, step in enumerate(steps):
        cues.append((step.at, True, position, step))
        if step.duration is not None:
            cues.append((step.at + step.duration, False, position, step))
    yield from sorted(cues, key=lambda cue: cue[:3])


def _step(fields: dict[str, Any]) -> tuple[list[Step], list[str]]:
    """The step, or what is wrong with it."""
    timing: dict[str, Any] = {name: fields[name] for name in ("at", "for") if name in fields}
    when, mistakes = _tried(_When.model_validate, timing)
    fault, more = _tried(faults.parse, {name: value for name, value in fields.items() if name not in timing})
    if when is None or fault is None:
        return [], mistakes + more
    if fault.instant and when.duration is not None:
        return [], [f"for: {fault.fault} happens once, it cannot last"]
    return [Step(when.at, when.duration, fault)], []


def _tried(read: Callable[[dict[str, Any]], T], fields: dict[str, Any]) -> tuple[T | None, list[str]]:
    try:
        return read(fields), []
    except ValidationError as error:
        return None, describe(error)


def _outline(text: str, source: str) -> tuple[_File, list[int]]:
    """The file's outline, and the line on which each step starts."""
    try:
        outline = _File.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source}: no YAML: {error}") from error
    except ValidationError as error:
        raise ScenarioError(*(f"{source}: {mistake}" for mistake in describe(error))) from error
    return outline, list(_step_lines(text))


def _step_lines(text: str) -> Iterator[int]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        steps = next(value for key, value in root.value if key.value == "steps")
        yield from (item.start_mark.line + 1 for item in steps.value)


def _built_in() -> dict[str, Traversable]:
    folder = resources.files("alpmon.exchange") / "scenarios"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(_SUFFIX)), key=lambda file: file.name)
    return {file.name.removesuffix(_SUFFIX): file for file in files}


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the built-in ones are {', '.join(known)}"
    return f"no scenario file or built-in scenario {shortened(name)}: {hint}"
