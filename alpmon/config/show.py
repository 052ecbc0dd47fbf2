"""What a configuration comes to, and what one may say."""

from __future__ import annotations

from typing import Any, Final

import yaml

from alpmon.config.models import Config
from alpmon.masking import mask_urls

SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def show(config: Config) -> str:
    """The effective configuration as YAML, passwords in URLs masked."""
    return yaml.safe_dump(_masked(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True, width=120)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return mask_urls(value) if isinstance(value, str) else value


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file, for editors.

    The schema of what is written out equals that of what is read, and has its defaults as a file would say them.
    """
    return {"$schema": SCHEMA_DIALECT, **Config.model_json_schema(mode="serialization"), "title": "alpmon"}
