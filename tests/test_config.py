"""What a configuration comes to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alpmon.cli import main
from alpmon.config import (
    DEFAULT_TEXT,
    Auth,
    Config,
    ConfigError,
    Freshness,
    FreshnessMode,
    FreshnessRule,
    LogFormat,
    LogLevel,
    Override,
    Reconnect,
    Reference,
    Shard,
    Target,
    Timeouts,
    Tls,
    default_config,
    format_duration,
    load,
    parse,
    parse_duration,
    schema,
    show,
    split_listen,
)
from alpmon.config.docs import example_text, page
from alpmon.config.values import DURATION_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"
ONE_TARGET = "targets: [{name: alp, url: 'wss://www.alp.com/ws', topics: [ticker.*]}]\n"
SECRET = "hunter2hunter2"


def one_target(**values: object) -> Target:
    target = {"name": "alp", "url": "wss://www.alp.com/ws", "topics": ["ticker.*"], **values}
    return parse(yaml.safe_dump({"targets": [target]}), env={}).targets[0]


def test_defaults_are_those_of_the_public_face() -> None:
    """A target needs a name, a URL and topics; all else is as the contract says."""
    config = parse(ONE_TARGET, "alpmon.yaml", {})
    assert config.listen == "127.0.0.1:9719"
    assert config.address == ("127.0.0.1", 9719)
    assert (config.web_config_file, config.state_file, config.limits.max_symbols) == (None, None, 500)
    assert (config.log.level, config.log.format) == (LogLevel.INFO, LogFormat.AUTO)
    assert config.shard == Shard(index=0, count=1)
    target = config.targets[0]
    assert (target.redundancy, target.max_topics_per_connection, target.max_frame_bytes) == (1, 20, 800)
    assert (target.ack_probe_interval, target.rtt_interval) == (60.0, 20.0)
    assert target.timeouts == Timeouts(connect=10.0, welcome=10.0, ack=5.0, silence=None)
    assert target.reconnect == Reconnect(initial=1.0, max=60.0, factor=1.6)
    assert target.tls == Tls(ca_file=None, insecure_skip_verify=False, server_name=None)
    assert target.auth == Auth(rest_url="https://www.alp.com/api/v3")
    assert not target.auth.enabled
    assert target.reference == Reference(url=None, interval=30.0)
    assert target.freshness.default == FreshnessRule(
        mode=FreshnessMode.ADAPTIVE, after=None, floor=5.0, ceiling=600.0, silent_after=120.0
    )
    assert target.freshness.overrides == ()


def test_every_value_is_taken() -> None:
    """Nothing that the file says is lost on the way."""
    target = one_target(
        redundancy=2,
        ack_probe_interval="0s",
        rtt_interval="1m30s",
        timeouts={"silence": "500ms"},
        tls={"insecure_skip_verify": True, "server_name": "h"},
        auth={"key_file": "/k", "secret_file": "/s", "rest_url": "http://h/"},
        reference={"url": "https://h/v3", "interval": "1h"},
    )
    assert (target.redundancy, target.ack_probe_interval, target.rtt_interval) == (2, 0.0, 90.0)
    assert target.timeouts == Timeouts(silence=0.5)
    assert target.tls == Tls(insecure_skip_verify=True, server_name="h")
    assert target.auth == Auth(key_file=Path("/k"), secret_file=Path("/s"), rest_url="http://h/")
    assert target.auth.enabled
    assert target.reference == Reference(url="https://h/v3", interval=3600.0)


def test_models_are_frozen_and_compare_by_value() -> None:
    """A reload asks what changed; nobody else may change anything."""
    first, second = (parse(ONE_TARGET, "alpmon.yaml", {}) for _ in range(2))
    assert first == second
    assert hash(first.targets[0]) == hash(second.targets[0])
    with pytest.raises(ValidationError, match="frozen"):
        first.listen = "h:1"  # type: ignore[misc]


def test_code_gives_seconds_and_a_file_gives_units() -> None:
    """The same model is built either way."""
    assert one_target(timeouts={"ack": "250ms"}).timeouts == Timeouts(ack=0.25)


def test_a_section_without_keys_is_as_good_as_absent() -> None:
    """Whoever comments out every key of a section need not comment out its head."""
    assert parse(f"log:\nshard: null\n{ONE_TARGET}", env={}) == parse(ONE_TARGET, env={})


def test_aliases_and_merges_are_filled_in() -> None:
    """What is shared is written once; an own key goes before a merged one."""
    config = parse(
        """\
