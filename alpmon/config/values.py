"""The texts a configuration writes its values in: durations, addresses, URLs, names, paths.

Each type turns such a text into the value the program uses and says in plain words why it cannot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Annotated, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

REFUSED: Final = "refused"
"""The type of every validation error that carries our own words."""

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
DURATION_PATTERN: Final = "^(?=[0-9])" + "".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS) + "$"
_DURATION = re.compile(DURATION_PATTERN)
_MAX_DURATION_SECONDS: Final = 365 * 86_400.0
_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):(?P<port>[0-9]{1,5})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_POD = re.compile(r"(?:.*-)?([0-9]{1,6})")
_MAX_PORT: Final = 65_535


class Fault(NamedTuple):
    """One thing wrong; `at` leads from the value under validation to the one to blame."""

    problem: str
    hint: str = ""
    at: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Source:
    """Validation context of a file: its folder, which relative paths start from."""

    folder: Path


def refusal(*faults: Fault) -> PydanticCustomError:
    """The error that carries these faults through pydantic."""
    text = "; ".join(fault.problem for fault in faults)
    return PydanticCustomError(REFUSED, "{text}", {"text": text, "faults": faults})


def parse_duration(text: str) -> float:
    """`"1m30s"` to 90.0 seconds.

    Raises:
        ValueError: it is not a duration with its units from the longest to the shortest.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{shortened(text)} is no duration such as 500ms, 10s or 1m30s")
    return sum(int(amount or 0) * unit for amount, unit in zip(match.groups(), _UNITS.values(), strict=True)) / 1000


def format_duration(seconds: float) -> str:
    """90.0 seconds to `"1m30s"`, to the millisecond."""
    rest = round(seconds * 1000)
    parts = []
    for name, unit in _UNITS.items():
        amount, rest = divmod(rest, unit)
        if amount:
            parts.append(f"{amount}{name}")
    return "".join(parts) or "0s"


def _seconds(value: object, info: ValidationInfo) -> object:
    """A file must write the unit; code that builds a model gives seconds."""
    if isinstance(value, str):
        return _seconds_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if info.context is None:
            return float(value)
        raise refusal(Fault("must be a duration with its unit", f"write {value}s if seconds are meant"))
    raise refusal(Fault("must be a duration", "such as 500ms, 10s or 1m30s"))


def _seconds_of(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise refusal(Fault("must be a duration", "such as 500ms, 10s or 1m30s")) from None
    if seconds > _MAX_DURATION_SECONDS:
        raise refusal(Fault("must be at most 365d"))
    return seconds


def _auto_or_seconds(value: object, info: ValidationInfo) -> object:
    return None if value is None or value == "auto" else _seconds(value, info)


def split_listen(text: str) -> tuple[str, int]:
    """`"127.0.0.1:9719"` or `"[::1]:9719"` to host and port; an empty host means every interface, port 0 any free one.

    Raises:
        ValueError: it is not ADDR:PORT.
    """
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise ValueError(f"{shortened(text)} is not ADDR:PORT such as 127.0.0.1:9719 or [::1]:9719")
    return match["host"].strip("[]"), int(match["port"])


def _listen(value: object) -> object:
    try:
        split_listen(str(value))
    except ValueError:
        raise refusal(Fault("must be ADDR:PORT", "such as 127.0.0.1:9719 or [::1]:9719")) from None
    return value


def _split_url(text: str, example: str) -> SplitResult:
    if " " in text or not text.isprintable():
        raise refusal(Fault("must not hold a space or an unprintable character", "write a space as %20"))
    no_host = refusal(Fault("must be a URL with a host", f"such as {example}"))
    try:
        url = urlsplit(text)
    except ValueError:  # brackets that are no IPv6 address
        raise no_host from None
    if not _has_possible_port(url):
        raise refusal(Fault(f"the port must be a number from 1 to {_MAX_PORT}"))
    if not url.hostname:
        raise no_host
    return url


def _has_possible_port(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False


def _url(text: str, schemes: tuple[str, str]) -> str:
    url = _split_url(text, f"{schemes[1]}://example.com/path")
    if url.scheme not in schemes:
        raise refusal(Fault(f"must start with {schemes[0]}:// or {schemes[1]}://"))
    if url.fragment:
        raise refusal(Fault("must not have a fragment", "leave out the # and what follows"))
    return text


def _ws_url(text: str) -> str:
    url = urlsplit(_url(text, ("ws", "wss")))
    if url.username is not None and url.password is None:  # websockets takes both or none
        raise refusal(Fault("names a user without a password", "write user:password@host, or leave both out"))
    return text


def _http_url(text: str) -> str:
    return _url(text, ("http", "https"))


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise refusal(Fault("must be 1 to 63 letters, digits, '_', '.' or '-', the first a letter or digit"))
    return text


def _pod_ordinal(value: object) -> object:
    """`alpmon-3` to 3: a StatefulSet ends its pods' names with their ordinal."""
    if isinstance(value, str):
        match = _POD.fullmatch(value.strip())
        if match is None:
            raise refusal(Fault("must be a whole number or a pod name that ends with one", "such as 3 or alpmon-3"))
        return int(match[1])
    return value


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    if path == Path():
        raise refusal(Fault("must name a file"))
    return info.context.folder / path if isinstance(info.context, Source) else path


def _no_bool(value: object) -> object:
    """Yes is not 1."""
    if isinstance(value, bool):
        raise refusal(Fault("must be a number"))
    return value


_DURATION_SCHEMA: Final = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "10s", "1m30s"]}

Duration = Annotated[
    float,
    Field(ge=0),
    BeforeValidator(_seconds),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Seconds, zero allowed where it means off."""

PositiveDuration = Annotated[
    float,
    Field(gt=0),
    BeforeValidator(_seconds),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Seconds above zero."""

AutoDuration = Annotated[
    Annotated[float, Field(gt=0)] | None,
    BeforeValidator(_auto_or_seconds),
    PlainSerializer(lambda s: "auto" if s is None else format_duration(s), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^auto$|{DURATION_PATTERN}", "examples": ["auto", "50s"]}),
]
"""Seconds above zero, or None for `auto`."""

Listen = Annotated[str, BeforeValidator(_listen)]


def _url_schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": "uri", "pattern": pattern})


WsUrl = Annotated[str, AfterValidator(_ws_url), _url_schema("^wss?://[^/]")]
HttpUrl = Annotated[str, AfterValidator(_http_url), _url_schema("^https?://[^/]")]
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})]
File = Annotated[Path, AfterValidator(_from_folder), WithJsonSchema({"type": "string", "format": "path"})]
Count = Annotated[int, BeforeValidator(_no_bool)]
Factor = Annotated[float, BeforeValidator(_no_bool)]
ShardIndex = Annotated[
    int,
    BeforeValidator(_pod_ordinal),
    BeforeValidator(_no_bool),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_POD.pattern}$"}]}),
]
