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
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.sync.server import ServerConnection, serve

BASES = ("BTC", "ETH", "XRP", "DOGE", "TRX", "LTC")
PAIRS = [f"{base}_{quote}" for base in BASES for quote in ("USDT", "USDC", "EUR")]
TOPICS = ["ticker.*", "trade.*", *(f"market_depth.{pair}" for pair in PAIRS)]
BLOCK = 2_000
"""Messages that are made once and sent again and again."""
REST_SECONDS = 0.5
"""Time for every client to look at its clock before the first message."""


def trade(rng: random.Random, stamp: int) -> list[Any]:
    side = rng.choice(["buy", "sell"])
    return ["t", stamp, rng.randrange(10**6), rng.choice(PAIRS), _number(rng, 10, 4), _number(rng, 100, 2), side]


def tickers(rng: random.Random, stamp: int) -> list[Any]:
    pairs = rng.sample(PAIRS, rng.randint(1, 6))
    return ["tk", stamp, *([pair, *(_number(rng, 1_000, 3) for _ in range(8))] for pair in pairs)]


def book(rng: random.Random, stamp: int) -> list[Any]:
    asks, bids = ([[_number(rng, 90_000, 8), _number(rng, 90_000, 8)] for _ in range(20)] for _ in range(2))
    totals = {"TotalAsks": _number(rng, 900, 8), "TotalBids": _number(rng, 900, 8)}
    return ["p", stamp, {"Asks": asks, "Bids": bids, "Symbol": rng.choice(PAIRS), **totals}]


def _number(rng: random.Random, top: float, digits: int) -> str:
    return f"{rng.uniform(0, top):.{digits}f}"


def block() -> list[bytes]:
    """The payloads of one block: 45 % trades, 30 % tickers of 1 to 6 rows, 25 % books of 20 levels; always the same."""
    rng = random.Random(20_260_922)
    makers = [trade] * (BLOCK * 45 // 100) + [tickers] * (BLOCK * 30 // 100) + [book] * (BLOCK * 25 // 100)
    rng.shuffle(makers)
    return [json.dumps(make(rng, 1_790_139_140 + i), separators=(",", ":")).encode() for i, make in enumerate(makers)]


def main(messages: int, directory: Path) -> None:
    wire = b"".join(Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in block())

    def handle(peer: ServerConnection) -> None:
        peer.send(json.dumps(["welcome", int(time.time()), 20_000, 30_000, "benchmark"]))
        _, *topics = json.loads(peer.recv())
        peer.send(json.dumps(["subscribe", int(time.time()), *topics]))
        time.sleep(REST_SECONDS)
        for _ in range(messages // BLOCK):
            peer.socket.sendall(wire)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "server.pem")
    servers = [serve(handle, "127.0.0.1", 0, ssl=context, compression=None) for context in (None, tls)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps([server.socket.getsockname()[1] for server in servers]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