targets:
  - &first
    name: a
    url: ws://h/
    topics: &topics [ticker.*]
    redundancy: 2
  - <<: *first
    name: b
  - {<<: [{redundancy: 3}, *first], name: c, topics: *topics}
""",
        env={},
    )
    assert [(target.name, target.redundancy, target.url) for target in config.targets] == [
        ("a", 2, "ws://h/"),
        ("b", 2, "ws://h/"),
        ("c", 3, "ws://h/"),
    ]


@pytest.mark.parametrize("name", ["2026-09-22", "0x1f", "1e5"])
def test_what_only_looks_like_a_date_or_a_number_is_text(name: str) -> None:
    """YAML 1.1 would make other things of these."""
    assert parse(ONE_TARGET.replace("name: alp", f"name: {name}"), env={}).targets[0].name == name


def test_the_environment_fills_in_strings() -> None:
    """Anywhere in a string, a count included; two dollars are one."""
    text = "targets: [{name: 'a-${ENV}', url: 'wss://${HOST}/$$x', topics: ['${T}'], redundancy: '${N}'}]"
    env = {"ENV": "prod", "HOST": "h", "T": "trade.*", "N": "2"}
    target = parse(text, env=env).targets[0]
    assert (target.name, target.url, target.topics, target.redundancy) == ("a-prod", "wss://h/$x", ("trade.*",), 2)


def test_what_the_environment_held_is_not_expanded_again() -> None:
    """A value is a value, dollars and all."""
    text = ONE_TARGET.replace("www.alp.com/ws", "h/${X}")
    assert parse(text, env={"X": "${Y}"}).targets[0].url == "wss://h/${Y}"


@pytest.mark.parametrize(("written", "index"), [("3", 3), ("alpmon-3", 3), ("my-alpmon-0", 0), ("'2'", 2)])
def test_a_shard_index_may_be_a_pod_name(written: str, index: int) -> None:
    """A StatefulSet's pods are named by their ordinal."""
    assert parse(f"shard: {{index: {written}, count: 4}}\n{ONE_TARGET}", env={}).shard.index == index


def test_the_environment_sets_shards_apart() -> None:
    """All pods mount one file; the environment goes before it, and an empty variable is no variable."""
    text = f"shard: {{index: 0, count: 2}}\n{ONE_TARGET}"
    env = {"ALPMON_SHARD_INDEX": "alpmon-3", "ALPMON_SHARD_COUNT": "5"}
    assert parse(text, env=env).shard == Shard(index=3, count=5)
    assert parse(ONE_TARGET, env=env).shard == Shard(index=3, count=5)
    assert default_config(env).shard == Shard(index=3, count=5)
    assert parse(text, env={"ALPMON_SHARD_INDEX": "1"}).shard == Shard(index=1, count=2)
    assert parse(text, env=dict.fromkeys(env, "")).shard == Shard(index=0, count=2)


def test_with_replicas_the_indexes_go_round() -> None:
    """Every part is held by as many pods, and no pod by name is one too many until all parts are held."""
    env = {"ALPMON_SHARD_COUNT": "4", "ALPMON_SHARD_REPLICAS": "2"}
    shards = [parse(ONE_TARGET, env={**env, "ALPMON_SHARD_INDEX": f"alpmon-{n}"}).shard for n in range(8)]
    assert [shard.part for shard in shards] == [0, 1, 2, 3, 0, 1, 2, 3]
    with pytest.raises(ConfigError, match=r"must be below shard\.count times shard\.replicas, which is 8"):
        parse(ONE_TARGET, env={**env, "ALPMON_SHARD_INDEX": "alpmon-8"})


