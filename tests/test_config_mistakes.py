"""Every kind of mistake, as the line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alpmon.config import Config, ConfigError, Mistake, document, load, parse
from alpmon.config.document import MAX_FILE_BYTES, MAX_TEXT_BYTES, MAX_VALUES

HEAD = """\
targets:
  - name: alp
    url: wss://www.alp.com/ws
    topics: [ticker.*, trade.*]
"""


def mistakes(text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "alpmon.yaml", env or {})
    return [str(mistake) for mistake in caught.value.mistakes]


def outcome_of(text: str) -> Config | tuple[Mistake, ...]:
    try:
        return parse(text, "alpmon.yaml", {"X": "x"})
    except ConfigError as error:
        return error.mistakes


def in_target(line: str, env: dict[str, str] | None = None) -> list[str]:
    return mistakes(f"{HEAD}    {line}\n", env)


ONE_MISTAKE = {
    "unknown key": ("timeouts: {conect: 10s}", "timeouts.conect: unknown key; did you mean 'connect'?"),
    "unknown key like no other": (
        "tls: {zzz: 1}",
        "tls.zzz: unknown key; known keys: ca_file, insecure_skip_verify, server_name",
    ),
    "secret in the file": ("auth: {token: s3cr3t}", "auth.token: unknown key; did you mean 'token_file'?"),
    "number as a duration": (
        "rtt_interval: 20",
        "rtt_interval: must be a duration with its unit, got 20; write 20s if seconds are meant",
    ),
    "zero as a duration": (
        "rtt_interval: 0",
        "rtt_interval: must be a duration with its unit, got 0; write 0s if seconds are meant",
    ),
    "no duration": (
        "timeouts: {ack: soon}",
        "timeouts.ack: must be a duration, got 'soon'; such as 500ms, 10s or 1m30s",
    ),
    "units the wrong way": (
        "timeouts: {ack: 30s1m}",
        "timeouts.ack: must be a duration, got '30s1m'; such as 500ms, 10s or 1m30s",
    ),
    "list as a duration": ("timeouts: {ack: [5s]}", "timeouts.ack: must be a duration; such as 500ms, 10s or 1m30s"),
    "zero where nothing is off": ("timeouts: {ack: 0s}", "timeouts.ack: must be above 0, got '0s'"),
    "silence off": ("timeouts: {silence: 0s}", "timeouts.silence: must be above 0, got '0s'"),
    "over a year": ("timeouts: {ack: 366d}", "timeouts.ack: must be at most 365d, got '366d'"),
    "too few": ("redundancy: 0", "redundancy: must be at least 1, got 0"),
    "too many": ("redundancy: 11", "redundancy: must be at most 10, got 11"),
    "yes is no number": ("redundancy: yes", "redundancy: must be a number, got true"),
    "half a connection": ("redundancy: 1.5", "redundancy: must be a whole number, got 1.5"),
    "text as a count": ("redundancy: two", "redundancy: must be a whole number, got 'two'"),
    "text as a factor": ("reconnect: {factor: fast}", "reconnect.factor: must be a number, got 'fast'"),
    "no infinity": ("reconnect: {factor: .inf}", "reconnect.factor: must be a number, got '.inf'"),
    "shrinking wait": ("reconnect: {factor: 0.5}", "reconnect.factor: must be at least 1, got 0.5"),
    "initial over max": ("reconnect: {initial: 2m}", "reconnect.initial: must not be longer than max, got '2m'"),
    "text as a switch": (
        "tls: {insecure_skip_verify: perhaps}",
        "tls.insecure_skip_verify: must be true or false, got 'perhaps'",
    ),
    "number as a name": ("tls: {server_name: 5}", "tls.server_name: must be text, got 5; put it in quotes"),
    "empty text": ('tls: {server_name: ""}', "tls.server_name: must not be empty, got ''"),
    "empty file name": ('tls: {ca_file: ""}', "tls.ca_file: must name a file, got ''"),
    "number as a file": ("tls: {ca_file: 5}", "tls.ca_file: must be the path of a file, got 5"),
    "text as a section": ("timeouts: short", "timeouts: must be a mapping of keys to values, got 'short'"),
    "token and key": (
        "auth: {token_file: t, key_file: k, secret_file: s}",
        "auth.token_file: excludes key_file and secret_file",
    ),
    "key alone": ("auth: {key_file: k}", "auth.key_file: needs secret_file as well"),
    "secret alone": ("auth: {secret_file: s}", "auth.secret_file: needs key_file as well"),
    "rest over ws": ("auth: {rest_url: 'ws://h/'}", "auth.rest_url: must start with http:// or https://"),
    "reference without host": (
        "reference: {url: 'https:///v3'}",
        "reference.url: must be a URL with a host, got 'https:///v3'; such as https://example.com/path",
    ),
    "fixed without after": (
        "freshness: {default: {mode: fixed}}",
        "freshness.default: mode fixed needs after; add after: 2m",
    ),
    "floor over ceiling": (
        "freshness: {default: {floor: 1h}}",
        "freshness.default: floor must not be longer than ceiling",
    ),
    "unknown mode": (
        "freshness: {default: {mode: magic}}",
        "freshness.default.mode: must be 'adaptive' or 'fixed', got 'magic'",
    ),
    "override fixed without after": (
        "freshness: {overrides: [{topics: trade.*, mode: fixed}]}",
        "freshness.overrides[0]: mode fixed needs after; add after: 2m",
    ),
    "override without effect": (
        "freshness: {overrides: [{topics: trade.*, after: 2m}]}",
        "freshness.overrides[0].after: has no effect in mode adaptive, got '2m'; add mode: fixed",
    ),
    "override floor over the default's ceiling": (
        "freshness: {overrides: [{topics: trade.*, floor: 1h}]}",
        "freshness.overrides[0]: floor must not be longer than ceiling",
    ),
    "override of nothing": (
        "freshness: {overrides: [{mode: adaptive}]}",
        "freshness.overrides[0].topics: missing",
    ),
    "unset variable": ("tls: {server_name: '${NOPE}'}", "tls.server_name: the environment variable NOPE is not set"),
    "broken variable": (
        "tls: {server_name: '${no pe}'}",
        "tls.server_name: ${ is not followed by a variable's name and }; write $${ for the characters themselves",
    ),
    "tag": ("tls: {ca_file: !!python/name:os.system x}", "tls.ca_file: a tag is not supported here; leave out the !"),
    "key that is a list": ("tls: {[a]: b}", "tls: a key must be plain text"),
    "merge of no mapping": ("tls: {<<: 5}", "tls: << must bring in a mapping"),
    "frame limit below one topic": ("max_frame_bytes: 31", "max_frame_bytes: must be at least 32, got 31"),
}


@pytest.mark.parametrize(("line", "expected"), ONE_MISTAKE.values(), ids=list(ONE_MISTAKE))
def test_one_mistake_in_a_target_is_one_line(line: str, expected: str) -> None:
    """The line number is the mistake's own, the path is whole, and nothing else is complained of."""
    assert in_target(line) == [f"alpmon.yaml:5: targets[0].{expected}"]


