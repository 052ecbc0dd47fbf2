"""Tokens from a file, and tokens traded for key and secret, against a server that really judges them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from alpmon.config import Auth
from alpmon.exchange.faults import RefuseRest
from alpmon.probe import auth
from alpmon.probe.auth import AuthError, KeyExchange, TokenFile, lifetime_seconds, token_source

if TYPE_CHECKING:
    from alpmon.exchange import Exchange
    from tests.conftest import StartExchange

KEY, SECRET = "key-of-the-test", "secret-of-the-test"
KEYS = {KEY: SECRET, "key-of-another": "secret-of-another"}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def trading(exchange: Exchange, folder: Path, key: str = KEY, secret: str = SECRET) -> KeyExchange:
    """White space around what a file holds is nobody's secret."""
    files = written(folder / "key", f"{key}\n"), written(folder / "secret", f"  {secret}\n")
    return KeyExchange(*files, exchange.rest_url, Random(0))


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2ln"


async def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """Whoever renews the token only has to write it."""
    source = TokenFile(written(tmp_path / "token", " first\n"))
    assert await source.get() == "first"
    written(tmp_path / "token", "second")
    assert await source.get() == "second"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file or directory"), (b" \n", "is empty"), (b"\xff\xfe", "is not text")]
)
async def test_a_file_that_holds_no_token(tmp_path: Path, content: bytes | None, why: str) -> None:
    """One line that names the file and says what is wrong with it."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AuthError) as failure:
        await TokenFile(path).get()
    assert str(failure.value) in (f"token file {path} {why}", f"token file {path}: {why}")


async def test_key_and_secret_are_traded_once(start_exchange: StartExchange, tmp_path: Path) -> None:
    """The token is kept while it is fresh."""
    exchange = await start_exchange(api_keys=KEYS)
    source = trading(exchange, tmp_path)
    token = await source.get()
    assert lifetime_seconds(token, 0.0) == 600.0
    assert await source.get() == token
    assert exchange.ledger.tokens_issued == 1


async def test_a_token_that_has_ended_is_not_given(start_exchange: StartExchange, tmp_path: Path) -> None:
    """Nor is a server that gives no better one asked again in the same second."""
    exchange = await start_exchange(api_keys=KEYS, token_seconds=0.0)
    source = trading(exchange, tmp_path)
    with pytest.raises(AuthError, match="the token has ended"):
        await source.get()
    with pytest.raises(AuthError, match="the token has ended"):
        await source.get()
    assert exchange.ledger.tokens_issued == 1


async def test_other_credentials_get_another_token(start_exchange: StartExchange, tmp_path: Path) -> None:
    """At once, though the first token is fresh."""
    exchange = await start_exchange(api_keys=KEYS)
    source = trading(exchange, tmp_path)
    first = await source.get()
    written(tmp_path / "key", "key-of-another")
    written(tmp_path / "secret", "secret-of-another")
    assert await source.get() != first
    assert exchange.ledger.tokens_issued == 2


async def test_refused_credentials_are_named_as_such(start_exchange: StartExchange, tmp_path: Path) -> None:
    """401: one line, without key or secret."""
    exchange = await start_exchange(api_keys=KEYS)
    source = trading(exchange, tmp_path, secret="wrong-secret")
    with pytest.raises(AuthError) as failure:
        await source.get()
    assert str(failure.value) == f"POST {exchange.rest_url}/auth: key and secret were refused: HTTP 401 Unauthorized"


async def test_a_server_in_trouble_is_left_alone_for_as_long_as_it_asks(
    start_exchange: StartExchange, tmp_path: Path
) -> None:
    """However often a token is wanted meanwhile."""
    exchange = await start_exchange(api_keys=KEYS)
    exchange.faults.add(RefuseRest(endpoint="auth", status=503, retry_after=60))
    source = trading(exchange, tmp_path)
    for _ in range(3):
        with pytest.raises(AuthError, match="HTTP 503 Service Unavailable"):
            await source.get()
    assert len(exchange.ledger.rest) == 1


async def test_nobody_there(tmp_path: Path, unused_tcp_port: int) -> None:
    """The network's words, translated into one line."""
    files = written(tmp_path / "key", KEY), written(tmp_path / "secret", SECRET)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(AuthError, match=f"POST {url}/auth: Cannot connect to host"):
        await KeyExchange(*files, url, Random(0)).get()


@pytest.mark.parametrize(
    ("token", "lifetime"),
    [
        (jwt(exp=1600.5), 600.5),
        (jwt(exp=1600, iat=1500), 100.0),
        (jwt(exp=900), 0.0),
        (jwt(sub="me"), float("inf")),
        (jwt(exp="soon"), float("inf")),
        ("opaque", float("inf")),
        ("a.%%%.c", float("inf")),
        ("a." + "W" * 4001 + ".c", float("inf")),
    ],
)
def test_how_long_a_token_is_good(token: str, lifetime: float) -> None:
    """By its own account, which is all there is; one that does not say is good until it is refused."""
    assert lifetime_seconds(token, 1000.0) == lifetime


@pytest.mark.parametrize(
    ("answer", "token"), [(b'"abc.d"', "abc.d"), (b" abc.d\n", "abc.d"), (b'{"token": "abc.d"}', "abc.d")]
)
def test_the_token_in_an_answer(answer: bytes, token: str) -> None:
    """Bare, as JSON text, or named."""
    assert auth._token_in(answer) == token


@pytest.mark.parametrize(
    "answer", [b"", b"null", b"{}", b'""', b"<html> no </html>", b"a\x00b", b"\xff\xff", b"[" * 9000]
)
def test_an_answer_without_a_token(answer: bytes) -> None:
    """Whatever it is, it is not presented."""
    with pytest.raises(auth.RestError, match="the answer holds no token"):
        auth._token_in(answer)


def test_the_configuration_says_where_from(tmp_path: Path) -> None:
    """Key and secret, or a file."""
    assert isinstance(token_source(Auth(key_file=Path("k"), secret_file=Path("s")), Random(0)), KeyExchange)
    assert isinstance(token_source(Auth(token_file=Path("t")), Random(0)), TokenFile)
