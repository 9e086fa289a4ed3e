"""The client's core against a peer that answers late, wrongly, or not at all."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from frontend_stub.client import IO_HEADER, MIN_MSIZE, Client
from frontend_stub.exchange import MAX_IN_FLIGHT
from frontend_stub.socket_transport import SocketTransport
from protocol.ninep.ids import NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Qid,
    Rclunk,
    Rflush,
    Rlerror,
    Rread,
    Rreaddir,
    Rstatfs,
    Rversion,
    Rwalk,
    Rwrite,
    Tclunk,
    Tflush,
    Tread,
    Tstatfs,
    Tversion,
    Twalk,
    Twrite,
)
from tests.frontend_stub.peer import Peer, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from frontend_stub.pending import Pending
    from frontend_stub.transport import Buffer, Deliver

pytestmark = pytest.mark.usefixtures("leak_free")

FID = Fid(7)
STATFS = (1, 4096, 10, 9, 8, 7, 6, 5, 255)


@contextmanager
def connected(
    play: Callable[[Peer], object], msize: int | None = None, timeout: float = 20.0
) -> Iterator[Client]:
    """A client, and a peer that greets it and then plays."""
    ours, theirs = socket.socketpair()

    def script(peer: Peer) -> None:
        peer.greet()
        play(peer)

    with theirs, Script(Peer(theirs), script):
        client = Client.connect(SocketTransport(ours, "peer"), msize, timeout)
        with client:
            yield client


def clunk(client: Client) -> Pending[Rclunk]:
    return client.submit(lambda tag: Tclunk(tag, FID), Rclunk, name="file")


def read(client: Client, into: list[bytes], count: int = 10) -> Pending[Rread]:
    return client.submit(
        lambda tag: Tread(tag, FID, 0, count),
        Rread,
        sink=lambda slices: into.append(b"".join(slices)),
        room=count,
        name="file",
    )


def test_the_session_takes_the_servers_smaller_msize() -> None:
    ours, theirs = socket.socketpair()
    with (
        theirs,
        Script(Peer(theirs), lambda peer: peer.greet(8192)),
        Client.connect(SocketTransport(ours, "peer"), 65536) as client,
    ):
        assert client.msize == 8192
        assert client.max_io == 8192 - IO_HEADER


def test_version_is_asked_with_notag_and_the_msize_wanted() -> None:
    ours, theirs = socket.socketpair()
    seen: list[object] = []

    def play(peer: Peer) -> None:
        request = peer.receive()
        assert isinstance(request, Tversion)
        seen.append(request)
        peer.send(Rversion(NOTAG, request.msize, request.version))

    with theirs, Script(Peer(theirs), play):
        Client.connect(SocketTransport(ours, "peer"), 10000).close()
    assert seen == [Tversion(NOTAG, 10000, b"9P2000.L")]


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (Rversion(NOTAG, 8192, b"9P2000.u"), errno.EPROTONOSUPPORT),
        (Rversion(NOTAG, 8192, b"unknown"), errno.EPROTONOSUPPORT),
        (Rversion(NOTAG, 16385, b"9P2000.L"), errno.EPROTO),
        (Rversion(NOTAG, MIN_MSIZE - 1, b"9P2000.L"), errno.EPROTO),
        (Rlerror(NOTAG, errno.ENOMEM), errno.ENOMEM),
        (Rclunk(NOTAG), errno.EPROTO),
    ],
)
def test_a_version_that_cannot_be(reply: Rversion | Rlerror | Rclunk, number: int) -> None:
    ours, theirs = socket.socketpair()

    def play(peer: Peer) -> None:
        peer.receive()
        peer.send(reply)

    with theirs, Script(Peer(theirs), play), pytest.raises(OSError, match=r".") as caught:
        Client.connect(SocketTransport(ours, "peer"), 16384)
    assert caught.value.errno == number


def test_an_msize_too_small_is_refused_before_anything_is_sent() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(OSError, match="at least 4096"):
        Client.connect(SocketTransport(ours, "peer"), 4095)


def test_replies_in_any_order_settle_their_own_requests() -> None:
    def play(peer: Peer) -> None:
        requests = [peer.receive() for _ in range(3)]
        for request in reversed(requests):
            if isinstance(request, Tstatfs):
                peer.send(Rstatfs(request.tag, *STATFS))
            else:
                peer.send(Rlerror(request.tag, errno.EBADF))

    with connected(play) as client:
        first = clunk(client)
        second = client.submit(lambda tag: Tstatfs(tag, FID), Rstatfs)
        third = clunk(client)
        assert client.in_flight == 3
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            client.wait(first)
        assert (caught.value.errno, caught.value.filename) == (errno.EBADF, "file")
        assert second.done
        assert client.wait(second).namelen == 255
        with pytest.raises(OSError, match="Bad file descriptor"):
            client.wait(third)
        assert client.in_flight == 0


def test_an_errno_that_is_none_becomes_eio() -> None:
    def play(peer: Peer) -> None:
        peer.send(Rlerror(peer.receive().tag, 0xFFFF_FFFF))
        peer.send(Rlerror(peer.receive().tag, 0))

    with connected(play) as client:
        for _ in range(2):
            with pytest.raises(OSError, match=r".") as caught:
                client.wait(clunk(client))
            assert caught.value.errno == errno.EIO


def test_more_requests_than_tags_wait_for_a_free_one() -> None:
    total = 3 * MAX_IN_FLIGHT + 1
    most = []

    def play(peer: Peer) -> None:
        for _ in range(total):
            peer.send(Rclunk(peer.receive().tag))

    with connected(play) as client:
        pendings = []
        for _ in range(total):
            pendings.append(clunk(client))
            most.append(client.in_flight)
        for pending in pendings:
            client.wait(pending)
    assert max(most) <= MAX_IN_FLIGHT


def test_data_reach_their_sink_and_the_reply() -> None:
    def play(peer: Peer) -> None:
        peer.send(Rread(peer.receive().tag, 5), b"12345")
        peer.send(Rread(peer.receive().tag, 0))

    got: list[bytes] = []
    with connected(play) as client:
        assert client.wait(read(client, got)).count == 5
        assert client.wait(read(client, got)).count == 0
    assert got == [b"12345"]


def test_a_sink_that_fails_fails_its_request_only() -> None:
    def full(_slices: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    def play(peer: Peer) -> None:
        peer.send(Rread(peer.receive().tag, 5), b"12345")
        peer.send(Rclunk(peer.receive().tag))

    with connected(play) as client:
        pending = client.submit(
            lambda tag: Tread(tag, FID, 0, 5), Rread, sink=full, room=5, name="file"
        )
        with pytest.raises(OSError, match="full") as caught:
            client.wait(pending)
        assert caught.value.errno == errno.ENOSPC
        client.wait(clunk(client))


def _raw(size: int, kind: int, tag: int, body: bytes = b"") -> bytes:
    return struct.pack("<IBH", size, kind, tag) + body


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_raw(6, 121, 0), id="size below a header"),
        pytest.param(_raw(0, 121, 0), id="size 0"),
        pytest.param(_raw(8193, 117, 0, bytes(4)), id="above msize"),
        pytest.param(_raw(0xFFFF_FFFF, 117, 0, bytes(4)), id="size all ones"),
        pytest.param(_raw(7, 99, 0), id="unknown type"),
        pytest.param(_raw(7, 120, 0), id="a request as a reply"),
        pytest.param(_raw(8, 121, 0, b"x"), id="trailing byte"),
        pytest.param(_raw(9, 7, 0, b"xx"), id="body cut short"),
        pytest.param(_raw(7, 121, 5), id="tag not in flight"),
        pytest.param(_raw(7, 109, 0), id="reply of another request"),
        pytest.param(_raw(16, 117, 0, struct.pack("<I", 6) + b"12345"), id="count over size"),
        pytest.param(_raw(15, 117, 0, struct.pack("<I", 4) + b"1234"), id="data not asked for"),
        pytest.param(_raw(7, 117, 0), id="Rread without count"),
    ],
)
def test_rubbish_ends_the_connection_with_eproto(answer: bytes) -> None:
    def play(peer: Peer) -> None:
        peer.receive()
        peer.receive()
        peer.socket.sendall(answer)

    with connected(play, msize=8192) as client:
        pending, other = clunk(client), clunk(client)
        with pytest.raises(OSError, match=r".") as caught:
            client.wait(pending)
        assert caught.value.errno == errno.EPROTO
        with pytest.raises(OSError, match=r".") as again:
            client.wait(other)
        assert again.value.errno == errno.EPROTO
        with pytest.raises(OSError, match=r".") as again:
            clunk(client)
        assert again.value.errno == errno.EPROTO


def test_more_data_than_asked_for_never_reaches_the_sink() -> None:
    def play(peer: Peer) -> None:
        peer.send(Rread(peer.receive().tag, 11), b"x" * 11)

    got: list[bytes] = []
    with connected(play) as client:
        with pytest.raises(OSError, match="more data than the 10 bytes") as caught:
            client.wait(read(client, got, 10))
        assert caught.value.errno == errno.EPROTO
    assert got == []


def test_a_directory_reply_to_a_read_is_refused() -> None:
    def play(peer: Peer) -> None:
        peer.send(Rreaddir(peer.receive().tag, 3), b"abc")

    got: list[bytes] = []
    with connected(play) as client, pytest.raises(OSError, match="Rreaddir"):
        client.wait(read(client, got))
    assert got == []


def test_a_closed_connection_fails_all_that_is_in_flight() -> None:
    def play(peer: Peer) -> None:
        peer.receive()
        peer.receive()
        peer.socket.shutdown(socket.SHUT_RDWR)

    with connected(play) as client:
        first, second = clunk(client), clunk(client)
        for pending in (first, second):
            with pytest.raises(ConnectionResetError, match="closed the connection"):
                client.wait(pending)
        with pytest.raises(ConnectionResetError):
            clunk(client)


def test_a_late_answer_is_flushed_and_the_session_goes_on() -> None:
    def play(peer: Peer) -> None:
        late = peer.receive()
        flush = peer.receive()
        assert isinstance(flush, Tflush)
        assert flush.oldtag == late.tag
        peer.send(Rflush(flush.tag))
        peer.send(Rclunk(peer.receive().tag))

    got: list[bytes] = []
    with connected(play) as client:
        pending = read(client, got)
        with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s") as caught:
            client.wait(pending, timeout=0.05)
        assert (caught.value.errno, caught.value.filename) == (errno.ETIMEDOUT, "file")
        client.wait(clunk(client))
        assert client.in_flight == 0
    assert got == []


def test_an_answer_that_overtakes_its_flush_counts() -> None:
    def play(peer: Peer) -> None:
        late, flush = peer.receive(), peer.receive()
        peer.send(Rread(late.tag, 2), b"ok")
        peer.send(Rflush(flush.tag))

    got: list[bytes] = []
    with connected(play) as client:
        assert client.wait(read(client, got), timeout=0.05).count == 2
    assert got == [b"ok"]


def test_a_flushed_tag_is_not_used_again_before_rflush() -> None:
    tags: list[Tag] = []

    def play(peer: Peer) -> None:
        late, flush = peer.receive(), peer.receive()
        # The answer comes first: the tag is still not free until Rflush.
        peer.send(Rclunk(late.tag))
        peer.send(Rflush(flush.tag))
        for _ in range(2):
            request = peer.receive()
            tags.append(request.tag)
            peer.send(Rclunk(request.tag))

    with connected(play) as client:
        client.wait(clunk(client), timeout=0.05)
        first = clunk(client)
        second = clunk(client)
        client.wait(first)
        client.wait(second)
    assert len(set(tags)) == 2


def test_a_server_that_does_not_answer_a_flush_is_given_up() -> None:
    done = threading.Event()

    def play(peer: Peer) -> None:
        peer.receive()
        peer.receive()
        done.wait(20)

    with connected(play) as client:
        client.flush_timeout = 0.05
        pending = clunk(client)
        with pytest.raises(TimeoutError, match="does not answer a flush"):
            client.wait(pending, timeout=0.05)
        with pytest.raises(OSError, match="does not answer a flush"):
            clunk(client)
        done.set()


def test_cancel_settles_many_at_once_and_raises_nothing() -> None:
    def play(peer: Peer) -> None:
        requests = [peer.receive() for _ in range(5)]
        peer.send(Rclunk(requests[2].tag))
        for _ in range(4):
            peer.send(Rflush(peer.receive().tag))

    with connected(play) as client:
        pendings = [clunk(client) for _ in range(5)]
        client.wait(pendings[2])
        client.cancel(*pendings)
        outcomes = [pending.error.errno if pending.error else 0 for pending in pendings]
        assert outcomes == [errno.ECANCELED] * 2 + [0] + [errno.ECANCELED] * 2
        client.cancel(*pendings)
        assert client.in_flight == 0


class Interrupted(SocketTransport):
    """Ctrl-C arrives in the method named, once armed."""

    where = ""

    def try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        self._interrupt("try_send")
        return super().try_send(tag, frame, payload)

    def flush(self) -> None:
        self._interrupt("flush")
        super().flush()

    def wait(self, seconds: float) -> None:
        self._interrupt("wait")
        super().wait(seconds)

    def receive(self, deliver: Deliver) -> int:
        self._interrupt("receive")
        return super().receive(deliver)

    def _interrupt(self, here: str) -> None:
        if self.where == here:
            self.where = ""
            raise KeyboardInterrupt


def test_an_interrupted_wait_flushes_its_request() -> None:
    def play(peer: Peer) -> None:
        peer.greet()
        late, flush = peer.receive(), peer.receive()
        assert isinstance(flush, Tflush)
        assert flush.oldtag == late.tag
        peer.send(Rflush(flush.tag))
        peer.send(Rclunk(peer.receive().tag))

    ours, theirs = socket.socketpair()
    transport = Interrupted(ours, "peer")
    with theirs, Script(Peer(theirs), play), Client.connect(transport) as client:
        pending = read(client, [])
        transport.where = "wait"
        with pytest.raises(KeyboardInterrupt):
            client.wait(pending)
        client.wait(clunk(client))


@pytest.mark.parametrize("where", ["try_send", "flush", "receive"])
def test_an_interrupt_in_the_middle_of_a_message_ends_the_client(where: str) -> None:
    def play(peer: Peer) -> None:
        peer.greet()
        peer.receive()

    ours, theirs = socket.socketpair()
    transport = Interrupted(ours, "peer")
    with theirs, Script(Peer(theirs), play), Client.connect(transport) as client:
        first = clunk(client)
        transport.where = where
        with pytest.raises(KeyboardInterrupt):
            client.wait(clunk(client))
        with pytest.raises(ConnectionAbortedError, match="interrupted"):
            client.wait(first)
        with pytest.raises(ConnectionAbortedError, match="interrupted"):
            clunk(client)
        client.cancel(first)


def test_no_room_in_time_sends_nothing_and_the_session_goes_on() -> None:
    stuck = threading.Event()

    def play(peer: Peer) -> None:
        stuck.wait(20)
        for _ in range(2):
            peer.send(Rclunk(peer.receive().tag))

    data = bytes(400_000)
    with connected(play) as client:
        client.timeout = 0.05
        full = client.submit(
            lambda tag: Twrite(tag, FID, 0, len(data)), Rclunk, payload=(data,), more=True
        )
        with pytest.raises(TimeoutError, match=r"no room to send within 0\.05 s") as caught:
            clunk(client)
        assert caught.value.errno == errno.ETIMEDOUT
        assert client.in_flight == 1
        stuck.set()
        client.timeout = 20
        client.wait(full)
        client.wait(clunk(client))


def test_no_free_tag_in_time() -> None:
    stuck = threading.Event()

    def play(peer: Peer) -> None:
        tags = [peer.receive().tag for _ in range(MAX_IN_FLIGHT)]
        stuck.wait(20)
        for tag in tags:
            peer.send(Rclunk(tag))

    with connected(play) as client:
        pendings = [clunk(client) for _ in range(MAX_IN_FLIGHT)]
        client.timeout = 0.05
        with pytest.raises(TimeoutError, match="no free tag"):
            clunk(client)
        stuck.set()
        for pending in pendings:
            client.wait(pending, 20)


def test_a_request_larger_than_msize_is_not_sent() -> None:
    def play(peer: Peer) -> None:
        peer.send(Rclunk(peer.receive().tag))

    names = (b"n" * 255,) * 16
    with connected(play, msize=MIN_MSIZE) as client:
        with pytest.raises(OSError, match="msize is 4096") as caught:
            client.call(lambda tag: Twalk(tag, FID, FID, names), Rwalk)
        assert caught.value.errno == errno.EMSGSIZE
        client.wait(clunk(client))


def test_a_write_is_sent_with_all_its_parts() -> None:
    frames: list[bytes] = []

    def play(peer: Peer) -> None:
        frames.append(peer.receive_frame())
        peer.send(Rwrite(Tag(0), 9))

    with connected(play) as client:
        pending = client.submit(
            lambda tag: Twrite(tag, FID, 3, 9),
            Rwrite,
            payload=(b"abc", bytearray(b"def"), memoryview(b"ghi")),
        )
        assert client.wait(pending).count == 9
    assert frames[0].endswith(b"abcdefghi")
    assert len(frames[0]) == 23 + 9


def test_closing_twice_and_using_it_afterwards() -> None:
    with connected(lambda _peer: None) as client:
        client.close()
        client.close()
        with pytest.raises(ConnectionAbortedError, match="the client is closed"):
            clunk(client)


def test_a_walk_reply_has_its_qids() -> None:
    qids = (Qid(0x80, 1, 2), Qid(0, 3, 4))

    def play(peer: Peer) -> None:
        peer.send(Rwalk(peer.receive().tag, qids))

    with connected(play) as client:
        reply = client.call(lambda tag: Twalk(tag, FID, Fid(8), (b"a", b"b")), Rwalk)
        assert reply.wqids == qids