TARGETS = {
    "url of the wrong kind": (
        "{name: a, url: 'https://www.alp.com/', topics: [trade.*]}",
        "targets[0].url: must start with ws:// or wss://, got 'https://www.alp.com/'",
    ),
    "url without a host": (
        "{name: a, url: alp, topics: [trade.*]}",
        "targets[0].url: must be a URL with a host, got 'alp'; such as wss://example.com/path",
    ),
    "url with a bad port": (
        "{name: a, url: 'ws://h:70000/', topics: [trade.*]}",
        "targets[0].url: the port must be a number from 1 to 65535, got 'ws://h:70000/'",
    ),
    "url with a port that is no number": (
        "{name: a, url: 'ws://h:abc/', topics: [trade.*]}",
        "targets[0].url: the port must be a number from 1 to 65535, got 'ws://h:abc/'",
    ),
    "url with port 0": (
        "{name: a, url: 'ws://h:0/', topics: [trade.*]}",
        "targets[0].url: the port must be a number from 1 to 65535, got 'ws://h:0/'",
    ),
    "url with half a bracket": (
        "{name: a, url: 'ws://[::1/', topics: [trade.*]}",
        "targets[0].url: must be a URL with a host, got 'ws://[::1/'; such as wss://example.com/path",
    ),
    "url with a space": (
        "{name: a, url: 'ws://h/ x', topics: [trade.*]}",
        "targets[0].url: must not hold a space or an unprintable character, got 'ws://h/ x'; write a space as %20",
    ),
    "url with a fragment": (
        "{name: a, url: 'ws://h/#x', topics: [trade.*]}",
        "targets[0].url: must not have a fragment, got 'ws://h/#x'; leave out the # and what follows",
    ),
    "url with half a login": (
        "{name: a, url: 'ws://hunter22@h/', topics: [trade.*]}",
        "targets[0].url: names a user without a password; write user:password@host, or leave both out",
    ),
    "name with a space": (
        "{name: a b, url: 'ws://h/', topics: [trade.*]}",
        "targets[0].name: must be 1 to 63 letters, digits, '_', '.' or '-', the first a letter or digit, got 'a b'",
    ),
    "no topics": ("{name: a, url: 'ws://h/', topics: []}", "targets[0].topics: must hold at least one"),
    "one topic and no list": (
        "{name: a, url: 'ws://h/', topics: trade.*}",
        "targets[0].topics: must be a list, got 'trade.*'; write each item on a line of its own after a dash",
    ),
    "unknown channel": (
        "{name: a, url: 'ws://h/', topics: [tikker.*]}",
        "targets[0].topics[0]: names no public channel, got 'tikker.*'; did you mean 'ticker'?",
    ),
    "private channel": (
        "{name: a, url: 'ws://h/', topics: [wallet]}",
        (
            "targets[0].topics[0]: names no public channel, got 'wallet'; the channels are ticker, trade, rates, diff, "
            "market_depth"
        ),
    ),
    "no pair": (
        "{name: a, url: 'ws://h/', topics: [trade.btc]}",
        "targets[0].topics[0]: names no pair, got 'trade.btc'; write trade.* or a pair such as trade.BTC_USDT",
    ),
    "topic twice": (
        "{name: a, url: 'ws://h/', topics: [trade.*, ticker.*, trade.*]}",
        "targets[0].topics[2]: the same topic as topics[0], got 'trade.*'",
    ),
    "topic too long for a frame": (
        "{name: a, url: 'ws://h/', max_frame_bytes: 32, topics: [market_depth.BTC_USDT]}",
        (
            "targets[0].topics[0]: its longest request frame is 39 bytes long, over max_frame_bytes: 32, "
            "got 'market_depth.BTC_USDT'"
        ),
    ),
    "topic that can be asked for and never given up": (
        "{name: a, url: 'ws://h/', max_frame_bytes: 38, topics: [market_depth.BTC_USDT]}",
        (
            "targets[0].topics[0]: its longest request frame is 39 bytes long, over max_frame_bytes: 38, "
            "got 'market_depth.BTC_USDT'"
        ),
    ),
    "name missing": ("{url: 'ws://h/', topics: [trade.*]}", "targets[0].name: missing"),
}


