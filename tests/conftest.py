"""Fixtures shared by all tests: a simulated exchange to talk to, and certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import hypothesis
import pytest
import trustme

from alpmon.exchange import Exchange, Settings
from alpmon.masking import SECRETS

# a busy machine is no failure, and a failure must come again
hypothesis.settings.register_profile("alpmon", deadline=None, print_blob=True)
hypothesis.settings.load_profile("alpmon")


@pytest.fixture(autouse=True)
def _secrets_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of one test is an innocent word in another."""
    for name, nothing in {"_secrets": {}, "_forms": [], "_pattern": None}.items():
        monkeypatch.setattr(SECRETS, name, nothing)


class StartExchange(Protocol):
    """Starts a simulated exchange that ends with the test; by default it sends only what the test injects."""

    def __call__(self, *, ssl_context: ssl.SSLContext | None = None, **settings: Any) -> Awaitable[Exchange]: ...


@pytest.fixture
async def start_exchange() -> AsyncIterator[StartExchange]:
    """A factory of simulated exchanges."""
    async with AsyncExitStack() as stack:

        async def start(*, ssl_context: ssl.SSLContext | None = None, **settings: Any) -> Exchange:
            chosen = Settings(**{"market": False, **settings})
            return await stack.enter_async_context(Exchange(chosen, ssl_context=ssl_context))

        yield start


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 and localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts our authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