def test_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    """A configuration can be moved with what it refers to; an absolute path stays."""
    path = tmp_path / "alpmon.yaml"
    path.write_text(f"web_config_file: web.yml\nstate_file: /var/lib/state\n{ONE_TARGET}")
    config = load(path, {})
    assert config.web_config_file == tmp_path / "web.yml"
    assert config.state_file == Path("/var/lib/state")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "alpmon.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ONE_TARGET.encode())
    assert load(path, {}).targets[0].name == "alp"


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9719", ("127.0.0.1", 9719)), ("[::1]:0", ("::1", 0)), (":80", ("", 80)), ("h.x:1", ("h.x", 1))],
)
def test_listen_addresses(text: str, address: tuple[str, int]) -> None:
    """IPv6 in brackets, every interface without a host, any free port for 0."""
    assert split_listen(text) == address


def test_the_first_override_that_matches_wins() -> None:
    """It says what differs from the default, which says the rest."""
    freshness = Freshness(
        default=FreshnessRule(floor=2.0, silent_after=30.0),
        overrides=(
            Override(topics="market_depth.BTC_*", ceiling=60.0),
            Override(topics="market_depth.*", mode=FreshnessMode.FIXED, after=120.0),
        ),
    )
    assert freshness.rule_for("market_depth.BTC_USDT") == FreshnessRule(floor=2.0, silent_after=30.0, ceiling=60.0)
    assert freshness.rule_for("market_depth.ETH_USDT") == FreshnessRule(
        mode=FreshnessMode.FIXED, after=120.0, floor=2.0, silent_after=30.0
    )
    assert freshness.rule_for("trade.*") is freshness.default


def test_an_adaptive_override_of_a_fixed_default() -> None:
    """The default's threshold does no harm where it is not used."""
    freshness = Freshness(
        default=FreshnessRule(mode=FreshnessMode.FIXED, after=9.0),
        overrides=(Override(topics="trade.*", mode=FreshnessMode.ADAPTIVE),),
    )
    assert freshness.rule_for("trade.*").mode is FreshnessMode.ADAPTIVE


