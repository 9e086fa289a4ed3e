"""The generated codec is the schema: same bytes, same messages, same refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from construct import ConstructError
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.ninep import fields as f
from protocol.ninep import schema
from protocol.ninep.codec import (
    FIXED_SIZE,
    HEADER_SIZE,
    Header,
    ProtocolError,
    decode,
    decode_frame,
    decode_header,
    encode,
)
from protocol.ninep.ids import NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Message,
    Qid,
    Rread,
    Rstat,
    Stat,
    Tflush,
    Tread,
    Twalk,
    Twrite,
    Twstat,
)
from tests.protocol.ninep.strategies import BY_NUMBER, bodies, numbers, to_message

if TYPE_CHECKING:
    from collections.abc import Callable

every_message = pytest.mark.parametrize("message", f.MESSAGES, ids=lambda message: message.name)


def build(message: f.Message, tag: int, body: dict[str, Any]) -> bytes:
    built: bytes = schema.FRAME.build({"type": message.number, "tag": tag, "fields": body})
    return built


def parse(frame: bytes) -> Message | None:
    """What interpreted construct makes of ``frame``, None if it refuses."""
    try:
        parsed = schema.FRAME.parse(frame)
    except ConstructError:
        return None
    return to_message(BY_NUMBER[parsed.type], parsed.tag, parsed.fields)


@every_message
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_packs_and_unpacks_as_the_schema_does(message: f.Message, data: st.DataObject) -> None:
    tag = data.draw(numbers(2))
    body = data.draw(bodies(message))
    ours = to_message(message, tag, body)
    frame = build(message, tag, body)
    payload = body["data"] if message.has_payload else b""

    assert encode(ours, len(payload)) + payload == frame
    assert decode_frame(frame) == ours
    assert type(decode_frame(frame)) is type(ours)
    assert parse(frame) == ours
    assert decode_header(frame) == Header(len(frame), message.number, Tag(tag))
    beside = frame[: FIXED_SIZE.get(message.number, len(frame))]
    assert decode(beside, len(frame)) == ours


def resized(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "little") + frame[4:]


@st.composite
def mutated(draw: st.DrawFn, message: f.Message) -> bytes:
    """A valid frame with a few bytes changed, cut or added; mostly with its size put right."""
    frame = bytearray(build(message, draw(numbers(2)), draw(bodies(message))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(4, len(frame)) | st.integers(4, min(len(frame), 20)))
        change = draw(st.sampled_from(["set", "cut", "insert", "chop"]))
        if change == "set":
            frame[at : at + 1] = bytes([draw(st.sampled_from([0, 1, 2, 16, 17, 255]))])
        elif change == "cut":
            del frame[at : at + draw(st.integers(1, 4))]
        elif change == "insert":
            frame[at:at] = draw(st.binary(min_size=1, max_size=4))
        else:
            del frame[at:]
    return bytes(frame) if draw(st.integers(0, 9)) == 0 else resized(bytes(frame))


def check_any_bytes(frame: bytes) -> None:
    """A message that packs to the same bytes and that the schema reads alike, or ProtocolError."""
    expected = parse(frame)
    if expected is None:
        with pytest.raises(ProtocolError) as caught:
            decode_frame(frame)
        tag = int.from_bytes(frame[5:7], "little") if len(frame) >= 7 else NOTAG
        assert caught.value.tag == tag
        return
    ours = decode_frame(frame)
    assert ours == expected
    payload = frame[FIXED_SIZE[frame[4]] :] if frame[4] in FIXED_SIZE else b""
    assert encode(ours, len(payload)) + payload == frame


@every_message
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_mutated_frames_are_refused_exactly_where_the_schema_refuses(
    message: f.Message, data: st.DataObject
) -> None:
    check_any_bytes(data.draw(mutated(message)))


@settings(max_examples=400, deadline=None)
@given(frame=st.binary(max_size=64), resize=st.booleans(), number=st.sampled_from(f.MESSAGES))
def test_any_bytes_give_a_message_or_the_protocol_error(
    frame: bytes, resize: bool, number: f.Message
) -> None:
    check_any_bytes(frame)
    if resize and len(frame) > 4:
        check_any_bytes(resized(frame[:4] + bytes([number.number]) + frame[5:]))


@settings(max_examples=300, deadline=None)
@given(
    head=st.binary(max_size=80),
    size=st.integers(0, 100) | st.integers(0, 0xFFFF_FFFF),
    message=st.sampled_from(f.MESSAGES),
)
def test_a_head_and_a_size_that_disagree_raise_nothing_but_the_protocol_error(
    head: bytes, size: int, message: f.Message
) -> None:
    for candidate in (head, head[:4] + bytes([message.number]) + head[5:]):
        try:
            decoded = decode(candidate, size)
        except ProtocolError:
            continue
        assert len(encode(decoded)) <= len(candidate)
        assert size == int.from_bytes(encode(decoded)[:4], "little")


@pytest.mark.parametrize("frame", [b"", b"\0" * 4, b"\x06\0\0\0\x78\x01"])
def test_what_is_shorter_than_a_header_is_no_message(frame: bytes) -> None:
    for read in (decode_frame, decode_header):
        with pytest.raises(ProtocolError) as caught:
            read(frame)
        assert caught.value.tag == NOTAG


def test_a_size_below_the_header_is_refused_with_the_tag() -> None:
    with pytest.raises(ProtocolError, match="size 6 is less") as caught:
        decode_header(b"\x06\0\0\0\x78\x01\x02")
    assert caught.value.tag == 0x0201


def test_the_error_says_what_and_whose() -> None:
    with pytest.raises(ProtocolError, match=r"^unknown message type 99 \(tag 5\)$") as caught:
        decode_frame(b"\x07\0\0\0\x63\x05\0")
    assert (caught.value.reason, caught.value.tag) == ("unknown message type 99", 5)


NO_STAT = Stat(0, 0, Qid(0, 0, 0), 0, 0, 0, 0, b"", b"", b"", b"", b"", 0, 0, 0)


def off(message: Message, at: int, by: int) -> bytes:
    """The frame of ``message`` with its byte ``at`` changed."""
    frame = bytearray(encode(message))
    frame[at] += by
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (encode(Tread(Tag(1), Fid(2), 3, 4))[:-1], "Tread: wrong length"),
        (encode(Tflush(Tag(1), Tag(2))) + b"x", "Tflush: wrong length"),
        (encode(Twrite(Tag(1), Fid(2), 3, 4)) + b"abc", "Twrite: wrong length"),
        (off(Rstat(Tag(1), NO_STAT), 7, -1), "Rstat: wrong length of stat"),
        (off(Rstat(Tag(1), NO_STAT), 7, 1), "Rstat: wrong length of stat"),
        (off(Rstat(Tag(1), NO_STAT), 9, 1), "Stat: wrong size"),
        (off(Twstat(Tag(1), Fid(2), NO_STAT), 11, 1), "Twstat: wrong length of stat"),
        (b"\x12\0\0\0\x6e\1\0" + bytes(8) + b"\x11\0\0", "Twalk: 17 wnames, at most 16"),
    ],
)
def test_malformed_frames_are_named(frame: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(frame, len(frame))
    assert (caught.value.reason, caught.value.tag) == (reason, 1)


def test_every_length_a_frame_can_be_cut_to_is_refused() -> None:
    for message in f.MESSAGES:
        body = {field.name: sample(field.kind) for field in message.fields}
        frame = build(message, 7, body)
        assert decode_frame(frame)
        for end in range(len(frame)):
            with pytest.raises(ProtocolError):
                decode_frame(frame[:end])
            with pytest.raises(ProtocolError):
                decode_frame(resized(frame[: max(end, 4)]))
        with pytest.raises(ProtocolError):
            decode_frame(resized(frame + b"\0"))
        for size in (0, len(frame) - 1, len(frame) + 1):
            with pytest.raises(ProtocolError, match=f"{message.name}: wrong length"):
                decode(frame, size)


def sample(kind: f.Kind) -> Any:
    """A small value with something in every variable part; 3 bytes where a count says 3."""
    match kind:
        case f.Number():
            return 3
        case f.String() | f.Payload():
            return b"abc"
        case f.Record(fields=fields):
            return {field.name: sample(field.kind) for field in fields}
        case f.Listing(element=element):
            return [sample(element)] * 3


def refusals() -> list[Any]:
    """Every field of every message with a value that does not fit it."""
    cases: list[Any] = []
    for message in f.MESSAGES:
        body = {field.name: sample(field.kind) for field in message.fields}
        good = to_message(message, 1, body)
        for field in message.fields:
            wrong: list[Any]
            match field.kind:
                case f.Number(size=size):
                    wrong = [-1, 1 << 8 * size, "1", None, 1.5]
                case f.String():
                    wrong = [bytes(0x10000), "text", None]
                case f.Listing(bound=bound):
                    wrong = [getattr(good, field.name)[:1] * (bound + 1), ("text",), (None,), 5]
                case f.Record():
                    wrong = [None, (), getattr(good, field.name)._replace(type=-1), b"ab"]
                case f.Payload():
                    continue
            cases += [
                pytest.param(good, field.name, value, id=f"{message.name}.{field.name}-{index}")
                for index, value in enumerate(wrong)
            ]
    return cases


@pytest.mark.parametrize(("good", "field", "value"), refusals())
def test_a_value_that_does_not_fit_is_refused_by_name(good: Any, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{type(good).__name__}") as caught:
        encode(good._replace(**{field: value}))
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match=f"^{type(good).__name__}.tag is 65536"):
        encode(good._replace(tag=0x10000))


def test_numbers_and_strings_are_refused_with_their_range() -> None:
    read = Tread(Tag(1), Fid(2), 3, 4)
    with pytest.raises(ValueError, match=r"^Tread\.offset is -1, not an unsigned 64-bit number$"):
        encode(read._replace(offset=-1))
    walk = Twalk(Tag(1), Fid(2), Fid(3), (b"x",) * 17)
    with pytest.raises(ValueError, match="17 wnames, at most 16"):
        encode(walk)


def test_only_messages_are_packed() -> None:
    stray: Any = Qid(0, 0, 0)
    with pytest.raises(ValueError, match=r"^Qid is no 9P message$"):
        encode(stray)


def test_the_size_counts_the_payload_and_the_cross_check_finds_a_difference() -> None:
    reply = Rread(Tag(1), 5)
    assert encode(reply) == encode(reply, 5) == b"\x10\0\0\0\x75\1\0\5\0\0\0"
    with pytest.raises(ValueError, match="payload of 4 bytes does not belong"):
        encode(reply, 4)
    with pytest.raises(ValueError, match="payload of 4 bytes does not belong"):
        encode(Tflush(Tag(1), Tag(2)), 4)


def test_the_data_itself_is_not_looked_at() -> None:
    frame = encode(Twrite(Tag(1), Fid(2), 0, 0xFFFF)) + b"x" * 0xFFFF
    assert FIXED_SIZE == {41: 11, 117: 11, 118: 23}
    assert decode(frame[:23], len(frame)) == Twrite(Tag(1), Fid(2), 0, 0xFFFF)
    assert decode(frame[:30], len(frame)) == Twrite(Tag(1), Fid(2), 0, 0xFFFF)
    with pytest.raises(ProtocolError):
        decode(frame[:22], len(frame))


def test_a_header_is_seven_bytes() -> None:
    assert HEADER_SIZE == 7
    assert decode_header(b"\x07\0\0\0\x6d\x34\x12more") == Header(7, 109, Tag(0x1234))


def test_codec_runs_without_construct(run_isolated: Callable[[str], str]) -> None:
    """A worker is small: construct alone would cost it ten megabytes."""
    loaded = run_isolated(
        "import sys\n"
        "import protocol.ninep.codec, protocol.ninep.directory, protocol.ninep.errno_map\n"
        "import protocol.ninep.flags, protocol.ninep.dialects\n"
        "print('construct' in sys.modules)"
    )
    assert loaded == "False\n"
