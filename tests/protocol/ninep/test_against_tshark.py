"""An independent decoder reads our bytes as we do: every 9P2000.L message that tshark knows."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from backend.trace import TraceWriter
from protocol.ninep import fields as f
from protocol.ninep import messages as m
from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.directory import encode_entry
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.schema import In
from protocol.xenpv.ids import Devid, Domid
from tests.protocol.ninep.tshark import (
    FIELDS,
    LEFT_OVER,
    MASKS,
    WRONG,
    Packet,
    needs_tshark,
    packets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOTL = [message for message in f.MESSAGES if In.DOTL in message.schema.dialects]


def draw(random: Random, field: str, kind: f.Kind) -> Any:
    """A value for one field; times are such as a calendar has."""
    match kind:
        case f.Number(size=size):
            if field.endswith("_nsec"):
                return random.randrange(10**9)
            return random.getrandbits(31 if field.endswith("_sec") else 8 * size)
        case f.String():
            return random.randbytes(random.randrange(1, 9)).hex().encode()
        case f.Record(name=name, fields=fields):
            parts = [draw(random, part.name, part.kind) for part in fields]
            return getattr(m, name)(*parts)
        case f.Listing(element=element, bound=bound):
            return tuple(draw(random, field, element) for _ in range(random.randrange(bound + 1)))
        case f.Payload():
            return b""


def sample(random: Random, message: f.Message) -> bytes:
    """A frame of ``message`` with values all over their ranges."""
    values = [draw(random, x.name, x.kind) for x in message.fields if x.kind != f.Payload()]
    payload = b""
    if message.has_payload:
        payload = encode_entry(m.Qid(0x80, 1, 2), 3, 4, b"entry") * random.randrange(3)
        values[-1] = len(payload)
    return encode(getattr(m, message.name)(random.getrandbits(16), *values)) + payload


def flat(message: m.Message) -> Iterator[int | str]:
    """Our fields as tshark has them: a time is one number, a list has its count before it."""
    seconds = 0
    value: Any
    for field, value in zip(message._fields[1:], message[1:], strict=True):
        if field.endswith("_sec"):
            seconds = value * 10**9
        elif field.endswith("_nsec"):
            yield seconds + value
        elif isinstance(value, bytes):
            yield value.decode()
        elif isinstance(value, m.Qid):
            yield from value
        elif isinstance(value, tuple):
            yield len(value)
            for item in value:
                yield from [item.decode()] if isinstance(item, bytes) else item
        else:
            yield value


def expected(frame: bytes) -> list[tuple[str, int | str]]:
    """What tshark must show of ``frame``, from what our codec decodes."""
    message = decode_frame(frame)
    name = type(message).__name__
    begin: list[tuple[str, int | str]] = [
        ("msglen", len(frame)),
        ("msgtype", m.TYPE_NUMBERS[type(message)]),
        ("tag", message.tag),
    ]
    values = list(flat(message))
    names = list(FIELDS.get(name, ()))
    if isinstance(message, m.Twalk):
        names += ["wname"] * len(message.wnames)
    elif isinstance(message, m.Rwalk):
        names += ["qidtype", "qidvers", "qidpath"] * len(message.wqids)
    if name in LEFT_OVER:
        last = int(values[-1]).to_bytes(LEFT_OVER[name], "little")
        values = [*values[: len(names)], last.hex(":")]
        names.append("message_data")
    masked = [
        (key, value & MASKS[key] if key in MASKS and isinstance(value, int) else value)
        for key, value in zip(names, values, strict=True)
    ]
    return begin + masked


def capture(path: str, frames: list[bytes]) -> None:
    TraceWriter.create(path)
    with TraceWriter.open(path, Domid(7), Devid(0)) as trace:
        for frame in frames:
            (trace.request if frame[4] % 2 == 0 else trace.reply)((frame,))


SESSION: list[tuple[m.Message, bytes]] = [
    (m.Tversion(NOTAG, 512 << 10, b"9P2000.L"), b""),
    (m.Rversion(NOTAG, 512 << 10, b"9P2000.L"), b""),
    (m.Tattach(Tag(0), Fid(0), NOFID, b"root", b"/", 0), b""),
    (m.Rattach(Tag(0), m.Qid(0x80, 0, 2)), b""),
    (m.Twalk(Tag(0), Fid(0), Fid(1), (b"state", b"qemu-save.7")), b""),
    (m.Rwalk(Tag(0), (m.Qid(0x80, 0, 3), m.Qid(0, 0, 4))), b""),
    (m.Tlopen(Tag(0), Fid(1), 0o100002), b""),
    (m.Rlopen(Tag(0), m.Qid(0, 0, 4), 0), b""),
    (m.Twrite(Tag(0), Fid(1), 0, 200_000), bytes(200_000)),
    (m.Rwrite(Tag(0), 200_000), b""),
    (m.Tread(Tag(1), Fid(1), 0, 4096), b""),
    (m.Rread(Tag(1), 4096), bytes(4096)),
    (m.Tfsync(Tag(0), Fid(1), 0), b""),
    (m.Rfsync(Tag(0)), b""),
    (m.Tclunk(Tag(0), Fid(1)), b""),
    (m.Rclunk(Tag(0)), b""),
    (m.Twalk(Tag(0), Fid(0), Fid(2), (b"missing",)), b""),
    (m.Rlerror(Tag(0), 2), b""),
]


@needs_tshark
def test_tshark_reads_every_message_of_9p2000l_as_we_do(tmp_path: Path) -> None:
    random = Random(9)
    # tshark keeps the version of the Tversion before, and some fields are of 9P2000.L alone.
    frames = [encode(message) for message, _ in SESSION[:2]]
    frames += [
        sample(random, message)
        for message in DOTL
        if message.name not in {"Tversion", "Rversion"}
        for _ in range(8)
    ]
    path = str(tmp_path / "all.pcap")
    capture(path, frames)
    decoded = list(packets(path))
    assert len(decoded) == len(frames)
    for packet, frame in zip(decoded, frames, strict=True):
        if m.MESSAGE_TYPES[frame[4]].__name__ in WRONG:
            assert packet.values[:3] == expected_header(frame)
        else:
            check(packet, frame)


def check(packet: Packet, frame: bytes) -> None:
    wanted = expected(frame)
    if wanted[-1][0] == "message_data" and packet.values[-1][0] != "message_data":
        wanted.pop()
    assert packet.values == wanted


def expected_header(frame: bytes) -> list[tuple[str, int | str]]:
    return [
        ("msglen", len(frame)),
        ("msgtype", frame[4]),
        ("tag", int.from_bytes(frame[5:7], "little")),
    ]


def test_no_message_of_9p2000l_is_left_out_of_the_comparison() -> None:
    empty = {message.name for message in DOTL if not message.fields}
    assert set(FIELDS) | empty | WRONG == {message.name for message in DOTL}


@needs_tshark
def test_tshark_follows_a_session_with_a_message_longer_than_a_packet(tmp_path: Path) -> None:
    frames = [encode(message, len(payload)) + payload for message, payload in SESSION]
    path = str(tmp_path / "session.pcap")
    capture(path, frames)
    for packet, frame in zip(packets(path), frames, strict=True):
        check(packet, frame)
