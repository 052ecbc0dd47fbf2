"""The exchange's own client in a process of its own: `python official_client.py URL TOPIC...`.

Counts what its handlers are told until each of the seven has been called, then prints the counts as one JSON line.
Its receive loop and its handlers are used as published. Only what the release lacks is put in place: the module
`alpcom_api.dto.ws`, as plain classes that keep what they are given.
"""

import asyncio
import collections
import contextlib
import io
import json
import sys
import types

from alpcom_api import dto

dto.ws = types.SimpleNamespace(
    **{
        name: type(name, (types.SimpleNamespace,), {})
        for name in ("Ticker", "Trade", "Rate", "Diff", "Depth", "BookOrder", "Wallet", "Order")
    }
)
sys.modules["alpcom_api.dto.ws"] = dto.ws

from alpcom_api import ws  # noqa: E402 - needs the stand-ins above

EVENTS = ("ticker", "trade", "rate", "diff", "depth", "wallet", "order")


class Counting(ws.Handler):
    """Counts the calls of each handler."""

    def __init__(self):
        self.counts = collections.Counter()
        for event in EVENTS:
            setattr(self, f"on_{event}", lambda message, event=event: self.counts.update([event]))


class Token:
    """Stands for the REST client, of which `auth` wants only this."""

    def get_token(self):
        return "a-good-token"


async def main(url, topics):
    handler = Counting()
    async with ws.Client(handler, url) as client:
        await client.auth(Token())
        await client.subscribe(*topics)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints each message
            receiving = asyncio.ensure_future(client.receive_messages())
            while not all(handler.counts[event] for event in EVENTS):
                done, _ = await asyncio.wait([receiving], timeout=0.05)
                for task in done:
                    task.result()
            receiving.cancel()
    print(json.dumps(handler.counts))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
