"""A channel from both ends: open is accept, read receives, write sends, end of file is hang-up."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from backend.channel.listening import QUEUE
from protocol.ninep.flags import (
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_WRONLY,
)
from protocol.ninep.ids import Tag
from protocol.ninep.messages import (
    Rlerror,
    Rlopen,
    Rread,
    Rwrite,
    Tfsync,
    Tlopen,
    Tread,
    Twrite,
)

from ..fileserver.ring_peer import ROOT_FID
from .guest import Guest, fill

if TYPE_CHECKING:
    from pathlib import Path


def test_open_waits_for_a_client_and_is_then_answered_without_a_poll(guest: Guest) -> None:
    fid, tag = guest.open()
    assert guest.nothing()
    with guest.dom0() as client:
        reply = guest.answer()
        assert isinstance(reply, Rlopen)
        assert (reply.tag, reply.qid.version) == (tag, 0)
        guest.write(fid, b"greeting")
        assert client.recv(100) == b"greeting"


def test_a_client_that_is_there_already_is_taken_at_once(guest: Guest) -> None:
    with guest.dom0() as client:
        client.send(b"early")
        fid, tag = guest.walk(), Tag(9)
        assert isinstance(guest.call(Tlopen(tag, fid, DOTL_RDWR)), Rlopen)
        assert guest.call_with_data(Tread(tag, fid, 0, 100)) == (Rread(tag, 5), b"early")


def test_a_read_waits_while_writes_and_other_files_go_on(guest: Guest, export: Path) -> None:
    (export / "file").write_bytes(b"content")
    with guest.dom0() as client:
        fid = guest.opened()
        reading = guest.read(fid)
        assert guest.nothing()
        writing = guest.write(fid, b"question")
        assert guest.take() == (Rwrite(writing, 8), b"")
        other = guest.walk(b"file")
        assert isinstance(guest.call(Tlopen(Tag(1), other, DOTL_RDONLY)), Rlopen)
        assert guest.call_with_data(Tread(Tag(1), other, 0, 100))[1] == b"content"
        assert client.recv(100) == b"question"
        client.send(b"answer")
        assert guest.answer_with_data() == (Rread(reading, 6), b"answer")
    assert guest.connection.counters.bytes_read == 13


def test_the_end_of_the_file_is_the_hang_up_and_stays(guest: Guest) -> None:
    with guest.dom0() as client:
        fid = guest.opened()
        guest.read(fid)
        client.send(b"last words")
        assert guest.got() == b"last words"
        guest.read(fid)
        assert guest.nothing()
    assert guest.got() == b""
    guest.read(fid)
    assert guest.got() == b""
    guest.write(fid, b"too late")
    assert guest.error() == errno.EPIPE


def test_what_was_sent_before_the_hang_up_is_read_first(guest: Guest) -> None:
    with guest.dom0() as client:
        fid = guest.opened()
        guest.write(fid, b"never read")  # so that the client's end is a reset
        guest.answer()
        client.send(b"last words")
    for expected in (b"last words", b"", b""):
        guest.read(fid)
        assert guest.got() == expected


def test_a_clunk_is_the_hang_up_of_the_guest(guest: Guest) -> None:
    with guest.dom0() as client:
        guest.clunk(guest.opened())
        assert client.recv(100) == b""


def test_the_next_client_is_accepted_when_the_guest_has_closed_and_opened_again(
    guest: Guest,
) -> None:
    with guest.dom0() as first, guest.dom0() as second:
        fid = guest.opened()
        again, _tag = guest.open()
        assert guest.nothing()
        guest.write(fid, b"to the first")
        guest.answer()
        assert first.recv(100) == b"to the first"
        guest.clunk(fid)
        assert isinstance(guest.answer(), Rlopen)
        guest.write(again, b"to the second")
        guest.answer()
        assert second.recv(100) == b"to the second"


def test_each_of_many_quick_clients_is_greeted_anew(guest: Guest) -> None:
    for number in range(50):
        with guest.dom0() as client:
            fid = guest.opened()
            guest.write(fid, b"greeting %d" % number)
            assert isinstance(guest.answer(), Rwrite)
            assert client.recv(100) == b"greeting %d" % number
        guest.read(fid)
        assert guest.got() == b""
        guest.clunk(fid)


def test_a_client_that_has_left_without_a_word_is_passed_by(guest: Guest) -> None:
    for _ in range(3):
        guest.dom0().close()
    with guest.dom0() as client:
        fid = guest.opened()
        guest.write(fid, b"greeting")
        assert client.recv(100) == b"greeting"


def test_a_client_that_has_left_a_word_is_served(guest: Guest) -> None:
    with guest.dom0() as client:
        client.send(b"a word")
    fid = guest.opened()
    for expected in (b"a word", b""):
        guest.read(fid)
        assert guest.got() == expected


def test_one_that_only_listens_is_served(guest: Guest) -> None:
    with guest.dom0() as client:
        client.shutdown(socket.SHUT_WR)
        fid = guest.opened()
        guest.read(fid)
        assert guest.got() == b""
        guest.write(fid, b"news")
        assert client.recv(100) == b"news"


def test_further_clients_queue_and_what_does_not_fit_the_queue_is_told(guest: Guest) -> None:
    waiting = [guest.dom0() for _ in range(QUEUE + 1)]
    with socket.socket(socket.AF_UNIX) as late:
        late.setblocking(False)
        with pytest.raises(BlockingIOError):
            late.connect(str(guest.sockets / "both"))
    for client in waiting:
        fid = guest.opened()
        guest.write(fid, b"your turn")
        guest.answer()
        assert client.recv(100) == b"your turn"
        guest.clunk(fid)
        client.close()


class TestTwoOpens:
    """One for reading and one for writing: programs like cat have but one direction."""

    def test_they_get_the_same_client(self, guest: Guest) -> None:
        with guest.dom0() as client:
            reader, writer = guest.opened(DOTL_RDONLY), guest.opened(DOTL_WRONLY)
            guest.read(reader)
            guest.write(writer, b"ping")
            assert isinstance(guest.answer(), Rwrite)
            assert client.recv(100) == b"ping"
            client.send(b"pong")
            assert guest.got() == b"pong"
            guest.write(reader, b"x")
            assert guest.error() == errno.EBADF
            guest.read(writer)
            assert guest.error() == errno.EBADF

    def test_the_client_is_let_go_when_both_are_closed(self, guest: Guest) -> None:
        with guest.dom0() as client:
            reader, writer = guest.opened(DOTL_RDONLY), guest.opened(DOTL_WRONLY)
            guest.clunk(writer)
            again = guest.opened(DOTL_WRONLY)
            guest.write(again, b"still here")
            guest.answer()
            assert client.recv(100) == b"still here"
            guest.clunk(again)
            guest.clunk(reader)
            assert client.recv(100) == b""

    def test_after_the_hang_up_one_is_enough(self, guest: Guest) -> None:
        with guest.dom0():
            reader, writer = guest.opened(DOTL_RDONLY), guest.opened(DOTL_WRONLY)
        guest.read(reader)
        assert guest.got() == b""
        guest.clunk(reader)
        with guest.dom0() as second:
            fresh = guest.opened(DOTL_RDWR)
            guest.write(writer, b"to the first")
            assert guest.error() == errno.EPIPE
            guest.clunk(writer)
            guest.write(fresh, b"to the second")
            guest.answer()
            assert second.recv(100) == b"to the second"

    def test_a_write_that_waits_ends_with_the_client(self, guest: Guest) -> None:
        with guest.dom0() as client:
            reader, writer = guest.opened(DOTL_RDONLY), guest.opened(DOTL_WRONLY)
            fill(guest, writer)
            client.shutdown(socket.SHUT_WR)
            guest.read(reader)
            assert guest.got() == b""
            guest.clunk(reader)
            assert guest.error() == errno.EPIPE


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [(b"in", DOTL_RDONLY, DOTL_WRONLY), (b"out", DOTL_WRONLY, DOTL_RDONLY)],
)
def test_a_channel_of_one_direction(guest: Guest, name: bytes, allowed: int, refused: int) -> None:
    with guest.dom0(name.decode()):
        for flags in (refused, DOTL_RDWR):
            guest.open(flags, name)
            assert guest.error() == errno.EACCES
        guest.opened(allowed, name)


def test_no_count_no_wait(guest: Guest) -> None:
    with guest.dom0():
        fid = guest.opened()
        guest.read(fid, 0)
        assert guest.got() == b""
        guest.write(fid, b"")
        assert isinstance(guest.answer(), Rwrite)
        guest.send(Tfsync(Tag(4), fid, 0))
        assert guest.error() == errno.EINVAL


def test_file_descriptors_that_a_client_sends_are_not_taken(guest: Guest) -> None:
    with guest.dom0() as client, open(os.devnull, "rb") as null:
        fid = guest.opened()
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(client, [b"a gift"], [null.fileno()])
        guest.read(fid)
        assert guest.got() == b"a gift"
        assert len(os.listdir("/proc/self/fd")) == before


def test_requests_on_nothing(guest: Guest) -> None:
    assert guest.call(Twrite(Tag(1), ROOT_FID, 0, 1), b"x") == Rlerror(Tag(1), errno.EBADF)
