"""A file, or its text, to a model such as `Config`; or every mistake in it at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from alpmon.config.document import MAX_FILE_BYTES, BrokenDocumentError, Document, Flaw, read
from alpmon.config.mistakes import ConfigError, Mistake, Path, path_text, value_text
from alpmon.config.models import Config, repeated_names
from alpmon.config.values import REFUSED, Fault, Source

M = TypeVar("M", bound=BaseModel)
Further: TypeAlias = Callable[[Config], Iterable[Fault]]
"""What else may be wrong with a configuration that is good in itself."""

SHARD_VARIABLES: Final = {key: f"ALPMON_SHARD_{key.upper()}" for key in ("index", "count", "replicas")}

_UNKNOWN_KEY: Final = "extra_forbidden"
_PROBLEMS: Final = {
    "missing": "missing",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "string_too_short": "must not be empty",
    "path_type": "must be the path of a file",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "too_short": "must hold at least one",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "enum": "must be {expected}",
}
_HINTS: Final = {"string_type": "put it in quotes", "tuple_type": "write each item on a line of its own after a dash"}
_WITHOUT_VALUE: Final = {"missing", "too_short", _UNKNOWN_KEY}


def _nothing_further(_: Config) -> Iterable[Fault]:
    return ()


def load(path: str | FilePath, env: Mapping[str, str] = os.environ, further: Further = _nothing_further) -> Config:
    """Read a configuration file; paths in it start from its folder. What `further` finds is placed in the file, too.

    Raises:
        ConfigError: with every mistake found, or with the reason why the file cannot be read.
    """
    return parse(read_text(path), str(path), env, further)


def read_text(path: str | FilePath) -> str:
    """The text of a YAML file.

    Raises:
        ConfigError: with the reason why the file cannot be read.
    """
    file = str(path)
    try:
        with FilePath(path).open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError([Mistake(file, 0, 0, "", "", f"cannot be read: {reason}")]) from None
    if len(content) > MAX_FILE_BYTES:
        hint = "share the targets out to several files"
        raise ConfigError([Mistake(file, 0, 0, "", "", f"over {MAX_FILE_BYTES} bytes long", hint)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake(file, line, 1, "", "", "not UTF-8 text")]) from None


def parse(
    text: str, file: str = "<text>", env: Mapping[str, str] = os.environ, further: Further = _nothing_further
) -> Config:
    """Read a configuration's text; `file` names it in messages, and its folder is where paths in it start.

    Raises:
        ConfigError: with every mistake found, in the order of the text.
    """
    reader = _ConfigReader(_document(text, file, env), file, Config, env)
    config = reader.read()
    reader.refuse(further(config))
    return config


def parse_as(model: type[M], text: str, file: str) -> M:
    """Read the text of another file of ours into its model; nothing in it comes from the environment.

    Raises:
        ConfigError: with every mistake found, in the order of the text.
    """
    return Reader(_document(text, file, None), file, model).read()


def _document(text: str, file: str, env: Mapping[str, str] | None) -> Document:
    try:
        return read(text, env)
    except BrokenDocumentError as error:
        raise ConfigError([_of_flaw(file, error.flaw)]) from None


def _of_flaw(file: str, flaw: Flaw) -> Mistake:
    return Mistake(file, *flaw.place, path_text(flaw.path), "", flaw.problem, flaw.hint)


class Reader(Generic[M]):
    """Holds a document's values against a model."""

    def __init__(self, document: Document, file: str, model: type[M]) -> None:
        self._document = document
        self._file = file
        self._model = model
        self._source = Source(FilePath(file).parent)
        self._values = {} if document.values is None else document.values
        self.mistakes: list[Mistake] = []

    def read(self) -> M:
        """The model.

        Raises:
            ConfigError: with every mistake found, in the order of the text.
        """
        result = self.validate()
        mistakes = [_of_flaw(self._file, flaw) for flaw in self._document.flaws] + self.mistakes
        if result is None or mistakes:
            raise _in_order(mistakes)
        return result

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Raise the faults that were found later, if there are any.

        Raises:
            ConfigError: with all of them, in the order of the text.
        """
        mistakes = [self._mistake(fault.at, self._shown(fault.at), fault) for fault in faults]
        if mistakes:
            raise _in_order(mistakes)

    def validate(self) -> M | None:
        """The model, or None with `mistakes`.

        Unknown keys are taken out and the rest is held against the models again: pydantic compares the fields of a
        model only once each of them is good, and a typing error must not hide what else is wrong.
        """
        config, errors = self._attempt()
        unknown = [error for error in errors if error["type"] == _UNKNOWN_KEY]
        if unknown:
            for error in unknown:
                _remove(self._values, error["loc"])
            config, errors = self._attempt()
        for error in _without_echoes([*unknown, *errors]):
            self.mistakes += self._of_error(error)
        return config

    def _attempt(self) -> tuple[M | None, list[ErrorDetails]]:
        try:
            return self._model.model_validate(self._values, context=self._source), []
        except ValidationError as error:
            return None, error.errors(include_url=False)

    def _of_error(self, error: ErrorDetails) -> Iterator[Mistake]:
        if self._under_unreadable(error["loc"]):
            return
        for fault in _faults(error, self._model):
            path = (*error["loc"], *fault.at)
            yield self._mistake(path, "" if error["type"] in _WITHOUT_VALUE else self._shown(path), fault)

    def _under_unreadable(self, path: Path) -> bool:
        return any(path[: len(bad)] == bad for bad in self._document.unreadable)

    def _shown(self, path: Path) -> str:
        return "" if path in self._document.expanded else value_text(path, _descend(self._values, path))

    def _mistake(self, path: Path, value: str, fault: Fault) -> Mistake:
        return Mistake(self._file, *self._document.place(path), path_text(path), value, fault.problem, fault.hint)


class _ConfigReader(Reader[Config]):
    """What only the main file has: a shard from the environment, and targets whose names must differ."""

    def __init__(self, document: Document, file: str, model: type[Config], env: Mapping[str, str]) -> None:
        super().__init__(document, file, model)
        self._from_env: dict[Path, str] = {}
        self._take_shard(env)

    def validate(self) -> Config | None:
        config = super().validate()
        if config is None:
            self._compare_names()
        return config

    def _take_shard(self, env: Mapping[str, str]) -> None:
        """The pods of one StatefulSet share one file: what sets them apart is their environment, so it goes first."""
        given = {key: env[name] for key, name in SHARD_VARIABLES.items() if env.get(name)}
        if not given or not isinstance(self._values, dict):
            return
        shard = self._values.get("shard")
        if shard is None or isinstance(shard, dict):
            self._values["shard"] = {**(shard or {}), **given}
            self._from_env = {("shard", key): SHARD_VARIABLES[key] for key in given}

    def _compare_names(self) -> None:
        """Over all targets that have a name, sound or not; the models compare sound ones only."""
        targets = self._values.get("targets") if isinstance(self._values, dict) else None
        named = [
            each.get("name") if isinstance(each, dict) else None for each in targets or () if isinstance(targets, list)
        ]
        names = [name if isinstance(name, str) else index for index, name in enumerate(named)]
        for fault in repeated_names(names):
            path = ("targets", *fault.at)
            self.mistakes.append(self._mistake(path, self._shown(path), fault))

    def _mistake(self, path: Path, value: str, fault: Fault) -> Mistake:
        variable = self._from_env.get(path)
        if variable is not None:
            return Mistake("environment", 0, 0, variable, value, fault.problem, fault.hint)
        return super()._mistake(path, value, fault)


def _in_order(mistakes: Iterable[Mistake]) -> ConfigError:
    return ConfigError(sorted(dict.fromkeys(mistakes), key=lambda mistake: (mistake.line, mistake.column)))


def _faults(error: ErrorDetails, root: type[BaseModel]) -> tuple[Fault, ...]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == REFUSED:
        faults: tuple[Fault, ...] = context["faults"]
        return faults
    if kind == _UNKNOWN_KEY:
        return (Fault("unknown key", _nearest_key(root, error["loc"])),)
    problem = _PROBLEMS[kind].format(**context) if kind in _PROBLEMS else error["msg"]
    hint = _HINTS.get(kind, "") if isinstance(error["input"], str | int | float) else ""
    return (Fault(problem, hint),)


def _nearest_key(root: type[BaseModel], path: Path) -> str:
    known = [field.alias or name for name, field in _model_at(root, path[:-1]).model_fields.items()]
    near = get_close_matches(str(path[-1]).lower(), known, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"


def _model_at(root: type[BaseModel], path: Path) -> type[BaseModel]:
    """The model that a path leads to; list indices lead to the list's item."""
    model = root
    for part in path:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _descend(values: Any, path: Path) -> object:
    """What stands at a path; None where nothing does."""
    for part in path:
        try:
            values = values[part]
        except (LookupError, TypeError):
            return None
    found: object = values
    return found


def _remove(values: Any, path: Path) -> None:
    for part in path[:-1]:
        values = values[part]
    del values[path[-1]]


def _without_echoes(errors: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """A list all of whose items are wrong is not empty as well."""
    for error in errors:
        path = error["loc"]
        if (
            error["type"] != "too_short"
            or not error["input"]
            or not any(len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in errors)
        ):
            yield error
