"""The errors of the system in plain words: Python's own name numbers and calls."""

from __future__ import annotations

import os
import re
from typing import Final

_SEVERAL: Final = re.compile(r"(?:\[Errno \d+\] )?Multiple exceptions: ")
_FAILED_CALL: Final = re.compile(
    r"\[Errno (?P<errno>\d+)\] Connect call failed \('(?P<host>[^']*)', (?P<port>\d+)[^)]*\)"
)
_SYSTEM_WORDS: Final = re.compile(r"\[Errno \d+\] (?P<first>\w)")


def words_of(error: BaseException) -> str:
    """`connection refused (127.0.0.1:9719)`; of several addresses each, separated by commas."""
    if not isinstance(error, OSError):
        return str(error)
    text = _FAILED_CALL.sub(_with_address, _SEVERAL.sub("", str(error)))
    return _SYSTEM_WORDS.sub(lambda found: found["first"].lower(), text)


def shown_address(host: str, port: object) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _with_address(found: re.Match[str]) -> str:
    words = os.strerror(int(found["errno"]))
    return f"{words[:1].lower()}{words[1:]} ({shown_address(found['host'], found['port'])})"
