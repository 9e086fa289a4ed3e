"""The policy of a share with ``max-space``, ``max-files`` or ``auto-delete``.

Space that is full is ENOSPC, as on a disk of that size, which is what statfs shows: df in the guest
agrees with the error.  Files that are full are EDQUOT: "no space left" would send people to df,
which shows space, where "disk quota exceeded" names the cause.

Each operation knows what it may add at the most, asks for that much room (``quota_room``), and has
the ledger count what it did add.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from backend.fileserver.creating import create_or_open
from backend.fileserver.inode_table import UNIT
from backend.fileserver.policies.counting import INTERVAL, Counting
from backend.fileserver.policies.forwarding import ForwardingTree
from backend.fileserver.policies.oldest_first import OldestFirst
from backend.fileserver.policies.quota_files import HeldFile, QuotaFile
from backend.fileserver.policies.quota_room import Room
from backend.fileserver.root import PIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.fileserver.files import Changes, Device, File, Node, OpenNote, Owner, Space
    from backend.fileserver.ledger import Ledger
    from backend.fileserver.limits import Slots
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Qid

_NEW_ENTRY: Final = 3
"""File system blocks that a new name may add to its directory: ext4 splits a leaf and an index
block, and converts the first block to an index."""


class QuotaTree(ForwardingTree):
    """Around the tree of a Dom0 directory, whose nodes' descriptors are the files themselves."""

    def __init__(
        self,
        inner: Tree,
        ledger: Ledger,
        *,
        max_space: int | None = None,
        max_files: int | None = None,
        auto_delete: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        """Limits in bytes and files.  The ledger is closed with the tree.

        Nothing is counted yet: that starts with the first request, in a thread, which must not be
        there before the worker has confined itself.
        """
        super().__init__(inner)
        self.ledger: Final = ledger
        self._counting = Counting(ledger, inner.root.fd, auto_delete=auto_delete, interval=interval)
        self.room: Final = Room(
            ledger,
            self._counting,
            OldestFirst(self, self._counting) if auto_delete else None,
            max_space=max_space,
            max_files=max_files,
        )
        self._root_key = ledger.key(inner.root.qid.path, inner.root.fd)
        ledger.hold(self._root_key, inner.root.fd)

    def close(self) -> None:
        self._counting.stop()
        self.ledger.close()
        self.inner.close()

    # What hands out a node: the ledger learns that its inode is held.

    def lookup(self, parent: Node, name: bytes) -> Node:
        return self._adopt(self.inner.lookup(parent, name))

    def parent(self, node: Node) -> Node:
        above = self.inner.parent(node)
        return above if above is self.root else self._adopt(above)

    def open(self, node: Node, flags: int) -> File:
        if node.kind != stat.S_IFREG:
            return self.inner.open(node, flags)
        if flags & (os.O_ACCMODE | os.O_TRUNC):
            self._counting.ready()
        file = self.inner.open(node, flags)
        if flags & os.O_TRUNC:
            self.ledger.settle(self.key(node), node.fd)
        return self._opened(node, file, flags)

    def open_for_locks(self, node: Node, flags: int) -> File:
        return HeldFile(self.ledger, self.key(node), self.inner.open_for_locks(node, flags))

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        def create() -> tuple[Node, File]:
            with self._room_for_entry(parent, name):
                node, file = self.inner.create(parent, name, flags | os.O_EXCL, mode, owner)
                # Whatever has become of its name: who removed it has counted it off.
                return self._created(node, file, flags, named=True)

        return create_or_open(self, create, parent, name, flags)

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        with self.room.adding(_blocks(parent), 1):
            node, file = self.inner.create_unnamed(parent, name, flags, mode, owner)
            # Where there are no unnamed files it has a name, which nobody else can guess.
            try:
                named = os.fstat(node.fd).st_nlink > 0
            except OSError:
                node.release()
                file.discard()
                raise
            return self._created(node, file, flags, named=named)

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        def publish() -> None:
            self.inner.publish(node, parent, name)
            self._settle(node)

        self._replacing(parent, name, publish)

    # What adds a name.

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        return self._make(parent, name, lambda: self.inner.mkdir(parent, name, mode, owner))

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        return self._make(parent, name, lambda: self.inner.symlink(parent, name, target, owner))

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        return self._make(parent, name, lambda: self.inner.mknod(parent, name, mode, device, owner))

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        with self._spared(self.key(node)), self._room_for_entry(parent, name, files=0):
            self.inner.link(node, parent, name)

    # What removes a name, if only by putting another file there: one worker at a time.

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        self._counting.ready()
        # The turn ends first: freeing what a large file had on disk may take its time.
        with ExitStack() as held, self.ledger.turn():
            key, fd = held.enter_context(self._pinned(parent, name))
            self.inner.unlink(parent, name, directory=directory)
            self.ledger.settle(key, fd)
        self._settle(parent)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        move = partial(self.inner.rename, old_parent, old_name, new_parent, new_name)
        with self._pinned(old_parent, old_name) as (key, _fd), self._spared(key):
            self._replacing(new_parent, new_name, move)
        self._settle(old_parent)

    def _replacing(self, parent: Node, name: bytes, move: Callable[[], None]) -> None:
        """``move`` puts a file under a name, perhaps over another one."""
        self._counting.ready()
        while refusal := self._replaced(parent, name, move):
            if not self.room.look_again():
                raise refusal
        self._settle(parent)

    def _replaced(self, parent: Node, name: bytes, move: Callable[[], None]) -> OSError | None:
        """Do it, or say why not: that needs room for a new name and there is none."""
        with ExitStack() as held, self.ledger.turn():
            key, fd = -1, -1
            try:
                key, fd = held.enter_context(self._pinned(parent, name))
            except FileNotFoundError:
                if not self.room.make(_new_entry(parent), 0):
                    return self.room.full(_new_entry(parent))
            move()
            if fd >= 0:
                self.ledger.settle(key, fd)
        return None

    # What changes a file's size.

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        if changes.size is None:
            return self.inner.setattr(node, file, changes)
        self._counting.ready()
        try:
            self.inner.setattr(node, file, changes)
        finally:
            self._settle(node)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        blocks = -(-(len(name) + len(value)) // UNIT) + _blocks(node)
        with self._spared(self.key(node)), self.room.adding(blocks):
            self.inner.xattr_set(node, name, value, flags)
            self._settle(node)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        self._counting.ready()
        self.inner.xattr_remove(node, name)
        self._settle(node)

    def statfs(self, node: Node) -> Space:
        space = self.inner.statfs(node)
        self._counting.ready()
        return self.room.shown(space)

    # For a worker that goes on where another has died.

    def begin_again(self) -> None:
        """Another process held what this ledger says is held: before the first ``adopt``."""
        self.ledger.begin_again()
        self._counting.begin_again()

    def go_on(self) -> None:
        """All has been adopted; whatever else the other process held is closed."""
        self.ledger.go_on()

    def adopt(self, fd: int, note: int = 0) -> Node:
        node = self._adopt(self.inner.adopt(fd, note))
        self._settle(node)
        return node

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        file = self.inner.adopt_open(node, fd, note)
        if node.kind != stat.S_IFREG:
            return file
        return self._opened(node, file, fcntl.fcntl(fd, fcntl.F_GETFL))

    def adopt_for_locks(self, node: Node, fd: int) -> File:
        return HeldFile(self.ledger, self.key(node), self.inner.adopt_for_locks(node, fd))

    # For the files of this tree, and for who deletes from it.

    def key(self, node: Node) -> int:
        """The ledger's key of a node's inode."""
        return self.ledger.key(node.qid.path, node.fd)

    def wait_until_counted(self) -> None:
        """Before anything changes that is counted.  Raises ``OSError`` where it cannot be."""
        self._counting.ready()

    @contextmanager
    def _room_for_entry(self, parent: Node, name: bytes, files: int = 1) -> Iterator[None]:
        """The body adds a name to ``parent``, and so many files."""
        try:
            with self.room.adding(_new_entry(parent) + files * _blocks(parent), files):
                yield
                with suppress(OSError):  # what was made is there; the next count sees it all
                    self._settle(parent)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                _check_free(parent, name)
            raise

    @contextmanager
    def _spared(self, key: int) -> Iterator[None]:
        """A held file that is not to be deleted to make room for what is done with it."""
        self.ledger.opened(key)
        try:
            yield
        finally:
            self.ledger.closed(key)

    def _make(self, parent: Node, name: bytes, make: Callable[[], Qid]) -> Qid:
        with self._room_for_entry(parent, name):
            qid = make()
            try:
                with self._pinned(parent, name) as (key, fd):
                    same = key == self.ledger.key(qid.path, fd)
                    self.ledger.made(key if same else None, 1, _blocks(parent))
            except OSError:
                # It is there, or who removed it has counted it off.
                self.ledger.made(None, 1, _blocks(parent))
        return qid

    def _adopt(self, node: Node) -> Node:
        self._counting.begin()
        try:
            key = self.ledger.key(node.qid.path, node.fd)
            self.ledger.hold(key, node.fd)
        except OSError:
            node.release()
            raise
        node.dispose = partial(self._dispose, key, node.descriptors)
        return node

    def _dispose(self, key: int, descriptors: Slots, fd: int) -> None:
        descriptors.later(partial(self.ledger.let_go, key, fd))

    @contextmanager
    def _pinned(self, parent: Node, name: bytes) -> Iterator[tuple[int, int]]:
        """What is under a name, held for a moment: its key and a descriptor.

        Not a node: those are counted, and what removes a file must work when there are no more.
        """
        fd = os.open(name, PIN, dir_fd=parent.fd)
        try:
            key = self.ledger.key_of(os.fstat(fd))
            self.ledger.hold(key, fd)
        except OSError:
            os.close(fd)
            raise
        try:
            yield key, fd
        finally:
            self.ledger.let_go(key, fd)

    def _settle(self, node: Node) -> None:
        self.ledger.settle(self.key(node), node.fd)

    def _created(self, node: Node, file: File, flags: int, *, named: bool) -> tuple[Node, File]:
        """Count a new file."""
        try:
            self._adopt(node)
        except OSError:
            file.close()
            self.ledger.made(None, int(named))
            raise
        if named:
            self.ledger.made(self.key(node))
        return node, self._opened(node, file, flags)

    def _opened(self, node: Node, file: File, flags: int) -> QuotaFile:
        return QuotaFile(self, file, self.key(node), appends=bool(flags & os.O_APPEND))


def _blocks(node: Node) -> int:
    """A block of the file system, in blocks of the ledger."""
    return os.fstat(node.fd).st_blksize // UNIT


def _new_entry(directory: Node) -> int:
    return _NEW_ENTRY * _blocks(directory)


def _check_free(parent: Node, name: bytes) -> None:
    """Raises ``FileExistsError`` where there is something under the name: that comes first."""
    try:
        os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    except OSError:
        return
    raise FileExistsError(errno.EEXIST, "the name is taken")
