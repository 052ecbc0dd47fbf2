"""What `alpmon check --json` prints; its schema: `python -m alpmon.probe.check.report > docs/check.schema.json`."""

from __future__ import annotations

import sys
from enum import StrEnum

from msgspec import Struct

from alpmon.schemas import schema_text


class Step(StrEnum):
    """What a check goes through, in this order; `tls` only for `wss://`, `message` once a topic."""

    RESOLVE = "resolve"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    WELCOME = "welcome"
    ACK = "ack"
    MESSAGE = "message"
    PING = "ping"


class Verdict(StrEnum):
    """How a step went; skipped where an earlier one failed, or where a proxy takes it."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepReport(Struct, frozen=True, kw_only=True):
    """One step.

    Attributes:
        topic: Whose messages were waited for; null for every other step.
        seconds: How long it took, until it failed where it did. `message` counts from the acknowledgement, and runs
            beside `ping`; the others follow one another.
        detail: Why it failed.
    """

    step: Step
    topic: str | None
    verdict: Verdict
    seconds: float | None
    detail: str | None


class Report(Struct, frozen=True, kw_only=True):
    """One check.

    Attributes:
        target: Its name in the configuration; null for a URL given by hand.
        failed_step: The step that makes it unhealthy.
        detail: What went wrong there.
        peer: The address connected to: the server's, or the proxy's.
        dialect: Which description of the exchange the peer behaved like, as far as it showed.
    """

    target: str | None
    url: str
    healthy: bool
    failed_step: Step | None
    detail: str | None
    timestamp_seconds: float
    seconds: float
    timeout_seconds: float
    messages: int
    peer: str | None
    proxied: bool
    tls_version: str | None
    certificate_expires_in_seconds: float | None
    client_id: str | None
    dialect: str | None
    advertised_ping_interval_seconds: float | None
    advertised_ping_timeout_seconds: float | None
    steps: list[StepReport]


if __name__ == "__main__":
    sys.stdout.write(schema_text(Report))
