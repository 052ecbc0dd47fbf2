"""The exchange's frames: what each says, in both dialects, and that no bytes at all can do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alpmon.core import protocol
from alpmon.core.events import (
    Ack,
    Book,
    Diff,
    Error,
    ErrorReason,
    Event,
    Flaw,
    Levels,
    Malformed,
    Operation,
    Ping,
    Private,
    Rate,
    Rates,
    TickerRow,
    Tickers,
    Trade,
    Unknown,
    Welcome,
)
from alpmon.core.protocol import decode, encode, malformed
from alpmon.core.topics import Channel
from tests.core.bad_frames import BAD_FRAMES, BadFrame

FRAMES = [json.loads(line) for line in Path(__file__).with_name("frames.jsonl").read_text().splitlines()]
SERVER = [frame["frame"] for frame in FRAMES if frame["direction"] == "server"]
CLIENT = [frame["frame"] for frame in FRAMES if frame["direction"] == "client"]

SUBSCRIBE, UNSUBSCRIBE = Operation
UUID = "5c00d9c2-607e-4c7f-927b-b204b29e387b"
SAID: list[Event] = [
    Welcome(1694002700.0, 20.0, 30.0, UUID),
    Welcome(1694002700.0, 30.0, 65.0, UUID),
    Welcome(1790139140.0, 20.0, 30.0, "ec9a0e3f-31af-43ab-9317-89e06728a641"),
    Ping(),
    Ack(SUBSCRIBE, 1586857703.901509, ("topic1", "topic1"), whole_seconds=False),
    Ack(UNSUBSCRIBE, 1586857703.901509, ("topic1", "topic1"), whole_seconds=False),
    Ack(SUBSCRIBE, 1790139140.0, ("market_depth.ZEC_USDC", "trade.*", "ticker.*"), whole_seconds=True),
    Error(1586857703.901509, "Topic does not exist", ErrorReason.INVALID_TOPIC, None, None),
    Error(
        1790139264.0, "Invalid topic: diff.NOPE_USDT", ErrorReason.INVALID_TOPIC, "subscribe", "diff.NOPE_USDT"
    ),
    Error(1790139281.0, "Too many topics", ErrorReason.TOO_MANY_TOPICS, "subscribe", None),
    Tickers(
        1694003337.0,
        [
            TickerRow(
                "XRP_USDT", "0.50057000", "2036106.67737645", "1024194.48541761", "-0.28287417",
                "0.50677000", "0.49872000", "0.50057000", "0.50117000",
            ),
            TickerRow(
                "BTC_USDT", "25725.53000000", "6074.90520117", "156489295.23543299", "0.09369121",
                "25889.00000000", "25629.43000000", "25717.69000000", "25747.69000000",
            ),
            TickerRow(
                "LTC_USDT", "63.06000000", "19800.19751964", "1248404.62483421", "0.39802579",
                "63.63000000", "62.60000000", "63.03000000", "63.06000000",
            ),
        ],
    ),
    Tickers(
        1790139141.0,
        [
            TickerRow(
                "XRP_USDC", "1.6453", "236114.566", "388479.2954398", "8.9025681758009002",
                "1.6564", "1.4946", "1.6449", "1.645",
            ),
            TickerRow(
                "DOGE_USDC", "0.10382", "7372551.33457393", "765418.2795554654126", "2.8939544103072349",
                "0.10435", "0.09746", "0.10379", "0.10381",
            ),
        ],
    ),
    Trade("t", 1694003848.0, 293107798, "BTC_USDT", "0.20285052", "25705.02000000", "buy"),
    Trade("t", 1790139142.0, 427582820, "USDC_USDT", "23723.9", "1", "sell"),
    Diff("d", 1694004500.0, "BTC_USDT", ([("101.00", "5.0"), ("102.00", "3.0")], [("99.00", "2.0"), ("98.50", "1.0")])),
    Book(
        "p",
        1694178331.0,
        Levels(
            [("26100.11000000", "0.30200000"), ("26149.68000000", "0.51800000")],
            [("25768.09000000", "0.05900000"), ("25748.38000000", "0.46300000")],
            "BTC_USDT",
            "148953.50292677",
            "148953.97125366",
        ),
    ),
    Book(
        "p",
        1790139143.0,
        Levels(
            [("87164", "0.43276442"), ("87257.69", "0.03212722"), ("87283.83", "0.04572394")],
            [("87163", "0.86616571"), ("85996.41", "0.04583607"), ("85970.23", "0.04591895")],
            "BTC_USDC",
            "1.2654544",
            "1.69687843",
        ),
    ),
    Private(Channel.ORDER, 1694178331.0),
    Private(Channel.WALLET, 1694178331.0),
]  # fmt: skip


def slowly(payload: bytes) -> Event:
    """The frame as read without the typed fast path, which a leading space avoids."""
    return decode(b" " + payload)


class TestFramesOfTheDocumentsAndTheWire:
    @pytest.mark.parametrize(("frame", "said"), [*zip(SERVER, SAID, strict=True)], ids=lambda value: str(value)[:24])
    def test_server_frame_decodes_to_what_it_says(self, frame: str, said: Event) -> None:
        """Every frame of the documents and of the capture, field by field, from any buffer."""
        assert decode(frame.encode()) == said
        assert decode(bytearray(frame.encode())) == said
        assert decode(memoryview(frame.encode())) == said

    def test_client_frames_are_what_we_write(self) -> None:
        """Pong, requests and auth mean the same as the documents' examples."""
        written = [
            protocol.PONG,
            protocol.request(SUBSCRIBE, ["topic1", "topic2"]),
            protocol.request(SUBSCRIBE, ["market_depth.ZEC_USDC", "trade.*", "ticker.*"]),
            protocol.auth("Generated JWT Token"),
        ]
        assert list(map(json.loads, written)) == list(map(json.loads, CLIENT))
        assert written[2] == CLIENT[2].encode(), "the captured request was written compactly, and so are ours"


