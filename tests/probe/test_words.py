"""The errors of the system as people are told them."""

from __future__ import annotations

import errno
import socket

import aiohappyeyeballs
import pytest

from alpmon.probe.words import shown_address, words_of


def ipv6_loopback() -> bool:
    """Whether this machine has one."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


async def refused(*hosts: str) -> tuple[OSError, int]:
    """What really comes where nobody listens, and at which port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        addresses = [found for host in hosts for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        with pytest.raises(OSError, match="Connect call failed") as caught:
            await aiohappyeyeballs.start_connection(addresses)
    return caught.value, port


async def test_a_refused_connection() -> None:
    """The system's words, and the address as one writes it."""
    error, port = await refused("127.0.0.1")
    assert words_of(error) == f"connection refused (127.0.0.1:{port})"


@pytest.mark.skipif(not ipv6_loopback(), reason="this machine speaks no IPv6")
async def test_refused_on_every_address() -> None:
    """Each is named, IPv6 in brackets."""
    error, port = await refused("::1", "127.0.0.1")
    assert words_of(error) == f"connection refused ([::1]:{port}), connection refused (127.0.0.1:{port})"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 443)"), "no route to host (10.0.0.1:443)"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 100] Network is down"
            ),
            "connection refused ([::1]:1), network is down",
        ),
        (OSError("something else"), "something else"),
        (ConnectionResetError(), ""),
        (ValueError("[Errno 5] Not the system's"), "[Errno 5] Not the system's"),
    ],
)
def test_other_errors(error: Exception, words: str) -> None:
    """No number, no name of a call, and what the system says for itself."""
    assert words_of(error) == words


@pytest.mark.parametrize(("host", "shown"), [("10.0.0.1", "10.0.0.1:80"), ("::1", "[::1]:80"), ("h.test", "h.test:80")])
def test_an_address(host: str, shown: str) -> None:
    """As in a URL."""
    assert shown_address(host, 80) == shown
