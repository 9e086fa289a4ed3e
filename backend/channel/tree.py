"""The tree in which channels are files: names in the root, beside whatever else a share shows."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Final

from backend.channel.channel import Channel
from backend.channel.file import KEPT
from backend.fileserver.files import NO_CHANGE, Changes, Node
from backend.fileserver.limits import Slots
from backend.fileserver.local_files import MAX_OFFSET
from backend.fileserver.packing import pack
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.qids import ShownStatus
from backend.share import Direction
from protocol.ninep.flags import DT_REG, QTFILE
from protocol.ninep.messages import Dirent, Qid

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping, Sequence

    from backend.fileserver.files import Device, File, New, OpenNote, Owner, Space
    from backend.fileserver.parked import MustWait
    from backend.fileserver.qids import Status
    from backend.fileserver.readiness import Readiness
    from backend.fileserver.tree import Tree
    from backend.share import NamedChannel

_MODES: Final = {Direction.BOTH: 0o600, Direction.TO_GUEST: 0o400, Direction.FROM_GUEST: 0o200}

PREFIX: Final = 0xFFFF
_QID_PATHS: Final = PREFIX << 48
"""The last of the prefixes that ``QidSpace`` numbers in order: 65,535 file systems come before."""

_CHANNEL: Final = 1 << 31
"""Of a node's note: its channel's number is the rest."""

_COOKIES: Final = MAX_OFFSET - 0xFFFF
"""The channels' places in the root begin after this one.  No file system numbers an entry so high:
of ext4's cookies, which are hashes, the upper half never has all its bits set.  Several use the
very last number for the end."""


class _ChannelNode(Node):
    """A channel's file, held by its tree for as long as that lives."""

    __slots__ = ("channel",)

    def __init__(self, channel: Channel, fd: int, number: int, slots: Slots) -> None:
        # Version 0: Linux caches nothing of such a file, whatever the mount's options say.
        super().__init__(fd, stat.S_IFREG, Qid(QTFILE, 0, _QID_PATHS | number), slots)
        self.channel: Final = channel
        self.dispose = lambda _fd: channel.close()