def test_the_default_is_the_public_feed_within_one_connection() -> None:
    """All tickers and trades, ten books, no credentials."""
    config = default_config({})
    (target,) = config.targets
    assert (target.name, target.url) == ("alp", "wss://www.alp.com/ws")
    assert target.topics[:2] == ("ticker.*", "trade.*")
    assert len([topic for topic in target.topics if topic.startswith("market_depth.")]) == 10
    assert len(target.topics) <= target.max_topics_per_connection
    assert config == parse(DEFAULT_TEXT, env={})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("0s", 0.0),
        ("1d1ms", 86400.001),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A text says its seconds, and the seconds say the text again."""
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "text", ["", "s", "10", "1.5s", "-1s", "1s ", "1s\n", "1s1m", "1s1s", "\u0661s", "9999999999s", "1w"]
)
def test_no_durations(text: str) -> None:
    """Digits, then a unit, from the longest unit to the shortest; nothing else."""
    with pytest.raises(ValueError, match="is no duration such as"):
        parse_duration(text)


@given(st.integers(0, 400 * 86_400_000))
def test_durations_come_back_to_the_millisecond(milliseconds: int) -> None:
    """Writing and reading is the identity."""
    text = format_duration(milliseconds / 1000)
    assert parse_duration(text) == milliseconds / 1000
    assert re.search(DURATION_PATTERN, text)


@given(st.from_regex(DURATION_PATTERN, fullmatch=True).filter(lambda text: not text.endswith("\n")))
def test_whatever_the_schema_allows_is_a_duration(text: str) -> None:
    """An editor that trusts the pattern is not led astray."""
    assert parse_duration(text) >= 0


def test_show_is_a_configuration_that_means_the_same() -> None:
    """What is shown can be kept as a file."""
    config = parse(example_text(), "alpmon.yaml", {})
    assert parse(show(config), "alpmon.yaml", {}) == config


PASSWORDS = st.text("abcXYZ019-._~!$*+,;%:&=", min_size=6, max_size=20)


@given(user=st.text("abc", max_size=3), password=PASSWORDS)
def test_show_masks_the_password_of_a_url(user: str, password: str) -> None:
    """Of user information the name stays, where there is a password beside it."""
    shown = show(Config(targets=(Target(name="a", url=f"wss://{user}:{password}@h/ws", topics=("trade.*",)),)))
    assert f"wss://{user}:***@h/ws" in shown
    assert password not in shown


@given(key=st.sampled_from(["token", "api_key", "Auth", "x-signature", "PASSWORD"]), password=PASSWORDS)
def test_show_masks_a_secret_in_a_query(key: str, password: str) -> None:
    """Keys that sound like a secret have theirs masked, others stay."""
    password = password.replace("&", "")
    url = f"https://h/v3?a=1&{key}={password}"
    target = Target(name="t", url="ws://h/", topics=("trade.*",), reference=Reference(url=url))
    shown = yaml.safe_load(show(Config(targets=(target,))))
    assert shown["targets"][0]["reference"]["url"] == f"https://h/v3?a=1&{key}=***"


def test_show_names_secret_files_and_never_opens_them(tmp_path: Path) -> None:
    """Where a secret lies is no secret."""
    (tmp_path / "token").write_text(SECRET)
    target = one_target(auth={"token_file": str(tmp_path / "token")})
    shown = show(Config(targets=(target,)))
    assert str(tmp_path / "token") in shown
    assert SECRET not in shown


def properties(part: Any) -> list[tuple[str, dict[str, Any]]]:
    models = [part, *part["$defs"].values()]
    return [
        (f"{model['title']}.{key}", value) for model in models for key, value in model.get("properties", {}).items()
    ]


def test_the_schema_describes_every_key() -> None:
    """An editor can tell what each key means."""
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    found = properties(schema())
    assert len(found) > 40
    assert [name for name, part in found if not part.get("description")] == []


def test_the_schema_refuses_unknown_keys_and_writes_durations_as_text() -> None:
    """It is as strict as the program, and its defaults are what a file would say."""
    found = schema()
    assert all(part["additionalProperties"] is False for part in found["$defs"].values() if "properties" in part)
    timeouts = found["$defs"]["Timeouts"]["properties"]
    assert {key: part["default"] for key, part in timeouts.items()} == {
        "connect": "10s",
        "welcome": "10s",
        "ack": "5s",
        "silence": "auto",
    }
    assert all(part["type"] == "string" for part in timeouts.values())
    assert found["required"] == ["targets"]
    assert found["$defs"]["Target"]["required"] == ["name", "url", "topics"]


@pytest.mark.parametrize("written", [json.dumps, yaml.safe_dump])
def test_a_configuration_of_2500_targets_is_read(written: Callable[[object], str], tmp_path: Path) -> None:
    """Of 12 topics each; docs/scaling.md plans with so many a file."""
    topics = [f"market_depth.S{number}_USDT" for number in range(12)]
    targets = [
        {"name": f"target-{number}", "url": f"wss://t{number}.example/ws", "topics": [*topics]}
        for number in range(2500)
    ]
    file = tmp_path / "alpmon.yaml"
    file.write_text(written({"targets": targets}))
    assert len(load(file, {}).targets) == 2500


def test_what_show_makes_of_many_targets_is_read_again() -> None:
    """A recording holds it, and it is longer than the file that it came from."""
    targets = [{"name": f"t{number}", "url": f"wss://t{number}/ws", "topics": ["trade.*"]} for number in range(300)]
    config = parse(json.dumps({"targets": targets}), env={})
    assert len(show(config)) > 5 * len(json.dumps(targets))
    assert parse(show(config), env={}) == config


def test_the_documented_page_is_the_generated_one() -> None:
    """`python -m alpmon.config.docs > docs/configuration.md` after a change."""
    assert DOCS.read_text(encoding="utf-8") == page()


def test_the_documented_page_names_every_key() -> None:
    """Each model's each key has a row."""
    text = page()
    assert [name for name, _ in properties(schema()) if f"\n| `{name.rpartition('.')[2]}` |" not in text] == []


def test_the_documented_example_is_a_configuration() -> None:
    """It loads, and but for what has no default it is the defaults."""
    blocks = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert blocks == [DEFAULT_TEXT, example_text()]
    config = parse(blocks[1], "alpmon.yaml", {})
    (target,) = config.targets
    plain = Target(name=target.name, url=target.url, topics=target.topics)
    assert target.model_copy(update={"freshness": Freshness()}) == plain
    assert target.freshness.rule_for("market_depth.BTC_USDT").after == 120.0
    assert config == Config(targets=(target,))


