"""The stream transport: addresses, partial sends, replies in arbitrary pieces."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend_stub.socket_transport import SocketTransport
from protocol.ninep.codec import decode, encode
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Message, Rclunk, Rread
from tests.frontend_stub.peer import Peer, Script

if TYPE_CHECKING:
    from pathlib import Path

    from frontend_stub.transport import Slices

pytestmark = pytest.mark.usefixtures("leak_free")


@pytest.mark.parametrize(
    "address", ["", "unix:", "tcp:", "tcp:host", "vsock:1", "/run/x", "tcp::1"]
)
def test_an_address_of_no_known_form(address: str) -> None:
    with pytest.raises(ValueError, match="must be unix:PATH or tcp:HOST:PORT"):
        SocketTransport.connect(address)


@pytest.mark.parametrize("port", ["0", "65536", "x", "", "-1"])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(ValueError, match="port must be a number"):
        SocketTransport.connect(f"tcp:localhost:{port}")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        SocketTransport.connect(f"unix:{tmp_path}/none")
    assert caught.value.filename == f"unix:{tmp_path}/none"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as refused:
        SocketTransport.connect(f"tcp:127.0.0.1:{port}")
    assert refused.value.filename == f"tcp:127.0.0.1:{port}"


def test_tcp_and_unix_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(path)
        unix.listen()
        for address in (f"tcp:127.0.0.1:{tcp.getsockname()[1]}", f"unix:{path}"):
            transport = SocketTransport.connect(address)
            assert transport.name == address
            transport.close()
            transport.close()


def test_a_request_the_socket_has_no_room_for_is_finished_later() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    payload = bytes(range(256)) * 2048  # 512 KiB
    frames: list[bytes] = []

    def play(peer: Peer) -> None:
        frames.extend(peer.receive_frame() for _ in range(2))
        peer.send(Rclunk(Tag(1)))

    transport = SocketTransport(ours, "peer")
    got: list[Message] = []

    def deliver(frame: bytes, size: int, payload: Slices) -> None:
        assert not payload
        got.append(decode(frame, size))

    head = (len(payload) + 4).to_bytes(4, "little")
    assert transport.try_send(0, head, (payload,))
    # Nothing reads yet, so the second request finds no room and nothing of it is taken.
    assert not transport.try_send(1, head, (payload,))
    with theirs, Script(Peer(theirs), play):
        while not transport.try_send(1, head, (payload,)):
            transport.wait(20)
        while not transport.receive(deliver):
            transport.wait(20)
    transport.close()
    assert frames == [head + payload] * 2
    assert got == [Rclunk(Tag(1))]


@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 9000), max_size=12),
)
def test_replies_arrive_whole_however_the_stream_is_cut(sizes: list[int], cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    replies = [(Rread(Tag(i), size), bytes([i]) * size) for i, size in enumerate(sizes)]
    stream = b"".join(encode(reply, len(data)) + data for reply, data in replies)
    got: list[tuple[Message, bytes]] = []
    transport = SocketTransport(ours, "peer", max_msize=6000)
    with theirs:
        at = 0
        for cut in [*cuts, len(stream)]:
            theirs.sendall(stream[at : at + cut])
            at += cut
            while transport.receive(
                lambda frame, size, parts: got.append((decode(frame, size), b"".join(parts)))
            ):
                pass
    transport.close()
    assert got == replies


def test_the_peer_hangs_up_in_the_middle_of_a_reply() -> None:
    ours, theirs = socket.socketpair()
    transport = SocketTransport(ours, "peer")
    theirs.sendall(encode(Rread(Tag(0), 100), 100)[:9])
    theirs.close()
    with pytest.raises(ConnectionResetError) as caught:
        transport.receive(lambda *_: None)
    assert caught.value.errno == errno.ECONNRESET
    transport.close()


def test_sending_to_a_peer_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    transport = SocketTransport(ours, "peer")
    with pytest.raises(ConnectionResetError, match="closed the connection"):
        transport.try_send(0, b"x" * 7, ())
    transport.close()
