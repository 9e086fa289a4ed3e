"""The end of what waits: Tflush, Tclunk, Tversion, and too many."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from backend.fileserver.parked import MAX_PARKED
from protocol.ninep.flags import DOTL_RDWR, LOCK_TYPE_WRLCK
from protocol.ninep.ids import NOTAG, Tag
from protocol.ninep.messages import (
    Rflush,
    Rlerror,
    Rlopen,
    Rversion,
    Tclunk,
    Tflush,
    Tlock,
    Tlopen,
    Treaddir,
    Tversion,
    Twalk,
)

from .guest import Guest, fill


class TestFlush:
    def flush(self, guest: Guest, tag: Tag) -> None:
        guest.send(Tflush(Tag(2), tag))
        assert guest.take() == (Rflush(Tag(2)), b"")

    def test_an_open_that_is_flushed_accepts_nobody(self, guest: Guest) -> None:
        fid, tag = guest.open()
        self.flush(guest, tag)
        with guest.dom0() as client:
            assert guest.nothing()
            assert isinstance(guest.call(Tlopen(Tag(3), fid, DOTL_RDWR)), Rlopen)
            guest.write(fid, b"greeting")
            assert client.recv(100) == b"greeting"

    def test_a_read_that_is_flushed_takes_nothing(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            self.flush(guest, guest.read(fid))
            client.send(b"for the next")
            assert guest.nothing()
            guest.read(fid)
            assert guest.got() == b"for the next"

    def test_a_write_that_is_flushed_is_not_sent(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            taken, tag = fill(guest, fid)
            self.flush(guest, tag)
            received = 0
            while received < taken:
                received += len(client.recv(1 << 20))
            assert guest.nothing()
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)


def test_the_clunk_of_a_fid_ends_what_waits_for_it(guest: Guest) -> None:
    with guest.dom0() as client:
        fid = guest.opened()
        waiting, _tag = guest.open()
        guest.read(fid)
        guest.send(Tclunk(Tag(5), waiting))
        guest.send(Tclunk(Tag(6), fid))
        answers = {(type(reply), reply.tag) for reply in (guest.answer() for _ in range(4))}
        assert {kind.__name__ for kind, _tag in answers} == {"Rclunk", "Rlerror"}
        assert client.recv(1) == b""
    assert guest.nothing()


def test_a_fid_whose_open_waits_is_not_opened_twice(guest: Guest) -> None:
    fid, tag = guest.open()
    assert guest.call(Tlopen(Tag(3), fid, DOTL_RDWR)) == Rlerror(Tag(3), errno.EINVAL)
    copy = guest.call(Twalk(Tag(3), fid, next(guest.fids), ()))
    assert type(copy).__name__ == "Rwalk"
    with guest.dom0():
        assert guest.answer().tag == tag


def test_a_new_session_waits_for_nothing(guest: Guest) -> None:
    with guest.dom0() as client:
        fid = guest.opened()
        guest.read(fid)
        guest.open()
        assert isinstance(guest.call(Tversion(NOTAG, 8192, b"9P2000.L")), Rversion)
        assert client.recv(1) == b""
    guest.awake(0)
    assert guest.nothing()


def test_a_guest_that_opens_and_never_stops(guest: Guest) -> None:
    fids, refused = [], []
    for _ in range(200):
        fids.append(guest.open()[0])
        refused += [reply for reply, _data in iter(guest.take, None)]
    assert len(refused) == 200 - MAX_PARKED
    assert {type(reply) for reply in refused} == {Rlerror}
    with guest.dom0() as client:
        assert isinstance(guest.answer(), Rlopen)
        guest.write(fids[0], b"one is served")
        assert client.recv(100) == b"one is served"
    for fid in fids:
        guest.send(Tclunk(Tag(1), fid))
        for _reply in iter(guest.take, None):
            pass
    guest.awake()


def test_too_many_open_files_accept_nobody(guest: Guest) -> None:
    limit = guest.session.limits.open_files
    spare = limit.capacity - limit.used
    limit.take(spare)
    with guest.dom0() as client:
        guest.open()
        assert guest.error() == errno.EMFILE
        limit.give(spare)
        fid = guest.opened()
        guest.write(fid, b"now")
        assert client.recv(100) == b"now"


def test_a_process_without_a_descriptor_left_accepts_nobody(guest: Guest) -> None:
    fid = guest.walk()
    with guest.dom0() as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = [os.dup(0)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
        try:
            guest.send(Tlopen(Tag(3), fid, DOTL_RDWR))
            assert guest.error() == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.close(taken[0])
        assert isinstance(guest.call(Tlopen(Tag(3), fid, DOTL_RDWR)), Rlopen)
        guest.write(fid, b"now")
        assert client.recv(100) == b"now"


def test_a_channel_has_no_entries_and_locks_nothing(guest: Guest) -> None:
    with guest.dom0():
        fid = guest.opened()
        assert guest.call(Treaddir(Tag(3), fid, 0, 1000)) == Rlerror(Tag(3), errno.ENOTDIR)
        lock = Tlock(Tag(3), fid, LOCK_TYPE_WRLCK, 0, 0, 0, 1, b"guest")
        assert guest.call(lock) == Rlerror(Tag(3), errno.EOPNOTSUPP)
