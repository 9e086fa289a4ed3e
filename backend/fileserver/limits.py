"""Everything that a guest can make grow, and how far: each limit is an object that owns its slots.

A limit that is reached answers EMFILE (locks: ENOLCK), and gives way again as soon as the guest
gives something back: nothing that it already holds is taken away.
"""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED_DESCRIPTORS: Final = 96
"""Descriptors of a worker that are not fids: 32 that deferred fsyncs pin, the platform's handles
(gntdev, evtchn), control channel, epoll, eventfd, memfd, log and standard streams, the export's
two, a few that live for one request; and room to open a file for a traceback."""

MIN_DESCRIPTORS: Final = 32
"""Below this a guest could not copy a directory tree; better to say so at the start."""

MAX_FIDS: Final = 65_536
"""A Linux client keeps a fid per cached directory entry: a source tree has about that many.
Each costs some 650 bytes here, so 43 MB, and a descriptor or two (``descriptor_slots``)."""

MAX_OPEN_FILES: Final = 4_096
"""Files open for reading or writing.  A build with all cores uses hundreds; each pins an open file
in the kernel (256 bytes, and the inode even after unlink, so disk space too)."""

MAX_CURSORS: Final = 256
"""Open directories.  Each may keep 32 KiB of entries read ahead, and in 9P2000.u 64 KiB of places
to return to: 24 MiB in all.  Programs that walk trees keep one open per level."""

MAX_XATTR_BYTES: Final = 4 << 20
"""Values and lists of extended attributes that fids hold.  One has up to 64 KiB and lives from
Txattrwalk or Txattrcreate to the clunk, and a kernel asks one by one: 64 of the largest at once."""

MAX_LOCKS: Final = 4_096
"""Byte ranges locked at once, over all files.  A database has some per connection; each costs some
200 bytes, and each Tlock looks at all those of its file, which at this number takes about a
millisecond.  ENOLCK, as fcntl(2) has it."""


class Slots:
    """So many of one thing, and not one more.

    ``take`` and ``give`` are called by the one thread that serves the session or tree.
    """

    __slots__ = ("capacity", "code", "dispose", "later", "name", "used")

    def __init__(self, name: str, capacity: int, code: int = errno.EMFILE) -> None:
        """``code`` is the errno of having none left."""
        self.name: Final = name
        self.capacity: Final = capacity
        self.code: Final = code
        self.used = 0
        self.dispose: Callable[[int], None] = os.close
        """Of slots that stand for descriptors: what ends one.  A journal keeps it for a while."""
        self.later: Callable[[Callable[[], None]], None] = _at_once
        """What does something by which a descriptor ends: as ``dispose``, where closing is not all
        of it."""

    def __repr__(self) -> str:
        """As in ``fids 3/65536``."""
        return f"<{self.name} {self.used}/{self.capacity}>"

    def take(self, count: int = 1) -> None:
        """Take ``count`` slots.  Raises ``OSError`` with ``code`` when so many are not free."""
        used = self.used + count
        if used > self.capacity:
            self.check(count)
        self.used = used

    def check(self, count: int) -> None:
        """Raises ``OSError`` with ``code`` unless ``count`` slots are free."""
        if self.used + count > self.capacity:
            raise OSError(
                self.code, f"{count} more {self.name}: {self.used} of {self.capacity} are in use"
            )

    def give(self, count: int = 1) -> None:
        """Give slots back that were taken."""
        if self.used < count:
            raise ValueError(f"more {self.name} given back than were taken")
        self.used -= count


def _at_once(call: Callable[[], None]) -> None:
    call()


@dataclass(slots=True)
class Limits:
    """What one session may hold at once."""

    fids: Slots = field(default_factory=lambda: Slots("fids", MAX_FIDS))
    open_files: Slots = field(default_factory=lambda: Slots("open files", MAX_OPEN_FILES))
    cursors: Slots = field(default_factory=lambda: Slots("open directories", MAX_CURSORS))
    xattr_bytes: Slots = field(
        default_factory=lambda: Slots("bytes of extended attributes", MAX_XATTR_BYTES)
    )
    locks: Slots = field(default_factory=lambda: Slots("locks", MAX_LOCKS, errno.ENOLCK))


def descriptor_slots(reserved: int = RESERVED_DESCRIPTORS) -> Slots:
    """The descriptors that all fids of this process may use, from its ``RLIMIT_NOFILE`` (soft).

    A fid uses one for its file, one more while open, and may alone keep alive the directory that
    it was found in; so fids usually end here before they reach ``MAX_FIDS``, unless the process
    raised its soft limit to some 200,000.  Raises ``OSError`` EMFILE when the limit is too low.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    capacity = soft - reserved
    if capacity < MIN_DESCRIPTORS:
        raise OSError(
            errno.EMFILE,
            f"at most {soft} open files (RLIMIT_NOFILE) are too few: "
            f"{reserved + MIN_DESCRIPTORS} are needed, some thousands are better",
        )
    return Slots("descriptors", capacity)
