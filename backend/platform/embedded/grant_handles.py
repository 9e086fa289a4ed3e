"""The grant ports (``GrantMapper``, ``GrantSharer``) on the embedded hypervisor.

As with gntdev and gntalloc, closing a handle leaves its ranges alone: the connection is kept until
the last range is closed as well, or the process ends.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.mapping import PageRange
from backend.platform.embedded.wire import MAX_PAGES, Kind
from protocol.xenpv.ids import Gref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.platform.embedded.handle import Reply
    from protocol.xenpv.ids import Domid


class _SharedHandle:
    """A connection with several users: the handle itself and each range made through it."""

    def __init__(self, rundir: str, kind: Kind, domid: Domid) -> None:
        self._handle = Handle(rundir, kind, domid)
        self._lock = threading.Lock()
        self._users = 1
        self._open = True

    def acquire(self, name: str, words: Sequence[int], **fields: object) -> Reply:
        """A call that makes a range, which becomes a user.  Raises ``OSError``."""
        with self._lock:
            if not self._open:
                raise OSError(errno.EBADF, "this handle is closed")
            self._users += 1
        try:
            return self._handle.call(name, words, **fields)
        except BaseException:
            self._let_go()
            raise

    def begin_again(self) -> None:
        """Another process goes on: have all given back that was made before.  ``OSError``."""
        self._handle.call("close").close()

    def release(self, name: str, number: int) -> None:
        """A range is gone: tell the hypervisor, unless that is gone too."""
        with contextlib.suppress(OSError):
            self._handle.call(name, number=number).close()
        self._let_go()

    def close(self) -> None:
        """The handle itself is given up; only once counts."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._handle.close_politely()


class _Range:
    """Pages that the hypervisor knows by a number; the call ``end`` gives them back."""

    def __init__(
        self, handle: _SharedHandle, reply: Reply, runs: Sequence[int], count: int, end: str
    ) -> None:
        self._handle = handle
        self._number: Final[int] = reply.fields["number"]
        self._end = end
        self._open = True
        try:
            self._pages = PageRange(reply.fds[0], runs, count)
        except BaseException:
            handle.release(end, self._number)
            raise
        finally:
            reply.close()

    @property
    def memory(self) -> memoryview:
        """The pages: writable, format ``B``."""
        return self._pages.memory

    def close(self) -> None:
        """Unmap the pages and give them back; only once counts.

        Raises ``BufferError`` while another thread's system call reads or writes ``memory`` itself.
        """
        if self._open:
            self._pages.close()
            self._open = False
            self._handle.release(self._end, self._number)


class EmbeddedMappedPages(_Range):
    """Pages of another domain, mapped here."""


class EmbeddedGrantedPages(_Range):
    """Pages of our own domain, granted to another."""

    def __init__(self, handle: _SharedHandle, reply: Reply, count: int) -> None:
        self.grefs: Final = tuple(Gref(word) for word in reply.words[:count])
        super().__init__(handle, reply, reply.words[count:], count, "end")


class EmbeddedGrantMapper:
    """``GrantMapper``: maps what other domains granted to ``domid``."""

    def __init__(self, rundir: str, domid: Domid) -> None:
        self._handle = _SharedHandle(rundir, Kind.MAPPER, domid)

    def map(self, domid: Domid, grefs: Sequence[Gref]) -> EmbeddedMappedPages:
        """Map ``grefs`` of ``domid`` in their order.  Raises ``OSError`` (EINVAL, ENOMEM)."""
        if not 0 < len(grefs) <= MAX_PAGES or not all(0 <= gref <= 0xFFFF_FFFF for gref in grefs):
            raise OSError(
                errno.EINVAL, f"a mapping has 1 to {MAX_PAGES} grant references of 32 bits"
            )
        reply = self._handle.acquire("map", grefs, domid=domid)
        return EmbeddedMappedPages(self._handle, reply, reply.words, len(grefs), "unmap")

    def begin_again(self) -> None:
        """Give back what a process mapped that has died since.  Raises ``OSError``."""
        self._handle.begin_again()

    def close(self) -> None:
        """Give the handle back; ranges stay until each is closed."""
        self._handle.close()


class EmbeddedGrantSharer:
    """``GrantSharer``: grants pages of ``domid`` to other domains."""

    def __init__(self, rundir: str, domid: Domid) -> None:
        self._handle = _SharedHandle(rundir, Kind.SHARER, domid)

    def share(self, domid: Domid, count: int) -> EmbeddedGrantedPages:
        """Grant ``count`` zeroed pages to ``domid``.  Raises ``OSError`` (EINVAL, ENOSPC)."""
        reply = self._handle.acquire("share", (), domid=domid, count=count)
        return EmbeddedGrantedPages(self._handle, reply, count)

    def close(self) -> None:
        """Give the handle back; ranges stay until each is closed."""
        self._handle.close()
