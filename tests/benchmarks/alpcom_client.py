"""The exchange's own client in its own Python: `python alpcom_client.py URL`; prints its CPU seconds and messages.

As published its `ws` module cannot be imported; plain classes stand in for the ones that no release holds. Its loop and
its handlers are as they are, and what it prints of each message goes to /dev/null.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
import types

from alpcom_api import dto

NAMES = ("Ticker", "Trade", "Rate", "Diff", "Depth", "BookOrder", "Wallet", "Order")
dto.ws = types.SimpleNamespace(**{name: type(name, (types.SimpleNamespace,), {}) for name in NAMES})
sys.modules["alpcom_api.dto.ws"] = dto.ws

from alpcom_api import ws  # noqa: E402 - needs the stand-ins above


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Counting(ws.Client):
    """Counts the data frames that its handlers are given."""

    def __init__(self, handler, url):
        super().__init__(handler, url)
        self.seen = 0
        self.routing = {tag: self.counted(handle) for tag, handle in self.routing.items()}

    def counted(self, handle):
        def count(*fields):
            self.seen += 1
            handle(*fields)

        return count


async def main(url):
    async with Counting(ws.Handler(), url) as client:
        await client.subscribe("ticker.*")
        started = cpu_seconds()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: ASYNC230, PTH123
            await asyncio.gather(client.receive_messages(), return_exceptions=True)  # it ends by raising only
        used = cpu_seconds() - started
    print(json.dumps({"cpu_seconds": used, "seen": client.seen}))


asyncio.run(main(sys.argv[1]))
