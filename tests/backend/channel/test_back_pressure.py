"""Neither end can be made to keep what the other has not read; files go on meanwhile."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from backend.channel.file import LATE_BYTES
from protocol.ninep.ids import Tag
from protocol.ninep.messages import (
    Rgetattr,
    Rread,
    Rwrite,
    Tgetattr,
)

from .guest import Guest, fill, full

if TYPE_CHECKING:
    from pathlib import Path


class TestBackPressure:
    """Neither end can be made to keep what the other has not read."""

    def test_a_client_that_does_not_read_stops_the_writer_and_nothing_else(
        self, guest: Guest, export: Path
    ) -> None:
        (export / "file").write_bytes(b"content")
        with guest.dom0() as client:
            fid = guest.opened()
            taken, tag = fill(guest, fid)
            assert isinstance(guest.call(Tgetattr(Tag(1), guest.walk(b"file"), 0x7FF)), Rgetattr)
            received = 0
            while received < taken:
                received += len(client.recv(1 << 20))
            reply = guest.answer()
            assert isinstance(reply, Rwrite)
            assert (reply.tag, 0 < reply.count <= 50_000) == (tag, True)
            assert len(client.recv(1 << 20, socket.MSG_WAITALL | socket.MSG_DONTWAIT)) > 0

    def test_a_guest_that_does_not_read_stops_the_client(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            sent, received = full(client), 0
            while received < sent:
                guest.read(fid, 100_000)
                received += len(guest.got())
            assert received == sent
            client.send(b"goes on")
            guest.read(fid)
            assert guest.got() == b"goes on"

    def test_of_a_large_write_that_waits_the_beginning_is_kept(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            taken, _tag = fill(guest, fid)
            tag = guest.write(fid, b"y" * (LATE_BYTES + 1))
            received = b""
            counts = {}
            while tag not in counts:
                received += client.recv(1 << 20)
                guest.awake(0)
                for reply, _data in iter(guest.take, None):
                    assert isinstance(reply, Rwrite)
                    counts[reply.tag] = reply.count
            while len(received) < taken + sum(counts.values()):
                received += client.recv(1 << 20)
            assert 0 < counts[tag] <= LATE_BYTES
            assert received.endswith(b"x" + b"y" * counts[tag])

    def test_writes_keep_their_order(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            fill(guest, fid)
            for letter in b"abc":
                guest.write(fid, bytes([letter]))
            received = b""
            while not received.endswith(b"c"):
                received += client.recv(1 << 20)
                guest.awake(0)
            assert received.endswith(b"xabc")

    def test_reads_are_answered_in_order(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            first, second = guest.read(fid, 3), guest.read(fid, 3)
            client.send(b"abcdefghi")
            third = guest.read(fid, 3)  # comes before the worker has looked
            answers = [guest.answer_with_data() for _ in range(3)]
            assert answers == [
                (Rread(first, 3), b"abc"),
                (Rread(second, 3), b"def"),
                (Rread(third, 3), b"ghi"),
            ]


def test_a_reply_that_waited_for_room_in_the_ring_comes_whole(guest: Guest) -> None:
    with guest.dom0() as client:
        fid = guest.opened()
        tags = [guest.read(fid, 60_000) for _ in range(4)]
        client.sendall(b"z" * 150_000)
        done = 0
        for tag in tags:
            reply, data = guest.answer_with_data()
            assert isinstance(reply, Rread)
            assert (reply.tag, reply.count) == (tag, len(data))
            done += len(data)
            guest.serve()  # the ring has room again
            if done == 150_000:
                break
        assert done == 150_000