def test_the_documented_mistake_is_what_such_a_mistake_says() -> None:
    """The page's one example of a message is real."""
    text = "#\n" * 7 + "targets:\n- name: a\n  url: ws://h/\n  topics: [trade.*]\n  timeouts: {conect: 1s}\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, "alpmon.yaml", {})
    assert f"```\n{caught.value}\n```" in page()


def test_config_check_says_that_a_file_is_good(tmp_path: Path) -> None:
    """One line on stdout, exit code 0."""
    path = tmp_path / "alpmon.yaml"
    path.write_text(ONE_TARGET)
    result = CliRunner().invoke(main, ["config", "check", str(path)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}: good; targets: 1, topics: 1\n", "")


@pytest.mark.parametrize("command", ["check", "show"])
def test_config_commands_name_every_mistake_and_exit_2(command: str, tmp_path: Path) -> None:
    """Mistakes go to stderr, one a line, and nothing to stdout."""
    path = tmp_path / "alpmon.yaml"
    path.write_text("lisen: x\n")
    result = CliRunner().invoke(main, ["config", command, str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (f"{path}:1: lisen: unknown key; did you mean 'listen'?\n{path}:1: targets: missing\n")


def checked_with_web(folder: Path, web: str | None) -> Result:
    """`alpmon config check` of a file that names another one, which holds this; None is one that is not there."""
    (folder / "alpmon.yaml").write_text(f"web_config_file: web.yaml\n{ONE_TARGET}")
    if web is not None:
        (folder / "web.yaml").write_text(web)
    return CliRunner().invoke(main, ["config", "check", str(folder / "alpmon.yaml")])


@pytest.mark.parametrize(
    ("web", "words"),
    [
        (None, ": cannot be read: No such file or directory"),
        ("basic_auth_users: {ada: hunter22}", ":1: basic_auth_users.ada: must be a bcrypt hash"),
        (f"basic_auth_users: {{ada: $2y$17${'x' * 53}}}", ":1: basic_auth_users.ada: a cost of 17 cannot be served"),
        ("\nbasic_auth_user: {}", ":2: basic_auth_user: unknown key; did you mean 'basic_auth_users'?"),
        ("tls_server_config: {cert_file: a, key_file: b}", ": tls_server_config: a certificate or key cannot be used"),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
            ":1: tls_server_config.min_version: must not be above max_version",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [RC4]}",
            ":1: tls_server_config.cipher_suites[0]: is no cipher suite that can be served",
        ),
    ],
)
def test_config_check_names_the_mistakes_of_the_web_configuration_file(
    tmp_path: Path, web: str | None, words: str
) -> None:
    """What `alpmon run` would refuse is not called good."""
    result = checked_with_web(tmp_path, web)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{tmp_path / 'web.yaml'}{words}")
    assert (result.stderr.count("\n"), "hunter22" in result.stderr) == (1, False)


def test_config_check_says_that_both_files_are_good(tmp_path: Path) -> None:
    """The certificate is read with its key, as it will be."""
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "all.pem"))
    result = checked_with_web(tmp_path, "tls_server_config: {cert_file: all.pem, key_file: all.pem}")
    web, main_file = tmp_path / "web.yaml", tmp_path / "alpmon.yaml"
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{web}: good\n{main_file}: good; targets: 1, topics: 1\n"


def test_config_show_prints_what_show_says(tmp_path: Path) -> None:
    """Nothing more, nothing less, so that it can be piped into a file."""
    path = tmp_path / "alpmon.yaml"
    path.write_text(ONE_TARGET.replace("wss://", f"wss://me:{SECRET}@"))
    result = CliRunner().invoke(main, ["config", "show", str(path)])
    assert (result.exit_code, result.stdout) == (0, show(load(path, {})))
    assert SECRET not in result.output


def test_config_schema_prints_json() -> None:
    """It can be piped into an editor's settings."""
    result = CliRunner().invoke(main, ["config", "schema"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, schema())


def test_reading_a_configuration_loads_no_network_library() -> None:
    """`alpmon config check` starts quickly."""
    code = "import sys, alpmon.config; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "pydantic" in loaded
    assert {"aiohttp", "asyncio", "structlog", "websockets"} & set(loaded) == set()
