"""What is left out of a text, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpmon.masking import MASK, Masker, is_secret_key, mask_urls


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("wss://me:pass@h/ws", "wss://me:***@h/ws"),
        ("wss://:pass@h/ws", "wss://:***@h/ws"),
        ("wss://token@h/ws", "wss://***@h/ws"),
        ("wss://me:p@ss@h/ws", "wss://me:***@h/ws"),
        ("see http://a:b@h and ws://c:d@h.", "see http://a:***@h and ws://c:***@h."),
        ("https://h/p?token=x&a=1", "https://h/p?token=***&a=1"),
        ("https://h/p?a=1&API_KEY=x#f", "https://h/p?a=1&API_KEY=***#f"),
        ("wss://www.alp.com/ws?a=1", "wss://www.alp.com/ws?a=1"),
        ("mail me@example.com", "mail me@example.com"),
        ("https://h/a@b:c", "https://h/a@b:c"),
    ],
)
def test_urls_lose_their_passwords(text: str, masked: str) -> None:
    """User information and telling query values; the rest of the text stays."""
    assert mask_urls(text) == masked


@pytest.mark.parametrize("key", ["token", "Authorization", "api_secret", "X-SIGN", "password", "api-key", "JWT"])
def test_keys_of_secrets(key: str) -> None:
    """However they are written."""
    assert is_secret_key(key)


@pytest.mark.parametrize("key", ["token_file", "key", "design", "passed", "client_id", "secrets_loaded"])
def test_keys_that_only_sound_like_it(key: str) -> None:
    """What tells where a secret lies is no secret."""
    assert not is_secret_key(key)


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4), st.text(), st.text())
def test_a_secret_is_found_however_it_is_escaped(secret: str, before: str, after: str) -> None:
    """As itself, in JSON and in a repr."""
    masker = Masker()
    masker.add(secret)
    bare = secret.strip()
    for text in (bare, json.dumps(bare), repr(bare)):
        assert MASK in masker.text(f"{before}{text}{after}")
    assert masker.text(bare) == MASK


def test_what_is_too_short_is_no_secret() -> None:
    """An empty file must not turn the log into stars."""
    masker = Masker()
    for text in ("", " \n", "abc"):
        masker.add(text)
    assert masker.text("abc, and nothing else") == "abc, and nothing else"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    """One that begins with the other leaves no tail."""
    masker = Masker()
    masker.add("hunter2")
    masker.add("hunter2hunter3")
    assert masker.text("hunter2hunter3") == MASK


def test_the_oldest_secrets_are_forgotten() -> None:
    """Tokens are renewed for ever; the latest sixty-four are remembered, one that was used again among them."""
    masker = Masker()
    for number in range(64):
        masker.add(f"secret-{number:03}")
    masker.add("secret-000")
    masker.add("secret-064")
    assert masker.text("secret-000 secret-001 secret-002 secret-064") == "*** secret-001 *** ***"


def test_a_token_is_known_by_its_looks() -> None:
    """A JWT that nobody registered is masked as well."""
    assert Masker().text("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1 now") == "got *** now"


@given(st.text(min_size=9).filter(lambda text: len(text.strip()) >= 9), st.text(alphabet="abc :"), st.data())
def test_a_secret_that_was_cut_off_goes_as_well(secret: str, before: str, data: st.DataObject) -> None:
    """A close reason ends after 123 bytes, whatever it was about to say."""
    masker = Masker()
    masker.add(secret)
    bare = secret.strip()
    left = bare[: data.draw(st.integers(8, len(bare)))]
    assert masker.text(before + left).endswith(MASK)
    assert left not in masker.text(before + left)


def test_the_beginning_of_a_secret_within_a_text_is_let_be() -> None:
    """Only where the text ends, or a quotation in it, can it have been cut off; and a few characters say nothing."""
    masker = Masker()
    masker.add("correct horse battery")
    assert masker.text("correct horses eat") == "correct horses eat"
    assert masker.text("it is correct horse b") == f"it is {MASK}"
    assert masker.text("it is correct") == "it is correct"
    assert masker.text('"correct horse b" is not "correct horse"') == f'"{MASK}" is not "{MASK}"'


SECRET = 'tok"en\\/+==1234'


@pytest.mark.parametrize(
    "escaped",
    [
        json.dumps(SECRET),
        json.dumps(SECRET).replace("/", "\\/"),
        json.dumps(SECRET).replace("=", "\\u003d").replace("+", "\\u002B"),
        '"' + "".join(f"\\u{ord(char):04x}" for char in SECRET) + '"',
        json.dumps(SECRET)[:-5] + '"',
    ],
)
def test_a_frame_is_read_alike_without_its_secret(escaped: str) -> None:
    """Each server's JSON escapes what it likes; what is left is JSON of the same shape."""
    masker = Masker()
    masker.add(SECRET)
    frame = f'["error", 1.50, {escaped}, ["see http://h/?token=x", "a\\/b"]]'.encode()
    masked = masker.frame(frame)
    assert masked == f'["error", 1.50, "{MASK}", ["see http://h/?token=x", "a\\/b"]]'.encode()


@given(st.binary())
def test_a_frame_without_a_secret_stays_as_it_is(frame: bytes) -> None:
    """To the byte, whatever it is."""
    masker = Masker()
    masker.add("secret of the test")
    assert masker.frame(frame) == frame


def test_a_frame_that_is_no_text_loses_its_secret_as_well() -> None:
    """Among bytes that mean nothing."""
    masker = Masker()
    masker.add("secret of the test")
    assert masker.frame(b"\xffsecret of the test\xfe") == b"\xff***\xfe"


def test_a_frame_that_nobody_could_write_out_loses_its_secret_as_well() -> None:
    """JSON can say what no text can hold."""
    masker = Masker()
    masker.add("secret of the test")
    assert masker.frame(rb'["\ud800 secret of the t\u0065st"]') == rb'["\ud800 ***"]'
