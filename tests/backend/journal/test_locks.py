"""Locks outlive the worker that took them, and whoever waits for one goes on waiting."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver import ofd_locks
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served
from tests.backend.journal.every_point import compare, compare_short_lives
from tests.end_to_end.lives import kill_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.conftest import Served
    from tests.backend.journal.every_point import Said

TAG = Tag(1)
ROOT, FILE, AGAIN = map(Fid, range(3))
READ, WRITE, UNLOCK = f.LOCK_TYPE_RDLCK, f.LOCK_TYPE_WRLCK, f.LOCK_TYPE_UNLCK
WHO = b"guest"


def opened() -> Iterator[m.Message]:
    """A file that two fids have open."""
    yield m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L")
    yield m.Tattach(TAG, ROOT, NOFID, b"", b"", 0)
    yield m.Twalk(TAG, ROOT, FILE, ())
    yield m.Tlcreate(TAG, FILE, b"file", os.O_RDWR | f.DOTL_EXCL, 0o600, 0)
    yield m.Twalk(TAG, ROOT, AGAIN, (b"file",))
    yield m.Tlopen(TAG, AGAIN, os.O_RDWR)


def lock(kind: int, start: int, length: int, owner: int = 1, fid: Fid = FILE) -> m.Message:
    return m.Tlock(TAG, fid, kind, 0, start, length, owner, WHO)


def conversation() -> Iterator[Said]:
    asked = [m.Tgetlock(TAG, FILE, WRITE, at, 10, 9, WHO) for at in range(0, 100, 10)]
    for request in (
        *opened(),
        lock(WRITE, 0, 100),
        *asked,
        lock(WRITE, 50, 10, 2),
        lock(UNLOCK, 40, 20),
        lock(READ, 50, 10, 2, AGAIN),
        lock(READ, 55, 20, 1),
        *asked,
        lock(WRITE, 55, 20, 1),
        lock(READ, 0, 10, 1),
        *asked,
        m.Tclunk(TAG, FILE),
        *(request._replace(fid=AGAIN) for request in asked),
        lock(WRITE, 0, 0, 3, AGAIN),
        lock(UNLOCK, 0, 0, 2, AGAIN),
        lock(WRITE, 0, 0, 3, AGAIN),
        m.Tunlinkat(TAG, ROOT, b"file", 0),
        *(request._replace(fid=AGAIN) for request in asked),
        m.Tclunk(TAG, AGAIN),
    ):
        yield request, b""


def test_a_worker_may_end_anywhere(export: Path) -> None:
    compare(export, "none", conversation)


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_may_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", conversation, seed)


def open_and_lock(guest: Served) -> None:
    for request in opened():
        guest.ask(request)
    assert guest.ask(lock(WRITE, 0, 100))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)


def test_dom0_cannot_take_what_a_dead_worker_locked(export: Path) -> None:
    with served(export, "all") as guest:
        open_and_lock(guest)
        assert kill_worker(guest.process.pid)
        fd = os.open(export / "file", os.O_RDWR)
        assert not ofd_locks.lock(fd, 10, 20, write=True)
        assert guest.ask(lock(UNLOCK, 0, 100))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)
        assert ofd_locks.lock(fd, 10, 20, write=True)
        os.close(fd)


def wait_for(guest: Served, tag: int, owner: int) -> None:
    wait = m.Tlock(Tag(tag), AGAIN, WRITE, f.LOCK_FLAGS_BLOCK, 0, 10, owner, WHO)
    guest.send(encode(wait))


def test_whoever_waits_for_a_lock_gets_it(export: Path) -> None:
    with served(export, "none") as guest:
        open_and_lock(guest)
        wait_for(guest, 5, 2)
        wait_for(guest, 6, 3)
        guest.ask(m.Tgetattr(TAG, ROOT, f.GETATTR_BASIC))
        assert kill_worker(guest.process.pid)
        assert guest.ask(lock(UNLOCK, 0, 100))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)
        assert guest.answer(0) == m.Rlock(Tag(5), f.LOCK_SUCCESS)
        assert guest.ask(lock(UNLOCK, 0, 100, 2))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)
        assert guest.answer(0) == m.Rlock(Tag(6), f.LOCK_SUCCESS)


def test_whoever_was_flushed_waits_no_more(export: Path) -> None:
    with served(export, "none") as guest:
        open_and_lock(guest)
        wait_for(guest, 5, 2)
        wait_for(guest, 6, 3)
        assert guest.ask(m.Tflush(TAG, Tag(5)))[0] == m.Rflush(TAG)
        assert kill_worker(guest.process.pid)
        assert guest.ask(lock(UNLOCK, 0, 100))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)
        assert guest.answer(0) == m.Rlock(Tag(6), f.LOCK_SUCCESS)
