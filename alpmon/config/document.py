"""YAML text to plain values, each of which can be found again in the text.

Values come from PyYAML's nodes and not from its constructor: nodes know their line, keys written twice are still
there, and nothing but plain scalars, lists and mappings can come to life. Only numbers written in the plain decimal
way are numbers, so that an address is not taken for a sexagesimal number nor a name for a date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import yaml

from alpmon.config.mistakes import Path

MAX_FILE_BYTES: Final = 1_048_576
"""As much as a Kubernetes ConfigMap holds; such a file takes one to two seconds and 100 MiB to read."""
MAX_TEXT_BYTES: Final = 4 * MAX_FILE_BYTES
"""What `config show` makes of a file, defaults included, is read again from a recording."""
MAX_VALUES: Final = 150_000
"""Aliases count each time, so that a few lines cannot stand for a billion values."""
MAX_NODES: Final = 300_000
"""Keys and values as they are written: past them nothing more is read, for each costs time whatever it says."""

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TEXT_TAGS: Final = {f"{_TAG}{name}" for name in ("str", "timestamp", "value")}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


class Place(NamedTuple):
    """Where something stands; both count from 1."""

    line: int
    column: int


class Flaw(NamedTuple):
    """A mistake that the text shows without knowing what it should say."""

    place: Place
    path: Path
    problem: str
    hint: str = ""


class BrokenDocumentError(Exception):
    """The text cannot be read any further."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.problem)
        self.flaw = flaw


@dataclass
class Document:
    """The values of a text, with its flaws; a flawed value stands as None and `unreadable` holds its path."""

    root: yaml.Node | None
    values: object = None
    flaws: list[Flaw] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)
    expanded: set[Path] = field(default_factory=set)
    """Where the environment was asked: such a value is never shown."""

    def place(self, path: Path) -> Place:
        """Where the value of a path stands, or the nearest thing around it."""
        place, node = Place(1, 1), self.root
        for part in path:
            found = _step(node, part)
            if found is None:
                return place
            place, node = found
        return place


def read(text: str, env: Mapping[str, str] | None) -> Document:
    """Read one YAML document and fill in its `${NAME}`s; without an environment a dollar is just a dollar.

    Raises:
        BrokenDocumentError: it is not YAML, too large, too deep, or holds itself.
    """
    if len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise BrokenDocumentError(Flaw(Place(1, 1), (), f"over {MAX_TEXT_BYTES} bytes long"))
    try:
        document = Document(_compose(text))
        if document.root is not None:
            document.values = _Builder(document, env).build(document.root, ())
    except RecursionError:
        raise BrokenDocumentError(Flaw(Place(1, 1), (), "nested too deeply")) from None
    return document


def _compose(text: str) -> yaml.Node | None:
    loader: yaml.SafeLoader | None = None
    try:
        loader = _Loader(text)
        node: yaml.Node | None = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise BrokenDocumentError(Flaw(place, (), "not YAML: a character that YAML does not allow")) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place, problem = _at(mark), f"not YAML: {error.problem or error.context}"
        raise BrokenDocumentError(Flaw(place, (), problem, _quoting_hint(text, place))) from None
    except (yaml.YAMLError, ValueError, OverflowError, IndexError):
        # PyYAML lets an impossible \U escape or %YAML version out as Python's own error
        mark = loader.get_mark() if loader is not None else None
        raise BrokenDocumentError(Flaw(_at(mark), (), "not YAML")) from None
    return node


