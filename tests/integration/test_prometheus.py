"""The real Prometheus reads what the real program serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.harness import TARGET, monitoring, target, until
from tests.integration.prometheus import prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartExchange


async def test_prometheus_scrapes_the_monitor_and_keeps_its_exemplars(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """Every series arrives, none is refused, and a slow bucket leads to the session's client id."""
    exchange = await start_exchange()
    async with monitoring(target(exchange.url, ["trade.*"], ack_probe_interval="1s")) as monitored:
        await monitored.until_live()
        await exchange.burst(1000, {"trade.*": 1.0})
        await until(lambda: monitored.connection().data_frames == 1000)
        address = monitored.service.url.removeprefix("http://")
        async with prometheus(tmp_path, address) as server:
            [messages] = await server.until(f'alpmon_messages_total{{target="{TARGET}"}} == 1000')
            assert messages["metric"]["topic"] == "trade.*"
            [up] = await server.query('up{job="alpmon"}')
            assert up["value"][1] == "1"
            [state] = await server.query('alpmon_topic_state{topic="trade.*"} == 1')
            assert state["metric"]["alpmon_topic_state"] == "live"
            [target_state] = (await server.get("targets"))["activeTargets"]
            assert target_state["lastError"] == ""
            ack = "alpmon_subscribe_ack_seconds_bucket"
            exemplars = await server.get("query_exemplars", query=ack, start="0", end="9999999999")
            clients = {exemplar["labels"]["client_id"] for series in exemplars for exemplar in series["exemplars"]}
            assert clients == {exchange.ledger.connections[0].client_id}
