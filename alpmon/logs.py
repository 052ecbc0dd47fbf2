"""What alpmon says of itself: one line an event, on stderr, JSON unless a person watches, secrets never.

Our own events and those of the standard library's loggers take the same way: structlog hands its events to `logging`,
one handler renders them all.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Hashable, Mapping
from math import isfinite
from typing import Final, TextIO

import structlog
from structlog.types import EventDict, Processor

from alpmon.masking import MASK, SECRETS, is_secret_key

_QUIETED: Final = {"aiohttp.access": logging.WARNING, "asyncio": logging.WARNING, "websockets": logging.WARNING}
"""Their lines below this tell frames and requests, authentication included, and cost time on the way of each frame."""
_FIRST_KEYS: Final = ("timestamp", "level", "logger", "event")
_DEEPEST: Final = 8

_masker = SECRETS


def mask(secret: str) -> None:
    """Never log this secret: to be called with each one that was read or received, before its first use."""
    _masker.add(secret)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that configuring again replaces it and nobody else's."""


def configure(level: str = "info", rendering: str = "auto", stream: TextIO | None = None) -> None:
    """Set up logging for the process; calling it again replaces what the last call set up.

    Args:
        level: debug, info, warning or error.
        rendering: json, console, or auto for console on a terminal and JSON elsewhere.
        stream: where the lines go, stderr unless given.
    """
    stream = sys.stderr if stream is None else stream
    console = rendering == "console" or (rendering == "auto" and stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(_formatter(console, colours=console and _takes_colours(stream)))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in _QUIETED.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def masked(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Processor: the same event with every secret left out, wherever it is nested."""
    return {_text(key): MASK if _is_telling(key, value) else _masked(value, 0) for key, value in event.items()}


def _is_telling(key: object, value: object) -> bool:
    return value is not None and is_secret_key(str(key))


def _masked(value: object, depth: int) -> object:
    """Plain data as plain data, anything else as its masked text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        text = str(value)
        if isfinite(value):
            return value if _masker.text(text) == text else MASK
        return text  # JSON has no word for it
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {_text(key): MASK if _is_telling(key, each) else _masked(each, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_masked(each, depth + 1) for each in value]
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode(errors="backslashreplace")
    return _printable(_masker.text(str(value)))


def _printable(text: str) -> str:
    """What a peer sent must not steer the terminal that shows it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _ordered(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What every line has comes first."""
    first = {key: event.pop(key) for key in _FIRST_KEYS if key in event}
    return {**first, **event}


_COMMON: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def _takes_colours(stream: TextIO) -> bool:
    """A terminal does, unless the environment says no (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _formatter(console: bool, colours: bool) -> logging.Formatter:
    renderer: Processor = structlog.processors.JSONRenderer()
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            masked,
            _ordered,
            renderer,
        ],
    )


class Bounded:
    """Keeps a warning that repeats from filling the log: one line a key and interval, with how many were left out.

    Args:
        interval: seconds for which a key stays quiet after a line.
        max_keys: how many keys are told apart; beyond them all others share one turn.
    """

    def __init__(self, interval: float, max_keys: int = 256) -> None:
        self._interval = interval
        self._max_keys = max_keys
        self._last: dict[Hashable, tuple[float, int]] = {}

    def allow(self, key: Hashable, now: float) -> tuple[bool, int]:
        """Whether to log now (monotonic seconds), and how many of this key were left out since its last line."""
        if key not in self._last:
            self._forget(now)
            if len(self._last) >= self._max_keys:
                key = _OTHERS
        last, suppressed = self._last.get(key, (float("-inf"), 0))
        if now - last < self._interval:
            self._last[key] = (last, suppressed + 1)
            return False, suppressed + 1
        self._last.pop(key, None)
        self._last[key] = (now, 0)
        return True, suppressed

    def _forget(self, now: float) -> None:
        """Make room where the limit is reached: a key that may speak again needs no memory."""
        if len(self._last) < self._max_keys:
            return
        for key in [key for key, (last, _) in self._last.items() if now - last >= self._interval]:
            del self._last[key]


_OTHERS: Final = object()
"""The key that all keys beyond the limit share."""