class TestWelcome:
    @pytest.mark.parametrize(
        ("advertised", "seconds"),
        [
            ("20000", 20.0),
            ("20000.0", 20.0),
            ("86400000", 86_400.0),
            ("100000000", 0.1),
            ("30000000000", 30.0),
            ("86400000000000", 86_400.0),
            ("1", 0.001),
        ],
    )
    def test_unit_is_told_by_size(self, advertised: str, seconds: float) -> None:
        """Milliseconds up to a day, nanoseconds from a tenth of a second."""
        event = decode(f'["welcome",1694002700,{advertised},{advertised},"id"]'.encode())
        assert event == Welcome(1694002700.0, seconds, seconds, "id")

    @pytest.mark.parametrize("client_id", ["", "a" * 65, "two words", "line\\nbreak", "\\u0000", "<b>"])
    def test_client_id_that_is_no_plain_word_is_not_shown(self, client_id: str) -> None:
        """It would end up in a label, a log and a page; the session itself is welcome."""
        event = decode(f'["welcome",1694002700,20000,30000,"{client_id}"]'.encode())
        assert event == Welcome(1694002700.0, 20.0, 30.0, "unprintable")

    def test_later_fields_are_ignored(self) -> None:
        """A newer server may say more."""
        assert decode(b'["welcome",1.5,20000,30000,"id",{"new":1}]') == Welcome(1.5, 20.0, 30.0, "id")