@pytest.mark.parametrize(("target", "expected"), TARGETS.values(), ids=list(TARGETS))
def test_one_mistake_in_what_a_target_must_have(target: str, expected: str) -> None:
    """A target is blamed on its own line."""
    assert mistakes(f"targets:\n  - {target}\n") == [f"alpmon.yaml:2: {expected}"]


TOP = {
    "listen without a port": (
        "listen: 9719",
        "alpmon.yaml:5: listen: must be ADDR:PORT, got 9719; such as 127.0.0.1:9719 or [::1]:9719",
    ),
    "listen on a bare IPv6 address": (
        "listen: ::1:9719",
        "alpmon.yaml:5: listen: must be ADDR:PORT, got '::1:9719'; such as 127.0.0.1:9719 or [::1]:9719",
    ),
    "listen on a port too high": (
        "listen: h:65536",
        "alpmon.yaml:5: listen: must be ADDR:PORT, got 'h:65536'; such as 127.0.0.1:9719 or [::1]:9719",
    ),
    "unknown level": (
        "log: {level: loud}",
        "alpmon.yaml:5: log.level: must be 'debug', 'info', 'warning' or 'error', got 'loud'",
    ),
    "shard index": (
        "shard: {index: web}",
        (
            "alpmon.yaml:5: shard.index: must be a whole number or a pod name that ends with one, got 'web'; "
            "such as 3 or alpmon-3"
        ),
    ),
    "shard index not below count": (
        "shard: {index: alpmon-2, count: 2}",
        "alpmon.yaml:5: shard.index: must be below shard.count, which is 2, got 'alpmon-2'",
    ),
    "negative limit": ("limits: {max_symbols: -1}", "alpmon.yaml:5: limits.max_symbols: must be at least 0, got -1"),
    "key twice": ("targets: []", "alpmon.yaml:5: targets: written twice, first on line 1"),
    "syntax": ("listen: [", "alpmon.yaml:6: not YAML: expected the node content, but found '<stream end>'"),
    "variable without quotes in a list": (
        "listen: [${X}]",
        "alpmon.yaml:5: not YAML: expected ',' or ']', but got '{'; inside [] or {} put ${NAME} in quotes",
    ),
    "escape beyond Unicode": ('listen: "\\UFFFFFFFF"', "alpmon.yaml:5: not YAML"),
    "control character": ("listen: \x01", "alpmon.yaml:5: not YAML: a character that YAML does not allow"),
    "alias that holds itself": ("x: &a [*a]", "alpmon.yaml:5: x[0]: an alias that holds itself"),
    "too deep": ("x: " + "[" * 5_000, "alpmon.yaml:1: nested too deeply"),
    "long value": (
        f"listen: {'x' * 100}",
        f"alpmon.yaml:5: listen: must be ADDR:PORT, got '{'x' * 40}...'; such as 127.0.0.1:9719 or [::1]:9719",
    ),
}


