"""Fuzzes a session on a host whose system calls fail: the bytes decide which, and with what."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from protocol.ninep.ids import Tag
from protocol.ninep.messages import Tflush, Tlock, Tversion
from tests.backend.fileserver.ring_peer import RingPeer
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target
from tests.fuzz.targets.session import POLICIES, REQUESTS, export, frame, hand_shake

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS: Final = (
    *("open", "fstat", "stat", "dup", "scandir", "fstatvfs", "lseek", "preadv", "pwritev"),
    *("mkdir", "mknod", "symlink", "link", "unlink", "rmdir", "rename", "readlink", "ftruncate"),
    *("chmod", "chown", "getxattr", "listxattr", "setxattr", "removexattr"),
)
"""What the file server asks of the host; close(2) gives its descriptor back whatever it says."""

ERRORS: Final = (
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOSPC, errno.EACCES, errno.ENOENT),
    *(errno.EEXIST, errno.EPERM, errno.ENOTDIR, errno.ENODATA, errno.ENOMEM),
)

_MAY_WAIT: Final = {Tlock, Tflush, Tversion}
"""A lock may wait, the others take the answers of what waits away."""

_ASKED: Final = tuple(
    message for message in REQUESTS if message.name not in {kind.__name__ for kind in _MAY_WAIT}
)


class Host:
    """Makes calls of the thread that serves fail, while ``failing``."""

    def __init__(self, data: bytes) -> None:
        self._choices = Choices(data)
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name in CALLS:
                real = getattr(os, name)
                stack.enter_context(mock.patch.object(os, name, partial(self._call, real)))
            yield

    def _call(self, real: Any, *arguments: Any, **options: Any) -> Any:
        if threading.get_ident() == self._thread and self._choices.below(8) == 7:
            raise OSError(self._choices.pick(ERRORS), "the host fails")
        return real(*arguments, **options)


def run(data: bytes) -> None:
    """The bytes choose the policies, the dialect, what fails, and the requests."""
    choices = Choices(data)
    wrap = choices.pick(POLICIES)
    version = choices.pick((b"9P2000.L", b"9P2000.u"))
    host = Host(choices.take(choices.below(256)))
    with export() as root, contextlib.closing(RingPeer(root, order=3, wrap=wrap)) as peer:
        descriptors = peer.session.tree.root.descriptors
        hand_shake(peer, version)
        while choices:
            request = frame(choices, Tag(choices.below(8)), choices.pick(_ASKED))
            if peer.ends[0][1].free() < len(request):
                break
            peer.put(request)
            with host.failing():
                peer.serve()
            while not _answered(peer):
                # What waits for a disk may do so more than once.
                assert select.select([peer.connection.completion_fd], [], [], 10)[0], "no answer"
                with host.failing():
                    peer.connection.complete()
        assert peer.connection.counters.unforeseen == 0, "an exception that nobody foresaw"
    limits = peer.session.limits
    for slots in (limits.fids, limits.open_files, limits.cursors, limits.xattr_bytes, descriptors):
        assert slots.used == 0, f"{slots} are left"
    assert len(peer.session.places) == 0, "a place is left"


def _answered(peer: RingPeer) -> bool:
    """Whether there is a reply, which is taken: there is one request at a time."""
    answer = peer.take()
    peer.connection.service(0)
    return answer is not None


TARGET = Target(
    "faults",
    "Whatever system calls fail, each request is answered, no exception is unforeseen, and at the "
    "end no descriptor, no slot of a limit and no place is left.",
    run,
)
