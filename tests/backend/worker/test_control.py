"""The control channel: what is sent arrives, and a worker that was taken over cannot do harm."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.worker.control import (
    MAX_PACKET,
    MAX_REASON,
    ControlChannel,
    ControlError,
    Failed,
    HandOver,
    Kept,
    Prepared,
    Query,
    Ready,
    Report,
    Serving,
    Stop,
    pack,
    pair,
    shortened,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.worker.control import FromSupervisor, FromWorker

Channels = tuple[ControlChannel, ControlChannel]


@pytest.fixture
def channels() -> Iterator[Channels]:
    ends = pair()
    both = (ControlChannel(ends[0]), ControlChannel(ends[1]))
    yield both
    for channel in both:
        channel.close()


@pytest.mark.parametrize(
    "message",
    [
        Stop(),
        Query(7),
        Ready(2, 9, {"seccomp": "holds"}),
        Failed("no \u00e9"),
        Report(1, {"fids": 3, "dialect": None}),
        HandOver(),
        Prepared(),
        Serving(),
        Kept("a reason"),
    ],
)
def test_messages_arrive(channels: Channels, message: FromWorker | FromSupervisor) -> None:
    ours, theirs = channels
    assert ours.receive() is None
    assert theirs.send(message)
    assert ours.receive() == message
    assert ours.receive() is None


def test_a_descriptor_arrives_with_its_message_and_only_where_it_is_expected(
    channels: Channels,
) -> None:
    ours, theirs = channels
    reader, writer = os.pipe()
    assert theirs.send_with(HandOver(), writer)
    assert theirs.send_with(HandOver(), writer)
    os.close(writer)
    message, descriptor = ours.receive_with()
    assert message == HandOver()
    assert descriptor is not None
    os.write(descriptor, b"x")
    os.close(descriptor)
    assert ours.receive() == HandOver()
    assert os.read(reader, 10) == b"x"
    assert os.read(reader, 10) == b"", "the one that nobody expected is closed"
    os.close(reader)
    assert ours.receive_with() == (None, None)


def test_hang_up_is_seen(channels: Channels) -> None:
    ours, theirs = channels
    theirs.send(Failed("first"))
    theirs.close()
    assert ours.receive() == Failed("first")
    with pytest.raises(EOFError):
        ours.receive()
    assert not ours.send(Stop())


def test_sender_does_not_wait_for_a_reader_that_sleeps(channels: Channels) -> None:
    sent = 0
    while channels[0].send(Query(sent)):
        sent += 1
        assert sent < 1_000_000
    assert sent > 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_control_error(packet: bytes) -> None:
    with contextlib.suppress(ControlError):
        unpack(packet)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=8,
    ),
    st.sampled_from(["Ready", "Failed", "Report", "Stop", "Query"]),
    st.sampled_from(["number", "rings", "order", "reason", "figures", "x"]),
)
def test_any_json_is_a_message_or_a_control_error(value: object, kind: str, name: str) -> None:
    for document in (value, {"type": kind, name: value}, {"type": value}):
        try:
            message = unpack(json.dumps(document).encode())
        except ControlError:
            continue
        assert unpack(pack(message)) == message


@pytest.mark.parametrize(
    "packet",
    [
        b'{"type": "Ready", "rings": 1}',
        b'{"type": "Ready", "rings": -1, "order": 1, "walls": {}}',
        b'{"type": "Ready", "rings": true, "order": 1, "walls": {}}',
        b'{"type": "Ready", "rings": "1", "order": 1, "walls": {}}',
        b'{"type": "Ready", "rings": 1, "order": 1, "walls": []}',
        b'{"type": "Ready", "rings": 1, "order": 1, "walls": {"moat": "holds"}}',
        b'{"type": "Ready", "rings": 1, "order": 1, "walls": {"seccomp": 1}}',
        b'{"type": "Failed", "reason": "%s"}' % (b"x" * (MAX_REASON + 1)),
        b'{"type": "Failed", "reason": null}',
        b'{"type": "Report", "number": 1, "figures": {"fids": []}}',
        b'{"type": "Report", "number": 1, "figures": 3}',
        b'{"type": "Report", "number": 1, "figures": {"fids": NaN}}',
        b'{"type": "Report", "number": 1, "figures": {"bytes_read": "many"}}',
        b'{"type": "Report", "number": 1, "figures": {"fids": null}}',
        b'{"type": "Report", "number": 1, "figures": {"dialect": 9}}',
        b'{"type": "Report", "number": 1, "figures": {"pid": 1}}',
        b'{"type": "Report", "number": 1, "figures": {"fids": -1}}',
        b'{"type": "pack"}',
        b'{"type": []}',
        b"[" * 4000,
        b"[]",
        b"3",
    ],
)
def test_nonsense_is_refused(packet: bytes) -> None:
    with pytest.raises(ControlError):
        unpack(packet)


def test_packet_that_is_too_long_is_refused(channels: Channels) -> None:
    theirs = channels[1]
    theirs._socket.send(b" " * (MAX_PACKET + 1) + pack(Stop()))
    with pytest.raises(ControlError, match="more than"):
        channels[0].receive()


def test_reasons_are_cut_and_printable() -> None:
    assert shortened("a\nb\x00c") == "a?b?c"
    assert len(shortened("x" * 5000)) == MAX_REASON
    assert unpack(pack(Failed(shortened("\x1b" * 5000)))) == Failed("?" * (MAX_REASON - 3) + "...")