@pytest.mark.parametrize(("line", "expected"), TOP.values(), ids=list(TOP))
def test_one_mistake_at_the_top(line: str, expected: str) -> None:
    """Mistakes outside the targets, and those of the YAML itself."""
    assert mistakes(f"{HEAD}{line}\n") == [expected]


def test_an_empty_file_misses_its_targets() -> None:
    """Nothing to watch is a mistake; `run` without a file is how to get the default."""
    assert mistakes("") == ["alpmon.yaml:1: targets: missing"]


def test_a_file_that_is_a_list() -> None:
    """The whole file has no path."""
    assert mistakes("- a\n") == ["alpmon.yaml:1: must be a mapping of keys to values"]


def test_mistakes_come_all_at_once_in_the_order_of_the_file() -> None:
    """Typing errors hide neither the checks between keys nor the other target's mistakes."""
    assert mistakes(
        """\
lsten: 0.0.0.0:1
targets:
  - name: a
    url: ws://h/
    topics: [trade.*]
    reconnect: {initial: 2m, mx: 1s}
    freshness:
      default: {mode: fixed, afer: 3s}
  - name: a
    url: $UNSET
    topics: ["${UNSET}", trade.*, trade.*]
    redundancy: 0
"""
    ) == [
        "alpmon.yaml:1: lsten: unknown key; did you mean 'listen'?",
        "alpmon.yaml:6: targets[0].reconnect.initial: must not be longer than max, got '2m'",
        "alpmon.yaml:6: targets[0].reconnect.mx: unknown key; did you mean 'max'?",
        "alpmon.yaml:8: targets[0].freshness.default: mode fixed needs after; add after: 2m",
        "alpmon.yaml:8: targets[0].freshness.default.afer: unknown key; did you mean 'after'?",
        "alpmon.yaml:9: targets[1].name: the same name as targets[0], got 'a'",
        "alpmon.yaml:10: targets[1].url: must be a URL with a host, got '$UNSET'; such as wss://example.com/path",
        "alpmon.yaml:11: targets[1].topics[0]: the environment variable UNSET is not set",
        "alpmon.yaml:12: targets[1].redundancy: must be at least 1, got 0",
    ]


def test_a_shared_name_among_sound_targets_is_named_once() -> None:
    """Two checks look for it; one line comes out."""
    text = HEAD + HEAD.removeprefix("targets:\n")
    assert mistakes(text) == ["alpmon.yaml:5: targets[1].name: the same name as targets[0], got 'alp'"]


def test_a_mistake_behind_an_alias_is_found_where_it_is_written() -> None:
    """The line is the one to correct, and `<<` is looked through."""
    other = "  - {name: b, url: 'ws://h/', topics: [trade.*], timeouts: {<<: *t}}\n"
    text = f"{HEAD}    timeouts: &t {{ack: 5}}\n{other}"
    assert [line.partition(": ")[0] for line in mistakes(text)] == ["alpmon.yaml:5", "alpmon.yaml:5"]


