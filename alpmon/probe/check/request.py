"""What a check is asked for, who is told how it goes, and how long each part of it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from alpmon.probe.check.report import Step, StepReport

CONNECT_SECONDS: Final = 10.0
"""From the look-up to the end of the upgrade."""
WELCOME_SECONDS: Final = 10.0
ACK_SECONDS: Final = 5.0
PING_SECONDS: Final = 10.0

MAX_FRAME_BYTES: Final = 800
"""As a configuration has it that says nothing else."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to check.

    Attributes:
        topics: To subscribe to, each once.
        messages: How many of each topic must arrive; 0 is content with the acknowledgement.
        timeout_seconds: For everything together.
        server_name: The name to ask for and to verify instead of the URL's host.
        max_frame_bytes: The longest request frame.
        target: Its name in the configuration; None for a URL given by hand.
    """

    url: str
    topics: tuple[str, ...]
    messages: int
    timeout_seconds: float
    ca_file: Path | None = None
    insecure_skip_verify: bool = False
    server_name: str | None = None
    max_frame_bytes: int = MAX_FRAME_BYTES
    target: str | None = None


class Audience(Protocol):
    """Is told how a check goes, while it goes."""

    def waiting(self, step: Step, seconds: float) -> None:
        """A step has begun, and may take so long."""

    def done(self, report: StepReport) -> None:
        """A step has ended."""
