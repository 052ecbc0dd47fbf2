"""Fixtures of the probe's tests."""

from __future__ import annotations

import os

import pytest

from tests.probe.names import Names


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's own proxies are, they are no part of these tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The system's resolver, whose answers the test decides."""
    return Names(monkeypatch)