class TestErrors:
    @pytest.mark.parametrize(
        ("message", "reason", "topic"),
        [
            ("Topic does not exist", ErrorReason.INVALID_TOPIC, None),
            ("Invalid topic: diff.NOPE_USDT", ErrorReason.INVALID_TOPIC, "diff.NOPE_USDT"),
            ("invalid topic trade.X", ErrorReason.INVALID_TOPIC, "trade.X"),
            ("Invalid topic: too many topics", ErrorReason.TOO_MANY_TOPICS, None),
            ("Too many topics", ErrorReason.TOO_MANY_TOPICS, None),
            ("Unauthorized", ErrorReason.UNAUTHORIZED, None),
            ("token expired", ErrorReason.UNAUTHORIZED, None),
            ("Forbidden", ErrorReason.UNAUTHORIZED, None),
            ("Internal error", ErrorReason.OTHER, None),
            ("", ErrorReason.OTHER, None),
        ],
    )
    def test_message_is_classified_and_its_topic_found(
        self, message: str, reason: ErrorReason, topic: str | None
    ) -> None:
        """By the words that the exchange uses; a topic is the last word and the only one."""
        event = decode(msgspec.json.encode(["error", 1, message]))
        assert event == Error(1.0, message, reason, None, topic)

    def test_operation_that_is_no_text_is_none(self) -> None:
        """The trailing field is the observed dialect's; anything else there says nothing."""
        event = decode(b'["error",1,"Too many topics",5]')
        assert event == Error(1.0, "Too many topics", ErrorReason.TOO_MANY_TOPICS, None, None)


class TestTolerance:
    @pytest.mark.parametrize(
        ("frame", "event"),
        [
            (b'["t",1,2,"A_B",0.5,7,"buy"]', Trade("t", 1.0, 2, "A_B", 0.5, 7.0, "buy")),
            (b'["t",1,2,"A_B","1","1","buy",{"maker":true}]', Trade("t", 1.0, 2, "A_B", "1", "1", "buy")),
            (b'[ "t", 1, 2, "A_B", "1", "1", "buy" ]\n', Trade("t", 1.0, 2, "A_B", "1", "1", "buy")),
            (b'["\\u0074",1,2,"A_B","1","1","buy"]', Trade("t", 1.0, 2, "A_B", "1", "1", "buy")),
            (b'["p",1,{"Symbol":"A_B","New":[1],"Bids":[],"Asks":[]}]', Book("p", 1.0, Levels([], [], "A_B"))),
            (b'["r",1,[["2","A","B"]]]', Rates("r", 1.0, [Rate("2", "A", "B")])),
            (b'["ta",1.5,{"whatever":"it holds"}]', Private(Channel.ACCOUNT_TRADE, 1.5)),
            (b'["w",1,"USDT","SPOT",null,"5.0","1.0"]', Private(Channel.WALLET, 1.0)),
            (b'["subscribe",1]', Ack(SUBSCRIBE, 1.0, (), whole_seconds=True)),
        ],
    )
    def test_frame_that_is_written_differently_is_read(self, frame: bytes, event: Event) -> None:
        """Numbers for decimals, later fields, spacing, escapes, another order of keys."""
        assert decode(frame) == event

    def test_bytes_that_are_no_text_are_not_found_where_nothing_is_read(self) -> None:
        """A field beyond the known ones; the same bytes in a known one are told for what they are."""
        assert isinstance(decode(b'["t",1,2,"A_B","1","1","buy","\xff"]'), Trade)
        assert decode(b'["t",1,2,"A_B","1","1","\xff"]') == malformed(Flaw.INVALID_UTF8)

    def test_pair_of_each_row_and_book(self) -> None:
        """Where a frame carries its pair elsewhere, the event still tells it."""
        assert Rate("2", "BTC", "USDT").symbol == "BTC_USDT"
        assert Book("p", 1.0, Levels([], [], "A_B")).symbol == "A_B"

    def test_trade_id_takes_64_bits_and_not_one_more(self) -> None:
        """On both ways of reading."""
        for number, fits in ((2**63 - 1, True), (-(2**63), True), (2**63, False), (-(2**63) - 1, False)):
            frame = b'["t",1,%d,"A_B","1","1","buy"]' % number
            expected = Trade("t", 1.0, number, "A_B", "1", "1", "buy") if fits else malformed(Flaw.BAD_SHAPE)
            assert decode(frame) == slowly(frame) == expected


