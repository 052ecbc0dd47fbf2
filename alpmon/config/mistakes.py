"""What is wrong with a configuration, in one line each: file, line, path, problem, what stands there, what to write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_TELLING = re.compile(r"token|secret|pass|credential|auth|api_?key|key_file|^key$|jwt", re.IGNORECASE)
_LONGEST_SHOWN: Final = 40


@dataclass(frozen=True)
class Mistake:
    """One thing to correct. Lines and columns count from 1; line 0 is the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    value: str
    """What stands there, as it may be shown; empty where it may not or where nothing stands."""
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        path = f"{self.path}: " if self.path else ""
        value = f", got {self.value}" if self.value else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {path}{self.problem}{value}{hint}"


class ConfigError(Exception):
    """A configuration that cannot be used, with every mistake found, in the file's order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def path_text(path: Path) -> str:
    """`("targets", 0, "url")` to `targets[0].url`; odd keys are cut and escaped."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_plain(part)}"
    return text.removeprefix(".")


def value_text(path: Path, value: object) -> str:
    """A value as a message may show it: a short scalar of a key that has nothing to do with secrets, else nothing."""
    if value is None or isinstance(value, list | dict) or any(_TELLING.search(str(part)) for part in path):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if "@" in text or "=" in text:  # user information or a query: it may hold a password
        return ""
    return ascii(_cut(text)) if isinstance(value, str) else _cut(text)


def _plain(key: str) -> str:
    key = _cut(key)
    return key if key.isprintable() and key else ascii(key)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
