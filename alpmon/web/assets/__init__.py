"""The style sheet, the script and the icons: read once, served under names that change with their content."""

from __future__ import annotations

import gzip
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_VERSION_CHARACTERS: Final = 10


class Asset(NamedTuple):
    """One file, as it is and compressed."""

    body: bytes
    gzipped: bytes
    content_type: str
    path: str
    """Where it is asked for, relative to the page; another content has another path."""


def _read() -> dict[str, Asset]:
    folder = files(__name__)
    return {each.name: _asset(each.name, each.read_bytes()) for each in folder.iterdir() if _kind(each.name) in _TYPES}


def _asset(name: str, body: bytes) -> Asset:
    version = sha256(body).hexdigest()[:_VERSION_CHARACTERS]
    return Asset(body, gzip.compress(body, mtime=0), _TYPES[_kind(name)], f"assets/{name}?v={version}")


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


ASSETS: Final = _read()