def test_a_mistake_from_the_environment_names_the_variable() -> None:
    """The file is not to blame for what came from outside."""
    assert mistakes(HEAD, {"ALPMON_SHARD_INDEX": "web", "ALPMON_SHARD_COUNT": "0"}) == [
        (
            "environment: ALPMON_SHARD_INDEX: must be a whole number or a pod name that ends with one, got 'web'; "
            "such as 3 or alpmon-3"
        ),
        "environment: ALPMON_SHARD_COUNT: must be at least 1, got '0'",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "auth: {token: hunter2hunter2}",
        "auth: {token_file: [hunter2hunter2]}",
        "auth: {secret_file: 5, key_file: hunter2hunter2, token_file: hunter2hunter2}",
        "password: hunter2hunter2",
        "reference: {url: 'ftp://me:hunter2hunter2@h/'}",
        "reference: {url: 'ftp://h/?k=hunter2hunter2'}",
        "reference: {url: '${SECRET}'}",
        "tls: {ca_file: ['${SECRET}']}",
        "freshness: {default: {mode: '${SECRET}'}}",
    ],
)
def test_a_message_never_shows_a_secret(line: str) -> None:
    """Neither values of telling keys, nor passwords in URLs, nor what the environment held."""
    found = in_target(line, {"SECRET": "hunter2hunter2"})
    assert found
    assert "hunter2" not in "\n".join(found)


def test_more_values_than_a_configuration_can_have() -> None:
    """Aliases multiply: the count is of what they stand for."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
    )
    assert [line.rpartition(": ")[2] for line in mistakes(bomb)] == [f"more than {MAX_VALUES} values"]


def test_more_nodes_than_a_configuration_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reading ends there: what stands behind them is not even looked at."""
    monkeypatch.setattr(document, "MAX_NODES", 1000)
    text = f"a: [{'1,' * 1000}}}: no YAML at all"
    assert mistakes(text) == ["alpmon.yaml:1: more than 1000 keys and values"]
    assert "expected" in "".join(mistakes(f"a: [{'1,' * 900}}}: no YAML at all"))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """Its size is looked at before its text; text that came without a file may be longer, but not without end."""
    path = tmp_path / "alpmon.yaml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: over {MAX_FILE_BYTES} bytes long; share the targets out to several files"
    assert mistakes("#" * (MAX_TEXT_BYTES + 1)) == [f"alpmon.yaml:1: over {MAX_TEXT_BYTES} bytes long"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's own reason is given."""
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_and_an_impossible_path(tmp_path: Path) -> None:
    """Neither is a file; both are the same kind of mistake."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="cannot be read: not a path"):
        load("a\0b", {})


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    """The line of the first bad byte is named."""
    path = tmp_path / "alpmon.yaml"
    path.write_bytes(b"listen: x\n# \xff\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}:2: not UTF-8 text"


WORDS = [
    *Config.model_fields,
    "name",
    "url",
    "topics",
    "trade.*",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\n",
    "  ",
    "&a",
    "*a",
]
WORDS += ["<<", "'", '"', "${X}", "${", "$$", "!!int", "!t", "|", ">", "%", "---", "1", "5s", "null", "0x1", "1:2", "?"]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)))
def test_no_text_raises_anything_else(text: str) -> None:
    """Whatever stands in the file, the answer is a configuration or its mistakes."""
    outcome = outcome_of(text)
    assert isinstance(outcome, Config) or all(mistake.line >= 1 for mistake in outcome)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["5s", "trade.*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Config.model_fields, "name", "default", "overrides"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(["name", "url", "topics", "timeouts", "auth", "freshness", "tls", "zzz"]), value=JSONS)
def test_no_shape_raises_anything_else(key: str, value: object) -> None:
    """Well-formed YAML of any shape under any key is at worst a mistake on that key's line or below."""
    text = yaml.safe_dump({"targets": [{"name": "a", "url": "ws://h/", "topics": ["trade.*"], key: value}]})
    outcome = outcome_of(text)
    assert isinstance(outcome, Config) or all(mistake.path for mistake in outcome)
