"""The published schemas, and what is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from alpmon.exchange.faults import Abort, Mute
from alpmon.probe.check.report import Report
from alpmon.schemas import schema_text
from alpmon.web.schemas import SHAPES
from tests.integration.harness import monitoring, target, until

if TYPE_CHECKING:
    from tests.conftest import StartExchange

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("name", "shape"), [("check", Report), *SHAPES.items()])
def test_what_is_published_is_the_programs_own(name: str, shape: Any) -> None:
    """It is generated; `make docs` writes it anew."""
    assert (DOCS / f"{name}.schema.json").read_text() == schema_text(shape)


def test_what_a_struct_says_is_told_without_its_indentation() -> None:
    """As somebody reads it in an editor."""
    told = json.loads(schema_text(Report))["$defs"]["Report"]["description"]
    assert "\nAttributes:\n    target: " in told


async def test_the_answers_are_as_published(start_exchange: StartExchange) -> None:
    """With a session that was lost, a topic that is stale, and a topic that was refused."""
    exchange = await start_exchange(market=True, rate=20.0)
    freshness = {"default": {"mode": "fixed", "after": "500ms"}}
    topics = ["ticker.*", "trade.*", "market_depth.NOPE_USDT"]
    async with monitoring(target(exchange.url, topics, freshness=freshness)) as monitored:
        await monitored.until_live()
        exchange.faults.add(Abort())
        exchange.faults.add(Mute(topic="trade.*"))
        record = monitored.service.monitor.targets["test"].connections["0-0"]
        await until(lambda: record.session_duration.count == 1 and record.up)
        await until(lambda: any(incident.kind == "stale" for incident in record.recorder.incidents()))
        for name in SHAPES:
            schema = json.loads((DOCS / f"{name}.schema.json").read_text())
            _, text = await monitored.get(f"/api/v1/{name}")
            answer = json.loads(text)
            jsonschema.validate(answer, schema)
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**answer, "timestamp_seconds": "now"}, schema)
