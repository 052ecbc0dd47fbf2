"""A loopback exchange that sends a realistic mix as fast as it is taken.

    python -m tests.benchmarks.sender MESSAGES DIR

DIR holds `server.pem` (certificate and key). Prints the ports for ws and wss as JSON and serves until its stdin ends.
Each session gets a welcome, an acknowledgement of whatever it asks for, a moment's rest, MESSAGES messages and a close.
"""

from __future__ import annotations

import json
import random
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.sync.server import ServerConnection, serve

BASES = ("BTC", "ETH", "XRP", "DOGE", "TRX", "LTC")
PAIRS = [f"{base}_{quote}" for base in BASES for quote in ("USDT", "USDC", "EUR")]
TOPICS = ["ticker.*", "trade.*", *(f"market_depth.{pair}" for pair in PAIRS)]
BLOCK = 2_000
"""Messages that are made once and sent again and again, the trades with ids of their own."""
STAMP = 1_790_139_140
"""Stands for the time of sending."""
REST_SECONDS = 0.5
"""Time for every client to look at its clock before the first message."""


def trade(rng: random.Random, number: int) -> list[Any]:
    pair, side = rng.choice(PAIRS), rng.choice(["buy", "sell"])
    return ["t", STAMP, number, pair, _number(rng, 10, 4), _number(rng, 100, 2), side]


def tickers(rng: random.Random, _: int) -> list[Any]:
    pairs = rng.sample(PAIRS, rng.randint(1, 6))
    return ["tk", STAMP, *([pair, *(_number(rng, 1_000, 3) for _ in range(8))] for pair in pairs)]


def book(rng: random.Random, _: int) -> list[Any]:
    """Best level first on both sides, the best ask above the best bid."""
    prices = sorted(rng.uniform(10_000, 90_000) for _ in range(40))
    bids, asks = prices[:20][::-1], prices[20:]
    sides = {"Asks": _levels(rng, asks), "Bids": _levels(rng, bids)}
    totals = {"TotalAsks": _number(rng, 900, 8), "TotalBids": _number(rng, 900, 8)}
    return ["p", STAMP, {**sides, "Symbol": rng.choice(PAIRS), **totals}]


def _levels(rng: random.Random, prices: list[float]) -> list[list[str]]:
    return [[f"{price:.8f}", _number(rng, 90_000, 8)] for price in prices]


def _number(rng: random.Random, top: float, digits: int) -> str:
    return f"{rng.uniform(0, top):.{digits}f}"


def payloads(messages: int) -> Iterator[bytes]:
    """45 % trades, 30 % tickers of 1 to 6 rows, 25 % books of 20 levels: a sound feed, always the same."""
    rng = random.Random(20_260_922)
    makers = [trade] * (BLOCK * 45 // 100) + [tickers] * (BLOCK * 30 // 100) + [book] * (BLOCK * 25 // 100)
    rng.shuffle(makers)
    block = [make(rng, number) for number, make in enumerate(makers)]
    for _ in range(messages // BLOCK):
        for frame in block:
            if frame[0] == "t":
                frame[2] += BLOCK  # ids rise from block to block, as the exchange's do
            yield json.dumps(frame, separators=(",", ":")).encode()


def main(messages: int, directory: Path) -> None:
    wire = b"".join(Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in payloads(messages))

    def handle(peer: ServerConnection) -> None:
        peer.send(json.dumps(["welcome", int(time.time()), 20_000, 30_000, "benchmark"]))
        _, *topics = json.loads(peer.recv())
        peer.send(json.dumps(["subscribe", int(time.time()), *topics]))
        time.sleep(REST_SECONDS)
        peer.socket.sendall(wire.replace(str(STAMP).encode(), str(int(time.time())).encode()))

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "server.pem")
    servers = [serve(handle, "127.0.0.1", 0, ssl=context, compression=None) for context in (None, tls)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps([server.socket.getsockname()[1] for server in servers]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
