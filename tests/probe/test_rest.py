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
