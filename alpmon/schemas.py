"""JSON Schemas of what alpmon answers in JSON, as the files in docs/ hold them."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec


def schema_text(shape: Any) -> str:
    """The JSON Schema of a struct, laid out to be read; what the struct says of itself are the descriptions."""
    schema = msgspec.json.schema(shape)
    for definition in schema["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"
