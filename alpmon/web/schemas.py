"""The schemas of the web's JSON: `python -m alpmon.web.schemas status > docs/status.schema.json`."""

from __future__ import annotations

import sys
from typing import Final

from alpmon.schemas import schema_text
from alpmon.telemetry.recordings import Recordings
from alpmon.telemetry.status import Status

SHAPES: Final = {"status": Status, "recordings": Recordings}
"""By the last part of the path, `/api/v1/...`."""

if __name__ == "__main__":
    sys.stdout.write(schema_text(SHAPES[sys.argv[1]]))
