"""The grant ports (``GrantMapper``, ``GrantSharer``) over libxengnttab.

A range is one mapping of ``/dev/xen/gntdev`` or ``/dev/xen/gntalloc``.  The kernel takes it back
when the process ends, whatever way that comes about.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from fcntl import ioctl
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from backend.platform.xen.handle import SharedHandle
from backend.platform.xen.libraries import GNTALLOC, GNTDEV, failed, ffi, load, open_handle
from protocol.xenpv.ids import Gref
from protocol.xenpv.ports import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.xenpv.ids import Domid

MAX_PAGES: Final = 1 << 16
"""Of one range: gntdev's own default limit of a handle (its module parameter ``limit``)."""

_UNMAP_GRANT_REF: Final = 0x10_4701  # xen/gntdev.h
_UNMAPPED: Final = Struct("=QI4x")
"""``struct ioctl_gntdev_unmap_grant_ref``: index, count."""

_READ_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE


class _Range:
    """``count`` pages at ``address``; ``end`` is the library's function that gives them back."""

    def __init__(
        self,
        handle: SharedHandle,
        address: Any,  # noqa: ANN401 -- a C pointer
        count: int,
        end: Callable[[Any, Any, int], int],
    ) -> None:
        self._handle = handle
        self._address = address
        self._count = count
        self._end = end
        self._open = True
        self.memory: Final = memoryview(
            ffi.buffer(ffi.cast("char *", address), count * PAGE_SIZE)
        ).cast("B")

    def close(self) -> None:
        """Unmap the pages and give them back; only once counts.

        Raises ``BufferError`` while another thread's system call reads or writes ``memory`` itself.
        """
        if self._open:
            self.memory.release()
            self._open = False
            result = self._end(self._handle.pointer, self._address, self._count)
            error = failed("cannot unmap granted pages") if result else None
            self._handle.release()
            if error is not None:
                raise error


class XenMappedPages(_Range):
    """Pages of another domain, mapped here."""


class XenGrantedPages(_Range):
    """Pages of our own domain, granted to another."""

    def __init__(
        self,
        handle: SharedHandle,
        address: Any,  # noqa: ANN401 -- a C pointer
        grefs: tuple[Gref, ...],
        end: Callable[[Any, Any, int], int],
    ) -> None:
        super().__init__(handle, address, len(grefs), end)
        self.grefs: Final = grefs


class XenGrantMapper:
    """``GrantMapper``."""

    def __init__(self) -> None:
        """Raises ``OSError``."""
        self._library = load("gnttab")
        self._handle = SharedHandle(
            open_handle(self._library.xengnttab_open, GNTDEV), self._library.xengnttab_close
        )
        self._counts: list[int] = []
        """Pages of each range that was mapped, in order."""

    def map(self, domid: Domid, grefs: Sequence[Gref]) -> XenMappedPages:
        """Map ``grefs`` of ``domid`` in their order.  Raises ``OSError`` (EINVAL, ENOMEM)."""
        count = len(grefs)
        if not 0 < count <= MAX_PAGES or not all(0 <= gref <= 0xFFFF_FFFF for gref in grefs):
            raise OSError(
                errno.EINVAL, f"a mapping has 1 to {MAX_PAGES} grant references of 32 bits"
            )
        library, handle = self._library, self._handle
        handle.acquire()
        address = library.xengnttab_map_domain_grant_refs(
            handle.pointer, count, domid, ffi.new("uint32_t[]", list(grefs)), _READ_WRITE
        )
        if address == ffi.NULL:
            error = failed(f"domain {domid} does not grant these {count} pages to us")
            handle.release()
            raise error
        self._counts.append(count)
        return XenMappedPages(handle, address, count, library.xengnttab_unmap)

    def begin_again(self) -> None:
        """Give back what a process mapped that has died since: ranges of the same lengths as we.

        Its mappings went with it.  What the driver keeps of each, pages of Dom0's memory among it,
        goes with the descriptor, or when it is told; a range lies at the first place where there is
        room, beginning at 0 (``gntdev_add_map`` of Linux's ``drivers/xen/gntdev.c``).
        """
        fd, at = self._library.xengnttab_fd(self._handle.pointer), 0
        for count in self._counts:
            with suppress(OSError):  # it had not come so far
                ioctl(fd, _UNMAP_GRANT_REF, _UNMAPPED.pack(at * PAGE_SIZE, count))
            at += count
        self._counts.clear()

    def close(self) -> None:
        """Give the handle back; ranges stay until each is closed."""
        self._handle.close()


class XenGrantSharer:
    """``GrantSharer``."""

    def __init__(self) -> None:
        """Raises ``OSError``."""
        self._library = load("gnttab")
        self._handle = SharedHandle(
            open_handle(self._library.xengntshr_open, GNTALLOC), self._library.xengntshr_close
        )

    def share(self, domid: Domid, count: int) -> XenGrantedPages:
        """Grant ``count`` zeroed pages to ``domid``.  Raises ``OSError`` (EINVAL, ENOSPC)."""
        if not 0 < count <= MAX_PAGES:
            raise OSError(errno.EINVAL, f"one can grant 1 to {MAX_PAGES} pages, not {count}")
        library, handle = self._library, self._handle
        handle.acquire()
        refs = ffi.new("uint32_t[]", count)
        address = library.xengntshr_share_pages(handle.pointer, domid, count, refs, 1)
        if address == ffi.NULL:
            error = _cannot_share(ffi.errno, domid, count)
            handle.release()
            raise error
        grefs = tuple(Gref(gref) for gref in refs)
        return XenGrantedPages(handle, address, grefs, library.xengntshr_unshare)

    def close(self) -> None:
        """Give the handle back; ranges stay until each is closed."""
        self._handle.close()


def _cannot_share(number: int, domid: Domid, count: int) -> OSError:
    why = f"cannot grant {count} pages to domain {domid}: {os.strerror(number)}"
    if number == errno.ENOSPC:
        why += f"; the parameter limit of the module {GNTALLOC.module} is for all programs together"
    return OSError(number, why)
