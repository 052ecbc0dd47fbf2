"""The chart's values with what is said about each: the comments that begin with `# --`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

KeyPath: TypeAlias = tuple[str, ...]

_MARK = "# --"


@dataclass(frozen=True)
class Value:
    """One documented key: `default` is what values.yaml says."""

    path: KeyPath
    description: str
    default: Any


def documented(text: str) -> Iterator[Value]:
    """The keys that carry a description, in the order of the text."""
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("the values are no mapping")
    yield from _walk(root, (), yaml.safe_load(text), text.splitlines())


def undocumented(text: str) -> list[str]:
    """The keys, down to the first that is described, that are neither described nor lead to one that is."""
    described = {value.path for value in documented(text)}
    return [".".join(path) for path in _leaves(yaml.safe_load(text), (), described)]


def _walk(node: yaml.MappingNode, path: KeyPath, values: Any, lines: list[str]) -> Iterator[Value]:
    for key, child in node.value:
        here = (*path, str(key.value))
        inner = values[key.value]
        description = _above(lines, key.start_mark.line)
        if description:
            yield Value(here, description, inner)
        elif isinstance(child, yaml.MappingNode):
            yield from _walk(child, here, inner, lines)


def _above(lines: list[str], number: int) -> str:
    """The comment that ends right above a line, if it is a description."""
    said: list[str] = []
    while number and (line := lines[number - 1].strip()).startswith("#"):
        number -= 1
        said.insert(0, line.removeprefix(_MARK).removeprefix("#").strip())
        if line.startswith(_MARK):
            return " ".join(said)
    return ""


def _leaves(values: Any, path: KeyPath, described: set[KeyPath]) -> Iterator[KeyPath]:
    for key, inner in values.items():
        here = (*path, key)
        if here in described:
            continue
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, here, described)
        else:
            yield here
