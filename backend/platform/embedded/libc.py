"""The system calls of the embedded platform that Python has no function for, through cffi.

ABI mode: nothing is compiled.  Sources: mmap(2), madvise(2), fallocate(2); constants from Linux's
``asm-generic/mman-common.h`` and ``linux/falloc.h``.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Final

import cffi

from protocol.xenpv.ports import PAGE_SIZE

_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_FALLOC_FL_KEEP_SIZE: Final = 1
_FALLOC_FL_PUNCH_HOLE: Final = 2

ffi: Final[Any] = cffi.FFI()
ffi.cdef(
    """
    void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
    int munmap(void *addr, size_t length);
    int madvise(void *addr, size_t length, int advice);
    int fallocate(int fd, int mode, long offset, long length);
    """
)
_libc: Final[Any] = ffi.dlopen(None)
_FAILED: Final[int] = (1 << (8 * ffi.sizeof("void *"))) - 1


def _error(what: str) -> OSError:
    return OSError(ffi.errno, f"{what}: {os.strerror(ffi.errno)}")


def reserve(length: int) -> int:
    """The address of ``length`` bytes of address space that nothing else will be mapped into."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    address = _libc.mmap(ffi.NULL, length, 0, flags, -1, 0)
    if int(ffi.cast("uintptr_t", address)) == _FAILED:
        raise _error(f"cannot reserve {length} bytes of address space")
    return int(ffi.cast("uintptr_t", address))


def place(address: int, length: int, fd: int, offset: int) -> None:
    """Map ``length`` bytes of ``fd`` shared and writable at ``address``, within a reservation."""
    got = _libc.mmap(
        ffi.cast("void *", address),
        length,
        mmap.PROT_READ | mmap.PROT_WRITE,
        mmap.MAP_SHARED | _MAP_FIXED,
        fd,
        offset,
    )
    if int(ffi.cast("uintptr_t", got)) == _FAILED:
        raise _error("cannot map a shared page (vm.max_map_count limits a process's mappings)")


def keep_from_children(address: int, length: int) -> None:
    """A forked child does not inherit the range, as with gntdev's mappings (VM_DONTCOPY)."""
    if _libc.madvise(ffi.cast("void *", address), length, mmap.MADV_DONTFORK) != 0:
        raise _error("madvise")


def unmap(address: int, length: int) -> None:
    """Give address space back."""
    if _libc.munmap(ffi.cast("void *", address), length) != 0:
        raise _error("munmap")


def view(address: int, length: int) -> memoryview:
    """A writable view (format ``B``) of mapped memory; the caller keeps it mapped."""
    return memoryview(ffi.buffer(ffi.cast("char *", address), length)).cast("B")


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Free a part of a memory file: it reads as zeros from now on."""
    if _libc.fallocate(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length) != 0:
        raise _error("fallocate")


def require_4k_pages() -> None:
    """Raise ``OSError`` (ENOTSUP) where the kernel's pages are larger than Xen's."""
    size = os.sysconf("SC_PAGE_SIZE")
    if size != PAGE_SIZE:
        raise OSError(
            95,
            f"the embedded hypervisor needs a kernel with pages of {PAGE_SIZE} bytes, not {size}",
        )
