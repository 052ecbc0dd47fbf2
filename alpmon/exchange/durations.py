"""Durations as people write them: `350ms`, `40s`, `1m30s`, or a plain number of seconds."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_WHOLE: Final = re.compile(rf"-?(?:{_PART.pattern})+")


def seconds(value: object) -> object:
    """A written duration as seconds; what is no text is left for the validator behind.

    Raises:
        ValueError: text that is no duration.
    """
    if not isinstance(value, str):
        return value
    if _WHOLE.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no duration: write 350ms, 40s or 1m30s")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    return -total if value.startswith("-") else total


SignedSeconds = Annotated[float, BeforeValidator(seconds), Field(allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