class _Loader(yaml.SafeLoader):
    """Gives up on a text of too many nodes, however short each is."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BrokenDocumentError(Flaw(_at(self.get_mark()), (), f"more than {MAX_NODES} keys and values"))
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _quoting_hint(text: str, place: Place) -> str:
    """Braces mean something between braces or brackets, so `[${NAME}]` is no YAML."""
    line = text.splitlines()[place.line - 1 : place.line]
    return "inside [] or {} put ${NAME} in quotes" if "${" in "".join(line) else ""


def _at(mark: yaml.Mark | None) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _step(node: yaml.Node | None, part: str | int) -> tuple[Place, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return _at(node.value[part].start_mark), node.value[part]
    if isinstance(node, yaml.MappingNode) and isinstance(part, str):
        return _entry(node, part)
    return None


def _entry(node: yaml.MappingNode, key: str) -> tuple[Place, yaml.Node] | None:
    merged: list[yaml.Node] = []
    for key_node, value_node in node.value:
        if key_node.tag == f"{_TAG}merge":
            merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        elif key_node.value == key:
            return _at(key_node.start_mark), value_node
    return next(filter(None, (_step(each, key) for each in merged)), None)


class _Builder:
    """One walk over the nodes; `path` is where the value goes."""

    def __init__(self, document: Document, env: Mapping[str, str] | None) -> None:
        self._document = document
        self._env = env
        self._values = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> object:
        self._values += 1
        if self._values > MAX_VALUES:
            raise BrokenDocumentError(Flaw(_at(node.start_mark), path, f"more than {MAX_VALUES} values"))
        if id(node) in self._open:
            raise BrokenDocumentError(Flaw(_at(node.start_mark), path, "an alias that holds itself"))
        self._open.add(id(node))
        value = self._value(node, path)
        self._open.remove(id(node))
        return value

    def _value(self, node: yaml.Node, path: Path) -> object:
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._unreadable(node, path, "a tag is not supported here", "leave out the !")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        own: dict[str, object] = {}
        inherited: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, place = key_node.value, _at(key_node.start_mark)
            if key_node.tag == f"{_TAG}merge":
                inherited = {**self._merged(value_node, path), **inherited}
            elif not isinstance(key, str):
                self._document.flaws.append(Flaw(place, path, "a key must be plain text"))
            elif key in first:
                flaw = Flaw(place, (*path, key), f"written twice, first on line {first[key]}")
                self._document.flaws.append(flaw)
            else:
                first[key] = place.line
                own[key] = self.build(value_node, (*path, key))
        return {**inherited, **own}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, object]:
        """What `<<` brings in; of several mappings the first wins."""
        result: dict[str, object] = {}
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.build(each, path)
            if not isinstance(value, dict):
                self._document.flaws.append(Flaw(_at(each.start_mark), path, "<< must bring in a mapping"))
                continue
            result = {**value, **result}
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        text = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if text.lower() in yaml.SafeLoader.bool_values:
                return yaml.SafeLoader.bool_values[text.lower()]
            case "int" | "float" if _INTEGER.fullmatch(text):
                return int(text)
            case "float" if _DECIMAL.fullmatch(text):
                return float(text)
            case "int" | "float" | "bool":
                return self._expand(text, node, path)
        if node.tag in _PLAIN_TEXT_TAGS:
            return self._expand(text, node, path)
        self._unreadable(node, path, "a tag is not supported here", "leave out the !")
        return None

    def _expand(self, text: str, node: yaml.ScalarNode, path: Path) -> str | None:
        """`${NAME}` from the environment, `$$` for a dollar."""
        env = self._env
        if env is None or "$" not in text:
            return text
        trouble = self._trouble_in(text, env)
        if trouble is not None:
            self._unreadable(node, path, *trouble)
            return None
        if _VARIABLE.search(text.replace("$$", "")):
            self._document.expanded.add(path)
        return _VARIABLE.sub(lambda match: env[match["name"]] if match["name"] else "$", text)

    @staticmethod
    def _trouble_in(text: str, env: Mapping[str, str]) -> tuple[str, str] | None:
        for match in _VARIABLE.finditer(text):
            name = match["name"]
            if match[0] == "${":
                return "${ is not followed by a variable's name and }", "write $${ for the characters themselves"
            if name is not None and name not in env:
                return f"the environment variable {name} is not set", ""
        return None

    def _unreadable(self, node: yaml.Node, path: Path, problem: str, hint: str = "") -> None:
        self._document.flaws.append(Flaw(_at(node.start_mark), path, problem, hint))
        self._document.unreadable.add(path)