class ChannelTree(ForwardingTree):
    """The outermost policy: what a read-only share forbids is to change files, not to talk.

    A channel's file is a regular one of no size, because a guest's kernel opens anything else (a
    FIFO, a device) by itself.  It can be opened, looked at, and truncated, which changes nothing.
    """

    def __init__(
        self,
        inner: Tree,
        channels: Sequence[NamedChannel],
        listeners: Mapping[str, socket.socket],
        readiness: Readiness,
    ) -> None:
        """``listeners`` has a socket for each channel's name, which is taken over."""
        super().__init__(inner)
        slots = Slots("channels", len(channels))
        self._nodes: Final[dict[bytes, _ChannelNode]] = {}
        for number, each in enumerate(channels):
            listener = listeners[each.name]
            channel = Channel(each.name, listener, each.direction, readiness)
            slots.take()
            node = _ChannelNode(channel, listener.fileno(), number, slots)
            self._nodes[os.fsencode(each.name)] = node
        self._made: Final = time.time_ns()

    def close(self) -> None:
        for node in self._nodes.values():
            node.release()
        self.inner.close()

    def lookup(self, parent: Node, name: bytes) -> Node:
        node = self._nodes.get(name) if parent is self.root else None
        if node is not None:
            return node.hold()
        _refuse(parent, errno.ENOTDIR, "a channel is no directory")
        return self.inner.lookup(parent, name)

    def parent(self, node: Node) -> Node:
        _refuse(node, errno.ENOTDIR, "a channel is no directory")
        return self.inner.parent(node)

    def open(self, node: Node, flags: int) -> File:
        if isinstance(node, _ChannelNode):
            waiting: MustWait[File] = node.channel.open(flags)
            raise waiting
        file = self.inner.open(node, flags)
        return _RootDirectory(file, self._entries()) if node is self.root else file

    def open_for_locks(self, node: Node, flags: int) -> File:
        _refuse(node, errno.EOPNOTSUPP, "a channel has no locks")
        return self.inner.open_for_locks(node, flags)

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        # A client looks first (Linux does), finds it and opens it; to wait here serves nobody.
        self._check_new(parent, name)
        return self.inner.create(parent, name, flags, mode, owner)

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        self._check_new(parent, name)
        return self.inner.create_unnamed(parent, name, flags, mode, owner)

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        self._check_new(parent, name)
        self.inner.publish(node, parent, name)

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        self._check_new(parent, name)
        return self.inner.mkdir(parent, name, mode, owner)

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        self._check_new(parent, name)
        return self.inner.symlink(parent, name, target, owner)

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        self._check_new(parent, name)
        return self.inner.mknod(parent, name, mode, device, owner)

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        _refuse(node, errno.EPERM, "a channel has one name")
        self._check_new(parent, name)
        self.inner.link(node, parent, name)

    def readlink(self, node: Node) -> bytes:
        _refuse(node, errno.EINVAL, "a channel is no link")
        return self.inner.readlink(node)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        self._check_movable(parent, name)
        self.inner.unlink(parent, name, directory=directory)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        self._check_movable(old_parent, old_name)
        self._check_movable(new_parent, new_name)
        self.inner.rename(old_parent, old_name, new_parent, new_name)

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        if not isinstance(node, _ChannelNode):
            return self.inner.getattr(node)
        mode, path, made = _MODES[node.channel.direction], node.qid.path, self._made
        return node.qid, ShownStatus(
            stat.S_IFREG | mode, 0, path, 1, 0, 0, 0, 0, 4096, 0, made, made, made
        )

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        if not isinstance(node, _ChannelNode):
            self.inner.setattr(node, file, changes)
        elif changes.mode is not None or changes.owner != (NO_CHANGE, NO_CHANGE):
            raise OSError(errno.EPERM, "a channel stays whose it is")
        elif changes.size:
            raise OSError(errno.EINVAL, "a channel has no size")

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        _refuse(node, errno.ENODATA, "a channel has no attributes")
        return self.inner.xattr_get(node, name)

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        if isinstance(node, _ChannelNode):
            return [None] * len(names)
        return self.inner.xattr_values(node, names)

    def xattr_list(self, node: Node) -> list[bytes]:
        return [] if isinstance(node, _ChannelNode) else self.inner.xattr_list(node)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        _refuse(node, errno.EPERM, "a channel has no attributes")
        self.inner.xattr_set(node, name, value, flags)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        _refuse(node, errno.ENODATA, "a channel has no attributes")
        self.inner.xattr_remove(node, name)

    def statfs(self, node: Node) -> Space:
        return self.inner.statfs(self.root if isinstance(node, _ChannelNode) else node)

    def note(self, node: Node) -> int:
        if isinstance(node, _ChannelNode):
            return _CHANNEL | node.qid.path & 0xFFFF
        return self.inner.note(node)

    def adopt(self, fd: int, note: int = 0) -> Node:
        return self._channel(note).hold() if note & _CHANNEL else self.inner.adopt(fd, note)

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        if isinstance(node, _ChannelNode):
            return node.channel.adopt(fd, note, KEPT.unpack(note.data)[-1])
        file = self.inner.adopt_open(node, fd, note)
        return _RootDirectory(file, self._entries()) if node is self.root else file

    def locate(self, parent: Node, name: bytes) -> tuple[Node, bytes]:
        self._check_new(parent, name)
        return self.inner.locate(parent, name)

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        self._check_new(parent, name)
        return self.inner.finished(parent, name, new)

    @property
    def channels(self) -> list[Channel]:
        """In order."""
        return [node.channel for node in self._nodes.values()]

    def _channel(self, note: int) -> _ChannelNode:
        for node in self._nodes.values():
            if note == self.note(node):
                return node
        raise OSError(errno.EBADF, "no such channel")

    def _entries(self) -> list[Dirent]:
        return [
            Dirent(node.qid, number, DT_REG, name)
            for number, (name, node) in enumerate(self._nodes.items(), _COOKIES + 1)
        ]

    def _check_new(self, parent: Node, name: bytes) -> None:
        _refuse(parent, errno.ENOTDIR, "a channel is no directory")
        if parent is self.root and name in self._nodes:
            raise OSError(errno.EEXIST, "a channel has this name")

    def _check_movable(self, parent: Node, name: bytes) -> None:
        _refuse(parent, errno.ENOTDIR, "a channel is no directory")
        if parent is self.root and name in self._nodes:
            raise OSError(errno.EPERM, "a channel stays where it is")


class _RootDirectory(ForwardingFile):
    """The root, open: what the share has beside its channels, and then these.

    A file of Dom0 that has a channel's name cannot be reached, but is listed as well.
    """

    def __init__(self, inner: File, channels: Sequence[Dirent]) -> None:
        super().__init__(inner)
        self._channels = channels

    def entries(self, cookie: int) -> Iterator[Dirent]:
        done = self._channels_before(cookie)
        if not done:
            yield from self.inner.entries(cookie)
        yield from self._channels[done:]

    def pack_entries(self, cookie: int, room: int) -> bytes:
        done = self._channels_before(cookie)
        # The inner file's own way is several times faster than entry by entry.
        packed = b"" if done else self.inner.pack_entries(cookie, room)
        return packed or pack(self._channels[done:], room)

    def _channels_before(self, cookie: int) -> int:
        """How many channels come up to ``cookie``; 0 where that is no channel's."""
        number = cookie - _COOKIES
        return number if 0 < number <= len(self._channels) else 0


def _refuse(node: Node, code: int, why: str) -> None:
    """Raises ``OSError`` with ``code`` for a channel's node."""
    if isinstance(node, _ChannelNode):
        raise OSError(code, why)
