"""REST requests against the simulated exchange: what a refusal says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alpmon.exchange.faults import RefuseRest
from alpmon.probe.rest import RestError, client, fetch

if TYPE_CHECKING:
    from tests.conftest import StartExchange


@pytest.mark.parametrize(("status", "patience"), [(429, 60.0), (503, 60.0), (500, None), (404, None)])
async def test_only_429_and_503_ask_for_patience(
    start_exchange: StartExchange, status: int, patience: float | None
) -> None:
    """Whatever else comes with `Retry-After` is an answer like any other."""
    exchange = await start_exchange()
    exchange.faults.add(RefuseRest(status=status, retry_after=60))
    async with client() as http:
        with pytest.raises(RestError) as refused:
            await fetch(http, "GET", f"{exchange.rest_url}/ticker")
    assert (refused.value.status, refused.value.retry_after_seconds) == (status, patience)


async def test_a_socks_proxy_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP library would speak HTTP to it; the line says so, without its password."""
    monkeypatch.setenv("https_proxy", "socks5h://user:secret@127.0.0.1:1")
    async with client() as http:
        with pytest.raises(RestError, match="SOCKS proxy") as refused:
            await fetch(http, "GET", "https://exchange.invalid/ticker")
    assert "secret" not in str(refused.value)


async def test_a_host_that_needs_no_proxy_is_reached_beside_a_socks_proxy(
    start_exchange: StartExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`no_proxy` goes before it."""
    exchange = await start_exchange()
    monkeypatch.setenv("http_proxy", "socks5h://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with client() as http:
        assert await fetch(http, "GET", f"{exchange.rest_url}/ticker")
