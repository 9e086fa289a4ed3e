"""A Tlock that may wait: for whom, in which order, and until when."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from protocol.ninep.flags import (
    DOTL_RDWR,
    LOCK_FLAGS_BLOCK,
    LOCK_FLAGS_RECLAIM,
    LOCK_SUCCESS,
    LOCK_TYPE_RDLCK,
    LOCK_TYPE_WRLCK,
)
from protocol.ninep.messages import Rlock
from tests.backend.fileserver.client import TAG, Client, refused

if TYPE_CHECKING:
    from protocol.ninep.ids import Fid
    from tests.backend.fileserver.lock_holder import LockHolder

READ, WRITE = LOCK_TYPE_RDLCK, LOCK_TYPE_WRLCK


class TestWaiting:
    def test_ends_at_the_unlock_in_order_of_arrival(self, client: Client, file: Fid) -> None:
        client.lock(file, pid=1)
        waiting = [client.wait_for_lock(file, pid=pid) for pid in (2, 3)]
        assert [parked.attempt() for parked in waiting] == [None, None]
        client.unlock(file, pid=1)
        late = client.wait_for_lock(file, pid=4)
        assert waiting[1].attempt() is None
        assert waiting[0].attempt() == Rlock(TAG, LOCK_SUCCESS)
        for parked in (*waiting, late):
            parked.release()
        client.unlock(file, pid=2)

    def test_nobody_waits_for_what_is_free(self, client: Client, file: Fid) -> None:
        assert client.lock(file, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
        assert client.lock(file, READ, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
        assert client.lock(file, flags=LOCK_FLAGS_BLOCK | LOCK_FLAGS_RECLAIM) == LOCK_SUCCESS

    def test_readers_do_not_overtake_a_writer(self, client: Client, file: Fid) -> None:
        client.lock(file, READ, pid=1)
        writer = client.wait_for_lock(file, WRITE, 10, 10, pid=2)
        reader = client.wait_for_lock(file, READ, 15, 10, pid=3)
        # One that only tries may: the lock is free. One elsewhere in the file is not concerned.
        assert client.lock(file, READ, 15, 1, pid=4) == LOCK_SUCCESS
        assert client.lock(file, READ, 20, 5, pid=5, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
        client.unlock(file, pid=4)
        client.unlock(file, pid=1)
        assert writer.attempt() is not None
        writer.release()
        assert reader.attempt() is None
        client.unlock(file, pid=2)
        assert reader.attempt() is not None
        reader.release()

    def test_whoever_is_waited_for_need_not_wait_behind(self, client: Client, file: Fid) -> None:
        client.lock(file, READ, 0, 10, pid=1)
        writer = client.wait_for_lock(file, WRITE, 0, 20, pid=2)
        assert client.lock(file, READ, 0, 20, pid=1, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
        writer.release()

    def test_whoever_gives_up_lets_the_next_one_through(self, client: Client, file: Fid) -> None:
        client.lock(file, READ, pid=1)
        writer = client.wait_for_lock(file, WRITE, pid=2)
        reader = client.wait_for_lock(file, READ, pid=3)
        writer.release()
        assert reader.attempt() is not None
        reader.release()

    def test_for_another_process_keeps_no_reader_out(
        self, client: Client, file: Fid, dom0: LockHolder
    ) -> None:
        dom0.ask("r")
        writer = client.wait_for_lock(file, WRITE, pid=2)
        assert client.lock(file, READ, pid=3, flags=LOCK_FLAGS_BLOCK) == LOCK_SUCCESS
        dom0.kill()
        assert writer.attempt() is None
        client.unlock(file, pid=3)
        assert writer.attempt() == Rlock(TAG, LOCK_SUCCESS)
        writer.release()

    def test_ends_with_the_fid(self, client: Client, file: Fid) -> None:
        second = client.open(b"file", flags=DOTL_RDWR)
        client.lock(file, pid=1)
        parked = client.wait_for_lock(second, pid=2)
        elsewhere = client.wait_for_lock(file, pid=3)
        client.clunk(second)
        with refused(errno.EBADF):
            parked.attempt()
        parked.release()
        assert elsewhere.attempt() is None
        elsewhere.release()

    def test_keeps_the_file_open_as_long_as_it_lasts(self, client: Client, file: Fid) -> None:
        assert len(client.session.locks) == 0
        client.lock(file, pid=1)
        parked = client.wait_for_lock(file, pid=2)
        client.unlock(file, pid=1)
        assert len(client.session.locks) == 1
        parked.release()
        assert len(client.session.locks) == 0
