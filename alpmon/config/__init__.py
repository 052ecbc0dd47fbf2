"""The configuration: YAML to frozen models, every mistake with its line and path."""

from alpmon.config.default import DEFAULT_TEXT, default_config
from alpmon.config.freshness import Freshness, FreshnessMode, FreshnessRule, Override
from alpmon.config.loader import load, parse
from alpmon.config.mistakes import ConfigError, Mistake
from alpmon.config.models import (
    Auth,
    Config,
    Limits,
    Log,
    LogFormat,
    LogLevel,
    Reconnect,
    Reference,
    Shard,
    Target,
    Timeouts,
    Tls,
)
from alpmon.config.show import schema, show
from alpmon.config.values import format_duration, parse_duration, split_listen

__all__ = [
    "DEFAULT_TEXT",
    "Auth",
    "Config",
    "ConfigError",
    "Freshness",
    "FreshnessMode",
    "FreshnessRule",
    "Limits",
    "Log",
    "LogFormat",
    "LogLevel",
    "Mistake",
    "Override",
    "Reconnect",
    "Reference",
    "Shard",
    "Target",
    "Timeouts",
    "Tls",
    "default_config",
    "format_duration",
    "load",
    "parse",
    "parse_duration",
    "schema",
    "show",
    "split_listen",
]
