"""``commit=atomic``: a file appears in Dom0 when it is closed, whole and on disk, or not at all.

That holds for a file that the guest creates, and for one that it truncates to write it anew; until
it is closed Dom0 keeps the old one.  "Anew" is a truncation to nothing through a fid through which
nothing was written yet: O_TRUNC in Tlopen, or the Tsetattr that Linux sends in its place (its
``v9fs_open_to_dotl_flags`` knows no O_TRUNC), or an ftruncate(2) as QEMU's of an fdset's dup.

All other changes are made in place: who writes into the middle of a file, or shares it with who
does, has no moment at which it is whole.  A replacement has the mode, owner and attributes of the
old file, and this one name.

The guest meanwhile sees what it wrote.  It has the file under its name (``pending`` says when it
is which), and fids that it had of the old one become the new one's: Linux keeps asking the fid it
walked to first, not the one it opened.  For that this tree hands out one and the same node for as
long as a name leads to the same file, and has the two files behind it change places.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from backend.fileserver.creating import create_or_open
from backend.fileserver.files import Changes, OpenNote, Owner
from backend.fileserver.policies.atomic_files import UNTOUCHED, AtomicDirectory, AtomicFile
from backend.fileserver.policies.forwarding import ForwardingTree
from backend.fileserver.policies.known_nodes import KnownNodes
from backend.fileserver.policies.pending import Pending, PendingTable
from backend.fileserver.qids import ShownStatus
from backend.fileserver.unnamed import HIDDEN_PREFIX

if TYPE_CHECKING:
    from backend.fileserver.files import Device, File, New, Node
    from backend.fileserver.policies.pending import Kept
    from backend.fileserver.qids import Status
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Qid


_REOPENED: Final = os.O_ACCMODE | os.O_APPEND | os.O_SYNC | os.O_DSYNC
"""Flags by which a file is opened that is to be as another that is open."""


class AtomicCommitTree(ForwardingTree):
    """Inside it a tree that can ``create_unnamed`` and ``publish``."""

    def __init__(self, inner: Tree) -> None:
        super().__init__(inner)
        self._pending = PendingTable(inner)
        self._known = KnownNodes()
        self._in_place: dict[int, AtomicFile] = {}

    def lookup(self, parent: Node, name: bytes) -> Node:
        if name.startswith(HIDDEN_PREFIX):
            raise OSError(errno.ENOENT, "a hidden name")
        pending = self._pending.at(parent, name)
        if pending is not None:
            return pending.node.hold()
        node = self.inner.lookup(parent, name)
        return self._known.remembered(node, parent, name) if node.kind == stat.S_IFREG else node

    def open(self, node: Node, flags: int) -> File:
        if node.kind == stat.S_IFDIR:
            return AtomicDirectory(self.inner.open(node, flags), self._pending, node)
        if node.kind != stat.S_IFREG or flags & os.O_ACCMODE == os.O_RDONLY:
            return self.inner.open(node, flags)
        # What is pending nobody but the guest sees, so truncating that is as good as any other way.
        pending = self._pending.by_file.get(node.qid.path)
        kept = flags if pending is not None else flags & ~os.O_TRUNC
        file = self._opened(self.inner.open(node, kept), kept, node)
        if pending is not None:
            file.join(pending, file.inner)
            if flags & os.O_TRUNC:
                pending.begin_anew()
        elif flags & os.O_TRUNC:
            try:
                self.setattr(node, file, Changes(size=0))
            except OSError:
                file.discard()
                raise
        return file

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        return create_or_open(
            self, lambda: self._create(parent, name, flags, mode, owner), parent, name, flags
        )

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        self._check_free(parent, name)
        return self.inner.mkdir(parent, name, mode, owner)

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        self._check_free(parent, name)
        return self.inner.symlink(parent, name, target, owner)

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        self._check_free(parent, name)
        return self.inner.mknod(parent, name, mode, device, owner)

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        self._check_free(parent, name)
        if node.qid.path in self._pending.by_file:
            raise OSError(errno.EBUSY, "a file gets further names when it is closed")
        self.inner.link(node, parent, name)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        _check_shown(name, errno.ENOENT)
        pending = self._pending.at(parent, name)
        if pending is None:
            if directory:
                self._check_empty(parent, name)
            self.inner.unlink(parent, name, directory=directory)
        elif directory:
            raise OSError(errno.ENOTDIR, "a file")
        else:
            with suppress(FileNotFoundError):
                self.inner.unlink(parent, name, directory=False)
            pending.drop()
        self._known.forget(parent, name)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        _check_shown(old_name, errno.ENOENT)
        _check_shown(new_name, errno.EACCES)
        source = self._pending.at(old_parent, old_name)
        target = self._pending.at(new_parent, new_name)
        if source is not None and source is target:
            return
        if source is not None:
            self._rename_pending(source, old_parent, new_parent, new_name)
        else:
            if target is not None:
                self._check_file(old_parent, old_name)
            self._check_empty(new_parent, new_name, (old_parent, old_name))
            self.inner.rename(old_parent, old_name, new_parent, new_name)
        if target is not None:
            target.drop()
        if source is not None:
            source.move(new_parent, new_name)
        self._known.moved((old_parent, old_name), (new_parent, new_name))

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        qid, status = self.inner.getattr(node)
        if not status.st_nlink and qid.path in self._pending.by_file:
            # For the guest it has a name; Linux forgets a file that has none.
            status = ShownStatus.of(status)._replace(st_nlink=1)
        return qid, status

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        if changes.size == 0 and file is not None:
            writer = self._in_place.get(file.fileno())
            if writer is not None and writer.untouched:
                self._replace(node, writer)
        self.inner.setattr(node, file, changes)
        if changes.size == 0 and (pending := self._pending.by_file.get(node.qid.path)):
            pending.begin_anew()

    # For a worker that goes on where another has died.

    @property
    def pending(self) -> PendingTable:
        """The files that are being written."""
        return self._pending

    def adopt_pending(self, node: Node, fd: int, kept: Kept) -> Pending:
        """A file that another process had pending, before any that is open."""
        file = self.inner.adopt_open(node, fd, OpenNote())
        return Pending.adopted(self._pending, node, file, kept)

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        if node.kind == stat.S_IFDIR:
            return AtomicDirectory(self.inner.adopt_open(node, fd, note), self._pending, node)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return self.inner.adopt_open(node, fd, note)
        pending = self._pending.numbered(note.serial) if note.serial else None
        if pending is not None and pending.file.fileno() == fd:
            inner = pending.file
        else:
            inner = self.inner.adopt_open(node, fd, note)
        writer = self._opened(inner, flags & _REOPENED, node)
        writer.untouched = bool(note.flags & UNTOUCHED)
        if pending is not None:
            writer.join(pending, inner)
        return writer

    def stands_at(self, node: Node, parent: Node, name: bytes) -> None:
        """A fid that was adopted found its file there."""
        if node.kind == stat.S_IFREG and not self._known.adopted(node, parent, name):
            # Another node does, too: of these, one is the file that has the name now.
            pending = self._pending.at(parent, name)
            here = self._stands_at(node, parent, name) if pending is None else node is pending.node
            if here:
                self._known.stands_at(node, parent, name)

    def gone(self, parent: Node, name: bytes) -> None:
        """Another process has removed the entry."""
        self._known.forget(parent, name)

    def moved(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        """Another process has moved an entry that was not pending."""
        target = self._pending.at(new_parent, new_name)
        if target is not None:
            target.drop()
        self._known.moved((old_parent, old_name), (new_parent, new_name))

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        if stat.S_ISREG(new.mode) and new.flags & os.O_ACCMODE != os.O_RDONLY:
            return None  # it gets its name when it is closed
        return self.inner.finished(parent, name, new)

    def _create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        """Make what was not there."""
        self._check_free(parent, name)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            # It is empty, and nobody is about to write it: whole already.
            node, file = self.inner.create(parent, name, flags | os.O_EXCL, mode, owner)
            return self._known.remembered(node, parent, name), file
        with suppress(FileNotFoundError):
            self.inner.lookup(parent, name).release()
            raise OSError(errno.EEXIST, "the name is taken")
        if not self.inner.getattr(parent)[1].st_nlink:
            raise OSError(errno.ENOENT, "the directory has been removed")
        flags &= ~(os.O_EXCL | os.O_TRUNC)
        node, opened = self.inner.create_unnamed(parent, name, flags, mode, owner)
        writer = self._opened(opened, flags, node)
        writer.join(Pending(self._pending, node, opened, (parent, name)), opened)
        return self._known.remembered(node, parent, name), writer

    def _replace(self, node: Node, writer: AtomicFile) -> None:
        """Have ``writer`` write a new file in place of ``node``'s, if that can be done."""
        writers = [file for file in self._in_place.values() if file.node.qid.path == node.qid.path]
        if not all(file.untouched and file.node is node for file in writers):
            return
        entry = node.entry
        if entry is None or not self._stands_at(node, *entry):
            return
        status = self.inner.getattr(node)[1]
        owner = Owner(status.st_uid, status.st_gid)
        mode = stat.S_IMODE(status.st_mode)
        new, opened = self.inner.create_unnamed(*entry, writer.flags, mode, owner)
        reopened: list[tuple[AtomicFile, File]] = [(writer, opened)]
        try:
            self._copy_attributes(node, new)
            # Linux 6.1 with cache=loose has a second fid open, by which it writes its cache back.
            for file in writers:
                if file is not writer:
                    anew = self.inner.open(new, file.flags)
                    reopened.append((file, anew))  # before the next one may fail
        except OSError:
            new.release()
            for _, anew in reopened:
                anew.discard()
            raise
        self._pending.exchange(node, new)
        pending = Pending(self._pending, node, opened, entry, old=new)
        for file, anew in reopened:
            file.join(pending, anew)

    def _copy_attributes(self, old: Node, new: Node) -> None:
        try:
            names = self.inner.xattr_list(old)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return
        for name in names:
            self.inner.xattr_set(new, name, self.inner.xattr_get(old, name), 0)

    def _opened(self, inner: File, flags: int, node: Node) -> AtomicFile:
        return AtomicFile(inner, flags, node, self._in_place)

    def _rename_pending(
        self, source: Pending, old_parent: Node, new_parent: Node, new_name: bytes
    ) -> None:
        """What Dom0 sees of the renaming of a file that it does not see yet."""
        if new_parent.kind != stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, "not a directory")
        with suppress(FileNotFoundError):
            found = self.inner.lookup(new_parent, new_name)
            found.release()
            if found.kind == stat.S_IFDIR:
                raise OSError(errno.EISDIR, "the name is a directory's")
        here, there = source.node, new_parent
        if self.inner.getattr(here)[1].st_dev != self.inner.getattr(there)[1].st_dev:
            raise OSError(errno.EXDEV, "on another file system")
        if source.replaces:
            with suppress(FileNotFoundError):
                self.inner.rename(old_parent, source.name, new_parent, new_name)

    def _check_free(self, parent: Node, name: bytes) -> None:
        _check_shown(name, errno.EACCES)
        if self._pending.at(parent, name) is not None:
            raise OSError(errno.EEXIST, "the name is taken")

    def _check_empty(
        self, parent: Node, name: bytes, source: tuple[Node, bytes] | None = None
    ) -> None:
        """Dom0 does not know that a directory is not empty when what is in it is pending.

        ``source`` is what is to be there instead, and must be another directory.
        """
        if not self._pending.by_entry:
            return
        with suppress(FileNotFoundError):
            found = self.inner.lookup(parent, name)
            found.release()
            if found.kind != stat.S_IFDIR or not self._pending.within(found.qid.path):
                return
            if source is not None:
                instead = self.inner.lookup(*source)
                instead.release()
                if instead.kind != stat.S_IFDIR or instead.qid.path == found.qid.path:
                    return
            raise OSError(errno.ENOTEMPTY, "files are being written in it")

    def _check_file(self, parent: Node, name: bytes) -> None:
        """Dom0 does not know that the name is taken, and would let a directory have it."""
        found = self.inner.lookup(parent, name)
        found.release()
        if found.kind == stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, "the name is a file's")

    def _stands_at(self, node: Node, parent: Node, name: bytes) -> bool:
        """Whether the file is still where it was found: Dom0 may have moved it."""
        try:
            found = self.inner.lookup(parent, name)
        except OSError:
            return False
        found.release()
        return found.qid.path == node.qid.path


def _check_shown(name: bytes, code: int) -> None:
    if name.startswith(HIDDEN_PREFIX):
        raise OSError(code, "a hidden name")