class TestBadFrames:
    def test_there_are_forty_kinds_of_them_under_names_of_their_own(self) -> None:
        """Every flaw has several."""
        assert len({bad.payload for bad in BAD_FRAMES if not bad.is_binary}) >= 40
        assert len({bad.name for bad in BAD_FRAMES}) == len(BAD_FRAMES)
        assert {bad.flaw for bad in BAD_FRAMES} == {*Flaw, None}

    @pytest.mark.parametrize("bad", [bad for bad in BAD_FRAMES if not bad.is_binary], ids=lambda bad: bad.name)
    def test_bad_frame_is_told_for_what_it_is(self, bad: BadFrame) -> None:
        """From any buffer."""
        expected = Unknown() if bad.flaw is None else Malformed(bad.flaw)
        assert decode(bad.payload) == decode(bytearray(bad.payload)) == decode(memoryview(bad.payload)) == expected

    @pytest.mark.parametrize("flaw", Flaw)
    def test_one_object_a_flaw(self, flaw: Flaw) -> None:
        """Garbage costs no memory."""
        assert malformed(flaw) == Malformed(flaw)
        assert malformed(flaw) is malformed(flaw)

    @pytest.mark.parametrize(
        "payload",
        [
            b'["x","' + b"a" * (2**20 - 8) + b'"]',
            b'["t",1,2,"A_B","1","1","buy",' + b"[" * 2**20,
            b'["x",0.' + b"1" * 2**20 + b"]",
            b'["x",' + b"1" * 2**20 + b"]",
            b"{" * 2**20,
        ],
        ids=["string", "brackets", "fraction", "digits", "braces"],
    )
    def test_mebibyte_is_read_or_refused(self, payload: bytes) -> None:
        """The largest message that the connection lets through."""
        assert isinstance(decode(payload), Unknown | Malformed)

    def test_five_thousand_pairs_in_one_frame_are_all_read(self) -> None:
        """It is valid; the cap on symbols is somebody else's."""
        rows = [[f"P{n}_USDT", *["1"] * 8] for n in range(5000)]
        event = decode(msgspec.json.encode(["tk", 1, *rows]))
        assert isinstance(event, Tickers)
        assert [row.symbol for row in event.rows] == [row[0] for row in rows]


times = st.floats(0, 1e11)
texts = st.text(max_size=20)
numbers = texts | st.floats(allow_nan=False, allow_infinity=False)
levels = st.lists(st.tuples(numbers, numbers), max_size=5)
whole_milliseconds = st.integers(1, 86_400_000).map(lambda ms: ms / 1e3)

welcomes = st.builds(
    Welcome, times, whole_milliseconds, whole_milliseconds, st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
)
acks = st.booleans().flatmap(
    lambda whole: st.builds(
        Ack,
        st.sampled_from(Operation),
        st.integers(0, 10**11).map(float) if whole else times,
        st.lists(texts, max_size=20).map(tuple),
        st.just(whole),
    )
)
trades = st.builds(Trade, st.just("t"), times, st.integers(-(2**63), 2**63 - 1), texts, numbers, numbers, texts)
tickers = st.builds(Tickers, times, st.lists(st.builds(TickerRow, texts, *[numbers] * 8), min_size=1, max_size=6))
books = st.builds(Book, st.just("p"), times, st.builds(Levels, levels, levels, texts, numbers, numbers))
diffs = st.builds(Diff, st.just("d"), times, texts, st.tuples(levels, levels))
rates = st.builds(Rates, st.just("r"), times, st.lists(st.builds(Rate, numbers, texts, texts), max_size=6))
data = st.one_of(trades, tickers, books, diffs, rates)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
tags = st.sampled_from(["welcome", "subscribe", "unsubscribe", "error", "tk", "t", "p", "d", "r", "w", "o", "ta", "x"])


