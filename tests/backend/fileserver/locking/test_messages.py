"""Tlock, Tgetlock: owners of one session, two sessions, and other processes of Dom0."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import Limits, Slots
from backend.fileserver.locking import MAX_CLIENT_ID
from backend.fileserver.locks import MAX_END
from protocol.ninep.flags import (
    DOTL_DIRECTORY,
    DOTL_RDWR,
    LOCK_BLOCKED,
    LOCK_FLAGS_BLOCK,
    LOCK_SUCCESS,
    LOCK_TYPE_RDLCK,
    LOCK_TYPE_UNLCK,
    LOCK_TYPE_WRLCK,
)
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Tgetlock, Tlock
from tests.backend.fileserver.client import TAG, Client, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.fileserver.lock_holder import LockHolder

READ, WRITE, UNLOCK = LOCK_TYPE_RDLCK, LOCK_TYPE_WRLCK, LOCK_TYPE_UNLCK
FREE = (UNLOCK, 0, 0, 1, b"guest")


class TestOwnersOfOneSession:
    def test_conflict_as_readers_and_writers_do(self, client: Client, file: Fid) -> None:
        assert client.lock(file, READ, 0, 10, pid=1) == LOCK_SUCCESS
        assert client.lock(file, READ, 5, 10, pid=2) == LOCK_SUCCESS
        assert client.lock(file, WRITE, 9, 1, pid=1) == LOCK_BLOCKED
        assert client.lock(file, WRITE, 0, 5, pid=1) == LOCK_SUCCESS
        assert client.lock(file, READ, 4, 1, pid=2) == LOCK_BLOCKED
        client.unlock(file, 5, 0, pid=2)
        assert client.lock(file, WRITE, 0, 0, pid=1) == LOCK_SUCCESS

    def test_are_told_of_each_other(self, client: Client, file: Fid) -> None:
        assert client.getlock(file, WRITE) == FREE
        client.lock(file, READ, 100, 50, pid=7)
        client.lock(file, WRITE, 10, 20, pid=8)
        client.lock(file, WRITE, 1000, 0, pid=9)
        assert client.getlock(file, WRITE) == (WRITE, 10, 20, 8, b"guest")
        assert client.getlock(file, READ, 50, 100, pid=1)[0] == UNLOCK
        assert client.getlock(file, WRITE, 50, 100) == (READ, 100, 50, 7, b"guest")
        assert client.getlock(file, WRITE, 999, 2) == (WRITE, 1000, 0, 9, b"guest")
        assert client.getlock(file, WRITE, 0, 30, pid=8)[0] == UNLOCK  # its own

    def test_the_type_that_linux_asks_with_prefers_an_exclusive_lock(
        self, client: Client, file: Fid
    ) -> None:
        client.lock(file, READ, 0, 1, pid=7)
        assert client.getlock(file, UNLOCK) == (READ, 0, 1, 7, b"guest")
        client.lock(file, WRITE, 5, 1, pid=8)
        assert client.getlock(file, UNLOCK) == (WRITE, 5, 1, 8, b"guest")

    def test_of_the_same_number_on_another_client_are_others(
        self, client: Client, file: Fid
    ) -> None:
        assert client.lock(file, WRITE) == LOCK_SUCCESS
        reply = client.call(Tlock(TAG, file, WRITE, 0, 0, 0, 1, b"elsewhere"))
        assert reply.status == LOCK_BLOCKED

    def test_unlock_through_any_fid_and_only_what_they_hold(
        self, client: Client, file: Fid
    ) -> None:
        second = client.open(b"file")
        client.lock(file, WRITE, 0, 10)
        client.unlock(second, 0, 10, pid=2)
        assert client.lock(second, READ, 0, 1, pid=2) == LOCK_BLOCKED
        client.unlock(second, 0, 10)
        assert client.lock(second, READ, 0, 1, pid=2) == LOCK_SUCCESS
        client.unlock(file)  # holds nothing any more
        client.unlock(file, pid=2)
        client.unlock(file, pid=2)  # nobody holds anything

    def test_do_not_lock_each_others_files(self, client: Client, file: Fid) -> None:
        assert client.lock(file) == LOCK_SUCCESS
        assert client.lock(client.create(b"another"), pid=2) == LOCK_SUCCESS


class TestOtherProcesses:
    def test_see_exactly_what_the_session_holds(
        self, client: Client, file: Fid, dom0: LockHolder
    ) -> None:
        client.lock(file, READ, 0, 10, pid=1)
        client.lock(file, READ, 5, 10, pid=2)
        assert dom0.ask("r", 0, 20)
        dom0.ask("u")
        assert [dom0.ask("w", byte, 1) for byte in (0, 4, 5, 9, 10, 14, 15)] == [False] * 6 + [True]
        client.unlock(file, 0, 0, pid=1)
        # What the second reader holds stays locked, the rest is free.
        assert [dom0.ask("w", byte, 1) for byte in (0, 4, 5, 9, 10, 14)] == [True] * 2 + [False] * 4
        dom0.ask("u")
        client.lock(file, WRITE, 0, 100, pid=2)
        assert not dom0.ask("r", 50, 1)
        client.lock(file, READ, 40, 20, pid=2)
        assert [dom0.ask("r", byte, 1) for byte in (39, 40, 59, 60)] == [False, True, True, False]
        assert not dom0.ask("w", 50, 1)
        client.unlock(file, 0, 0, pid=2)
        assert dom0.ask("w")

    def test_are_in_the_way_and_described_without_a_name(
        self, client: Client, file: Fid, dom0: LockHolder
    ) -> None:
        dom0.ask("r", 0, 10)
        dom0.ask("w", 20, 0)
        assert client.lock(file, WRITE, 5, 1) == LOCK_BLOCKED
        for _ in range(2):  # without and with a lock of the session's own
            assert client.getlock(file, READ, 0, 10) == (UNLOCK, 0, 10, 1, b"guest")
            assert client.getlock(file, WRITE, 0, 10) == (READ, 0, 10, 0, b"")
            assert client.getlock(file, UNLOCK) == (WRITE, 20, 0, 0, b"")
            assert client.lock(file, WRITE, 5, 1) == LOCK_BLOCKED
            assert client.lock(file, READ, 5, 1) == LOCK_SUCCESS
        dom0.kill()
        assert client.lock(file, WRITE) == LOCK_SUCCESS

    def test_that_read_keep_a_reader_from_writing_and_him_his_lock(
        self, client: Client, file: Fid, dom0: LockHolder
    ) -> None:
        assert dom0.ask("r")
        assert client.lock(file, READ) == LOCK_SUCCESS
        assert client.lock(file, WRITE) == LOCK_BLOCKED
        dom0.ask("u")
        assert not dom0.ask("w")
        assert client.lock(file, WRITE) == LOCK_SUCCESS

    def test_another_session_is_one_even_in_this_process(
        self, client: Client, file: Fid, other: Client
    ) -> None:
        theirs = other.open(b"file", flags=DOTL_RDWR)
        assert client.lock(file, WRITE, 0, 10) == LOCK_SUCCESS
        assert other.lock(theirs, READ, 9, 2) == LOCK_BLOCKED  # of the same owner by name
        assert other.lock(theirs, WRITE, 10, 0) == LOCK_SUCCESS
        assert client.getlock(file, WRITE) == (WRITE, 10, 0, 0, b"")
        client.mount()
        assert other.lock(theirs, WRITE) == LOCK_SUCCESS


class TestAFidsEnd:
    def test_gives_back_what_was_locked_through_it_and_no_more(
        self, client: Client, other: Client, file: Fid
    ) -> None:
        second = client.open(b"file", flags=DOTL_RDWR)
        client.lock(file, READ, 0, 30, pid=1)
        client.lock(second, READ, 10, 10, pid=1)
        client.lock(second, READ, 25, 10, pid=2)
        theirs = other.open(b"file", flags=DOTL_RDWR)
        client.clunk(file)
        free = [byte for byte in range(40) if other.lock(theirs, WRITE, byte, 1) == LOCK_SUCCESS]
        assert free == [*range(10), *range(20, 25), *range(35, 40)]
        client.clunk(second)
        assert other.lock(theirs, WRITE) == LOCK_SUCCESS

    def test_the_end_of_a_fid_that_locked_nothing_changes_nothing(
        self, client: Client, other: Client, file: Fid
    ) -> None:
        second = client.open(b"file")
        client.lock(second, READ, pid=2)
        client.unlock(second, pid=2)
        client.lock(file)
        client.clunk(second)
        assert other.lock(other.open(b"file"), READ) == LOCK_BLOCKED

    def test_a_new_session_has_no_locks(self, client: Client, file: Fid) -> None:
        client.lock(file, WRITE, 0, 10)
        client.lock(file, READ, 20, 10)
        client.mount()
        assert len(client.session.locks) == client.limits.locks.used == 0
        assert client.lock(client.open(b"file"), WRITE, pid=2) == LOCK_SUCCESS

    @pytest.mark.parametrize("then", [UNLOCK, WRITE])
    def test_a_fid_that_stands_for_another_file_leaves_no_lock_on_the_first(
        self, client: Client, other: Client, file: Fid, then: int
    ) -> None:
        """As with commit=atomic, where a file that is written anew is another one."""
        client.lock(file)
        second = client.session.fids[client.create(b"second")]
        client.session.fids[file].move(second.node.hold(), None)
        assert client.lock(file, then) == LOCK_SUCCESS
        assert other.lock(other.open(b"file", flags=DOTL_RDWR)) == LOCK_SUCCESS
        assert len(client.session.locks) == (then != UNLOCK)

    def test_a_lock_outlives_the_files_name(self, client: Client, other: Client, file: Fid) -> None:
        theirs = other.open(b"file", flags=DOTL_RDWR)
        client.unlink(b"file")
        assert client.lock(file) == LOCK_SUCCESS
        assert other.lock(theirs) == LOCK_BLOCKED


class TestRefusals:
    def test_what_is_not_open(self, client: Client, file: Fid) -> None:
        for fid in (client.walk(b"file"), Fid(99)):
            with refused(errno.EBADF):
                client.lock(fid)
            with refused(errno.EBADF):
                client.getlock(fid)
        client.lock(file)

    def test_directories(self, client: Client) -> None:
        fid = client.open(flags=DOTL_DIRECTORY)
        with refused(errno.EISDIR):
            client.lock(fid)
        assert client.getlock(fid) == FREE

    @pytest.mark.parametrize(
        ("start", "length", "code"),
        [
            (MAX_END + 1, 0, errno.EINVAL),
            ((1 << 64) - 1, 1, errno.EINVAL),
            (MAX_END, 2, errno.EOVERFLOW),
            (1, MAX_END + 1, errno.EOVERFLOW),
            (0, (1 << 64) - 1, errno.EOVERFLOW),
        ],
    )
    def test_bytes_beyond_any_file(
        self, client: Client, file: Fid, start: int, length: int, code: int
    ) -> None:
        for kind in (READ, UNLOCK):
            with refused(code):
                client.lock(file, kind, start, length)
        with refused(code):
            client.getlock(file, READ, start, length)

    def test_the_last_bytes_that_there_are(self, client: Client, file: Fid) -> None:
        for start, length in ((MAX_END, 0), (MAX_END, 1), (0, MAX_END), (0, MAX_END + 1), (0, 0)):
            assert client.lock(file, WRITE, start, length) == LOCK_SUCCESS
            shown = 0 if start + length > MAX_END else length
            assert client.getlock(file, WRITE, pid=2) == (WRITE, start, shown, 1, b"guest")
            client.unlock(file, start, length)

    def test_unknown_types_and_flags(self, client: Client, file: Fid) -> None:
        for kind in (3, 255):
            with refused(errno.EINVAL):
                client.lock(file, kind)
            with refused(errno.EINVAL):
                client.getlock(file, kind)
        for flags in (4, 1 << 31):
            with refused(errno.EINVAL):
                client.lock(file, flags=flags)

    def test_a_client_name_that_is_too_long_to_keep(self, client: Client, file: Fid) -> None:
        name = b"x" * MAX_CLIENT_ID
        assert client.call(Tlock(TAG, file, WRITE, 0, 0, 0, 1, name)).status == LOCK_SUCCESS
        for request in (
            Tlock(TAG, file, WRITE, 0, 0, 0, 1, name + b"x"),
            Tgetlock(TAG, file, WRITE, 0, 0, 1, name + b"x"),
        ):
            with refused(errno.EINVAL):
                client.call(request)


class TestLimits:
    @pytest.fixture
    def client(self, export: Path) -> Iterator[Client]:
        limits = Limits(locks=Slots("locks", 3, errno.ENOLCK))
        client = Client(str(export), limits)
        client.mount()
        yield client
        client.close()

    def test_on_ranges_hold_over_all_files(self, client: Client, file: Fid) -> None:
        second = client.create(b"second")
        client.lock(file, READ, 0, 1)
        client.lock(file, READ, 10, 1)
        client.lock(second, READ, 0, 10)
        with refused(errno.ENOLCK):
            client.lock(second, READ, 20, 1)
        with refused(errno.ENOLCK):
            client.lock(second, READ, 20, 1, flags=LOCK_FLAGS_BLOCK)
        with refused(errno.ENOLCK):
            client.unlock(second, 4, 1)  # leaves two
        assert client.lock(second, READ, 10, 1) == LOCK_SUCCESS  # still one
        client.unlock(file, 0, 5)
        client.unlock(second, 4, 1)
        with refused(errno.ENOLCK):
            client.lock(client.create(b"third"))
        assert client.session.locks.find(client.session.fids[file]) is not None
        assert len(client.session.locks) == 2

    def test_an_unlock_that_fails_changes_nothing(
        self,
        client: Client,
        file: Fid,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        client.lock(file, WRITE, 0, 10)

        def fail(*_: object) -> None:
            raise OSError(errno.ENOLCK, "the kernel has no memory")

        with monkeypatch.context() as patched:
            patched.setattr("backend.fileserver.ofd_locks.unlock", fail)
            with refused(errno.ENOLCK):
                client.unlock(file, 0, 5)
            assert client.getlock(file, WRITE, pid=2) == (WRITE, 0, 10, 1, b"guest")
            client.clunk(file)
        assert "locks of a fid that was clunked" in caplog.text
        assert len(client.session.locks) == client.limits.locks.used == 0

    def test_descriptors_are_the_trees(self, client: Client, file: Fid) -> None:
        slots = client.local._descriptors
        before = slots.used
        client.lock(file)
        assert slots.used == before + 1
        used, slots.used = slots.used, slots.capacity
        fid = client.session.fids[file]
        client.unlock(file)
        slots.used += 1
        with refused(errno.EMFILE):
            client.lock(file)
        slots.used = used - 1
        assert fid.is_open
