"""The record locks of a session, made known to the kernel: a table per file, and one descriptor.

The table arbitrates between the owners of the session, the kernel between this process and all
others: the workers of other guests, and Dom0's own programs.  For that, one open file description
per file holds what the session's owners hold together.  Where the table lets a lock pass, nobody
else of the session holds these bytes, or all read them; so that lock is what the kernel is to know
of these bytes, and is all it has to be asked.

A lock goes with the fid that it was taken through, if it was not given back before.  So nothing is
left behind when the client's process is not the one that locked, as with flock(1) in a shell.
"""

from __future__ import annotations

import errno
import logging
import os
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from backend.fileserver import ofd_locks
from backend.fileserver.locks import Claim, LockOwner, LockTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import File
    from backend.fileserver.limits import Slots
    from backend.fileserver.locks import Range, Span
    from backend.fileserver.tree import Tree

log = logging.getLogger(__name__)

ELSEWHERE: Final = LockOwner(b"", 0)
"""Who holds a lock that is not this session's.  Whether a process of Dom0 or another guest, and
which, is no guest's business."""

_NOT_WRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY)


class Wait:
    """A lock that is waited for."""

    __slots__ = ("blockers", "claim", "seen", "state")

    def __init__(self, claim: Claim, state: FidState) -> None:
        self.claim: Final = claim
        self.state: FidState | None = state
        """The fid to lock through; ``None`` when it has been clunked."""
        self.blockers: frozenset[LockOwner] = frozenset()
        """Who of the session was in the way at the last look,"""
        self.seen = -1
        """which was after so many changes of the table."""


class LockedFile:
    """A file with locks, or with someone waiting for one."""

    def __init__(self, file: File, files: LockedFiles, path: int) -> None:
        """Take over ``file``, whose descriptor holds the locks."""
        self._file = file
        self._files = files
        self._slots = files.slots
        self._path = path
        self._table = LockTable()
        self._changes = 0
        self._waits: list[Wait] = []

    @property
    def in_use(self) -> bool:
        """Whether anything is locked or waited for; the descriptor is not touched otherwise."""
        return bool(self._table) or bool(self._waits)

    def fileno(self) -> int:
        """The descriptor that holds the locks."""
        return self._file.fileno()

    def spans(self, owner: LockOwner) -> list[Span]:
        """What ``owner`` holds."""
        return self._table.spans(owner)

    def restored(self, owner: LockOwner, spans: list[Span]) -> None:
        """Let ``owner`` hold ``spans``, as the kernel knows it does.  Raises ``OSError`` ENOLCK."""
        self._slots.take(len(spans))
        self._table.put(owner, sorted(spans, key=lambda span: span.start))

    def lock(self, claim: Claim, state: FidState) -> bool:
        """Take a lock through a fid, unless another's is in the way.

        Raises ``OSError``: ENOLCK, EBADF (the file is not to be had for writing, or for reading).
        """
        return not any(self._table.in_the_way(claim)) and self._take(claim, state)

    def unlock(self, owner: LockOwner, start: int, end: int) -> None:
        """Give bytes back, whichever fid they were locked through.  Raises ``OSError`` ENOLCK."""
        given = self._table.ranges(owner, start, end)
        if not given:
            return
        spans = self._table.without(owner, start, end)
        before = self._table.spans(owner)
        self._slots.check(len(spans) - len(before))
        self._put(owner, spans)
        try:
            self._unlock(given)
        except OSError:
            self._put(owner, before)
            raise
        self.settle()

    def drop(self, state: FidState) -> None:
        """The fid is clunked: give back all that was locked through it."""
        for wait in self._waits:
            if wait.state is state:
                wait.state = None
        given: list[Range] = []
        for owner, spans in list(self._table.taken_through(state)):
            given += [
                (span.start, span.end) for span in self._table.spans(owner) if span.through is state
            ]
            self._put(owner, spans)
        if not given:
            return
        try:
            self._unlock(given)
        except OSError as error:
            # Nobody is there to try again; what is left goes with the session's last lock here.
            log.warning("locks of a fid that was clunked: %s", error)
        self.settle()

    def queue(self, claim: Claim, state: FidState) -> Wait:
        """Wait for a lock, behind those who wait already; ends by ``leave``."""
        wait = Wait(claim, state)
        self._waits.append(wait)
        return wait

    def attempt(self, wait: Wait) -> bool:
        """Take the lock that is waited for, if its turn has come.

        Raises ``OSError``: EBADF when the fid has been clunked, and as ``lock``.
        """
        if wait.state is None:
            raise OSError(errno.EBADF, "the fid was clunked while the lock was waited for")
        if wait.seen != self._changes:
            wait.seen = self._changes
            wait.blockers = frozenset(lock.owner for lock in self._table.in_the_way(wait.claim))
        if wait.blockers or self._is_behind(wait):
            return False
        return self._take(wait.claim, wait.state)

    def leave(self, wait: Wait) -> None:
        """Wait no longer."""
        self._waits.remove(wait)
        self.settle()

    def in_the_way(self, claim: Claim) -> Claim | None:
        """A lock that ``claim`` conflicts with, the session's own first."""
        return min(
            self._table.in_the_way(claim), key=lambda lock: lock.start, default=None
        ) or elsewhere(self._file, claim)

    def settle(self) -> None:
        """Let go of the file when it is not needed any more."""
        if not self.in_use:
            self._files.forget(self._path)
            try:
                self._file.discard()
            except OSError as error:
                log.warning("closing a file that was opened for its locks: %s", error)

    def _is_behind(self, wait: Wait) -> bool:
        """Whether somebody came before who waits for others of the session, and would have to wait
        for this one too.  So readers cannot keep a writer out for ever.

        Not if that one waits for nobody but this one's owner, or for another process: then it has
        nothing from our waiting.
        """
        owner = wait.claim.owner
        return any(
            other.blockers - {owner} and other.claim.conflicts(wait.claim)
            for other in takewhile(lambda other: other is not wait, self._waits)
        )

    def _take(self, claim: Claim, state: FidState) -> bool:
        """As ``lock``, where nobody of the session is in the way."""
        spans = self._table.with_lock(claim, state)
        self._slots.check(len(spans) - len(self._table.spans(claim.owner)))
        if not ofd_locks.lock(self._file.fileno(), claim.start, claim.end, write=claim.write):
            return False
        self._put(claim.owner, spans)
        return True

    def _put(self, owner: LockOwner, spans: list[Span]) -> None:
        growth = len(spans) - len(self._table.spans(owner))
        if growth > 0:
            self._slots.take(growth)
        else:
            self._slots.give(-growth)
        self._table.put(owner, spans)
        self._changes += 1
        if self._files.changed is not None:
            self._files.changed.add((self, owner))

    def _unlock(self, ranges: Iterable[Range]) -> None:
        """Tell the kernel of what was given back, but for what others of the session still read."""
        for start, end in self._table.free_in(ranges):
            ofd_locks.unlock(self._file.fileno(), start, end)