class TestRoundTrips:
    @given(st.one_of(st.just(Ping()), welcomes, acks, data))
    def test_event_survives_being_written_and_read(self, event: Event) -> None:
        """Every field to the last bit, for any text and number."""
        assert decode(encode(event)) == event

    @given(
        times, texts | st.sampled_from([event.message for event in SAID if isinstance(event, Error)]), st.none() | texts
    )
    def test_error_survives_and_its_meaning_follows_from_its_message(
        self, time: float, message: str, operation: str | None
    ) -> None:
        """Reason and topic are not on the wire, so writing what was read reads the same again."""
        event = decode(msgspec.json.encode(["error", time, message, *([] if operation is None else [operation])]))
        assert isinstance(event, Error)
        assert (event.time, event.message, event.operation) == (time, message, operation)
        assert decode(encode(event)) == event

    @pytest.mark.parametrize("event", [Private(Channel.ORDER, 1.0), Unknown(), Malformed(Flaw.BINARY)])
    def test_event_that_keeps_too_little_is_not_written(self, event: Event) -> None:
        """An account's payload is dropped when it is read, on purpose."""
        with pytest.raises(TypeError, match=type(event).__name__):
            encode(event)

    @given(st.sampled_from(Operation), st.lists(texts))
    def test_request_is_an_array_of_the_operation_and_its_topics(self, operation: Operation, topics: list[str]) -> None:
        """In order, nothing added."""
        assert json.loads(protocol.request(operation, topics)) == [operation, *topics]


def mutated(frame: bytes, position: int, removed: int, inserted: bytes) -> bytes:
    start = position % (len(frame) + 1)
    return frame[:start] + inserted + frame[start + removed :]


mutations = st.builds(
    mutated,
    st.sampled_from([frame.encode() for frame in SERVER]),
    st.integers(0, 1000),
    st.integers(0, 12),
    st.binary(max_size=3)
    | st.sampled_from([b"null", b"true", b"[]", b"{}", b"1e400", b"-0", b"0.5", b"9" * 25, b'"\\ud800"', b'"', b","]),
)


class TestAnyInput:
    @given(st.binary(max_size=200))
    def test_no_bytes_raise(self, payload: bytes) -> None:
        """Whatever comes is an event."""
        assert isinstance(decode(payload), Event)

    @given(tags, st.lists(json_values, max_size=8))
    def test_no_values_behind_a_known_type_raise(self, tag: str, values: list[Any]) -> None:
        """And both ways of reading agree about them."""
        frame = msgspec.json.encode([tag, *(v if not _too_big(v) else 0 for v in values)])
        event = decode(frame)
        assert isinstance(event, Event)
        assert event == slowly(frame)

    @given(data)
    def test_fast_and_slow_way_read_the_same_data(self, event: Event) -> None:
        """A space before the frame changes nothing but the way it takes."""
        frame = encode(event)
        assert decode(frame) == slowly(frame) == event

    @given(mutations)
    @example(b'["t",1,2,"A_B","1","1","buy","\xff"]')
    @example(b'["p",1,{"Asks":[],"Bids":[],"Symbol":"A_B","New":1e400}]')
    def test_damaged_frame_is_read_the_same_both_ways(self, frame: bytes) -> None:
        """They part only over damage in fields beyond the known ones, which the fast way skips unread.

        Then everything it did read is sound: written again, it is read the same by the slow way.
        """
        fast, slow = decode(frame), slowly(frame)
        if fast != slow and frame != protocol.PING:
            assert slow in (malformed(Flaw.INVALID_UTF8), malformed(Flaw.INVALID_JSON))
            assert slowly(encode(fast)) == fast


def _too_big(value: object) -> bool:
    """Whether the writer of the test would refuse it; the reader's limits have frames of their own above."""
    try:
        msgspec.json.encode(value)
    except OverflowError:
        return True
    return False
