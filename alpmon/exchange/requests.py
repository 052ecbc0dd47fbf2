"""What one text frame from a client means under a dialect's rules. Pure: a frame in, a verdict out."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from alpmon.core.events import Operation
from alpmon.exchange.dialects import PingStyle, Rules

_PONG: Final = "2"
_AUTH: Final = "auth"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request is acknowledged, its topics as they were written."""

    operation: Operation
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is answered with an error; nothing of it takes effect."""

    message: str
    operation: str | None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """A token was presented."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class TextPong:
    """The answer to a text ping."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The dialect drops the connection for such a frame, without a close frame."""

    reason: str


Verdict: TypeAlias = Accepted | Refused | Login | TextPong | Violation


def judge(
    text: str, rules: Rules, *, held: Set[str], pairs: Collection[str], refused_tokens: Collection[str]
) -> Verdict:
    """What the server makes of a text frame from a client that holds the topics `held`."""
    if text == _PONG and rules.ping_style is PingStyle.TEXT:
        return TextPong()
    frame = _array(text)
    if not frame:
        return Violation("no array") if rules.drops_bad_frames else Refused("Invalid message", None)
    name, *arguments = frame
    if name == _AUTH:
        return _login(arguments, rules, refused_tokens)
    if name in tuple(Operation) and arguments:
        return _request(Operation(name), arguments, rules, held, pairs)
    return Refused("Invalid message", None)


def _array(text: str) -> list[Any]:
    try:
        frame = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return []
    return frame if isinstance(frame, list) else []


def _login(arguments: list[Any], rules: Rules, refused_tokens: Collection[str]) -> Verdict:
    token = arguments[0] if len(arguments) == 1 else None
    if isinstance(token, str) and token and token not in refused_tokens:
        return Login(accepted=True)
    return Refused("Unauthorized", _named(_AUTH, rules))


def _request(operation: Operation, topics: list[Any], rules: Rules, held: Set[str], pairs: Collection[str]) -> Verdict:
    asked = tuple(str(topic) for topic in topics)
    culprits = [topic for topic in topics if not rules.knows(topic, pairs)]
    if culprits:
        message = f"Invalid topic: {culprits[0]}" if rules.names_culprits else "Topic does not exist"
        return Refused(message, _named(operation, rules), asked)
    adds = operation is Operation.SUBSCRIBE
    if adds and rules.max_topics is not None and len(held | set(asked)) > rules.max_topics:
        return Refused("Too many topics", _named(operation, rules), asked)
    return Accepted(operation, asked)


def _named(operation: str, rules: Rules) -> str | None:
    return operation if rules.names_culprits else None