class LockedFiles:
    """The locked files of a session, by qid path: while one is open, no other can have its."""

    def __init__(self, slots: Slots) -> None:
        """``slots`` bounds the ranges that are locked."""
        self.slots: Final = slots
        self.changed: set[tuple[LockedFile, LockOwner]] | None = None
        """Whose locks became others, where somebody keeps account of it."""
        self._files: dict[int, LockedFile] = {}

    def __len__(self) -> int:
        return len(self._files)

    def find(self, state: FidState) -> LockedFile | None:
        """The file of a fid, if anything is locked or waited for there."""
        found = self._files.get(state.node.qid.path)
        if found is None and state.locked is not None and state.locked.in_use:
            return state.locked
        return found

    def open(self, tree: Tree, state: FidState) -> LockedFile:
        """The file of an open fid; the caller ends with ``settle``, in case nothing was locked.

        Raises ``OSError``: EMFILE, EISDIR, and what opening it says.
        """
        path = state.node.qid.path
        locked = self._files.get(path)
        if locked is None:
            locked = self.opened(_open(tree, state), path)
        if state.locked is not locked:
            if state.locked is not None:
                # That has ended, or another file was here before (``commit=atomic``).
                state.locked.drop(state)
            state.locked = locked
        return locked

    def opened(self, file: File, path: int) -> LockedFile:
        """The locked file of this qid path, of which there is none yet; takes ``file`` over."""
        locked = self._files[path] = LockedFile(file, self, path)
        return locked

    def descriptors(self) -> set[int]:
        """Those that hold locks."""
        return {locked.fileno() for locked in self._files.values()}

    def forget(self, path: int) -> None:
        """That file is not locked any more."""
        del self._files[path]


def elsewhere(file: File, claim: Claim) -> Claim | None:
    """A lock of another process that ``claim`` conflicts with."""
    found = ofd_locks.in_the_way(file.fileno(), claim.start, claim.end, write=claim.write)
    if found is None:
        return None
    (start, end), write = found
    return Claim(ELSEWHERE, start, end, write)


def _open(tree: Tree, state: FidState) -> File:
    """Open a fid's file once more, for its locks alone.

    For reading and writing where possible: flock(2) asks for no access of a kind, and the next lock
    may come through a fid with more than this one has.  Otherwise with the fid's own access.
    """
    try:
        return tree.open_for_locks(state.node, os.O_RDWR)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
    own = os.O_WRONLY if state.file.writable else os.O_RDONLY
    return tree.open_for_locks(state.node, own)
