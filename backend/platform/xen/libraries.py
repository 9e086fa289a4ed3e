"""Xen's libraries, loaded by soname, with the C declarations of what is called in them.

The declarations are those of ``xengnttab.h``, ``xenevtchn.h`` and ``xentoollog.h``, word for word:
a test compares them with the headers of libxen-dev.  These three have a stable ABI.  libxenctrl
has none (its soname is Xen's version), and has nothing that is needed here.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Any, Final, NamedTuple, NoReturn

from cffi import FFI

from backend.platform.xen.presence import under_xen

DECLARATIONS: Final = """
    typedef uint32_t evtchn_port_t;
    typedef uint16_t domid_t;
    struct xentoollog_logger;

    typedef struct xengntdev_handle xengnttab_handle;
    xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags);
    int xengnttab_close(xengnttab_handle *xgt);
    int xengnttab_fd(xengnttab_handle *xgt);
    void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
                                          uint32_t *refs, int prot);
    int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count);

    typedef struct xengntdev_handle xengntshr_handle;
    xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags);
    int xengntshr_close(xengntshr_handle *xgs);
    void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs,
                                int writable);
    int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count);

    typedef int xenevtchn_port_or_error_t;
    typedef struct xenevtchn_handle xenevtchn_handle;
    xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags);
    xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger,
                                       int fd, unsigned open_flags);
    int xenevtchn_close(xenevtchn_handle *xce);
    int xenevtchn_fd(xenevtchn_handle *xce);
    xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid);
    xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                         evtchn_port_t remote_port);
    int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port);
    int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid);

    typedef struct xentoollog_logger_stdiostream  xentoollog_logger_stdiostream;
    xentoollog_logger_stdiostream *xtl_createlogger_stdiostream(FILE *f,
        xentoollog_level min_level, unsigned flags);
"""

_LEVELS: Final = "typedef int xentoollog_level;"
"""The header has an enumeration, whose members are not needed: a C int all the same."""

_ABOVE_ALL_LEVELS: Final = 10  # XTL_NUM_LEVELS
_PROGRESS_NO_CR: Final = 0o20  # XTL_STDIOSTREAM_PROGRESS_NO_CR: else it looks at the stream

ffi: Final[Any] = FFI()
ffi.cdef(_LEVELS + DECLARATIONS)


class Driver(NamedTuple):
    """A device that a library opens, and the kernel module that makes it."""

    node: str
    module: str
    purpose: str


GNTDEV: Final = Driver("/dev/xen/gntdev", "xen-gntdev", "maps pages that other domains granted")
GNTALLOC: Final = Driver("/dev/xen/gntalloc", "xen-gntalloc", "grants pages to other domains")
EVTCHN: Final = Driver("/dev/xen/evtchn", "xen-evtchn", "gives event channels to programs")


@functools.cache
def load(name: str) -> Any:  # noqa: ANN401 -- a C library
    """The library ``name`` (``gnttab``, ``evtchn``, ``toollog``).  Raises ``OSError`` ENOENT."""
    soname = f"libxen{name}.so.1"
    try:
        return ffi.dlopen(soname)
    except OSError:
        raise OSError(
            errno.ENOENT,
            f"{soname} cannot be loaded; on Debian, install it with: apt install libxen{name}1",
        ) from None


@functools.cache
def silence() -> Any:  # noqa: ANN401 -- a C pointer
    """A logger that says nothing.

    By default the libraries write each failure to standard error.  A guest may provoke failures at
    will, and who called us says each of them once, with the device's name.
    """
    logger = load("toollog").xtl_createlogger_stdiostream(
        ffi.NULL, _ABOVE_ALL_LEVELS, _PROGRESS_NO_CR
    )
    if logger == ffi.NULL:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return ffi.cast("struct xentoollog_logger *", logger)


def open_handle(opener: Any, driver: Driver) -> Any:  # noqa: ANN401 -- a C function and its result
    """The handle that ``opener`` gives, close-on-exec.  Raises ``OSError`` with a remedy."""
    handle = opener(silence(), 0)
    if handle == ffi.NULL:
        _cannot_open(ffi.errno, driver)
    return handle


def adopt_handle(opener: Any, fd: int) -> Any:  # noqa: ANN401 -- as ``open_handle``
    """The handle of a descriptor that is open already, and is taken over.  Raises ``OSError``."""
    handle = opener(silence(), fd, 0)
    if handle == ffi.NULL:
        raise failed("a handle of another process")
    return handle


def failed(what: str) -> OSError:
    """The error of the call that has just failed in this thread."""
    return OSError(ffi.errno, f"{what}: {os.strerror(ffi.errno)}")


def _cannot_open(number: int, driver: Driver) -> NoReturn:
    """Say what is missing, and what to do about it."""
    why = f"{driver.node}, which {driver.purpose}, cannot be opened: {os.strerror(number)}"
    if not under_xen():
        why += "; this machine does not run under Xen (/sys/hypervisor/type)"
    elif number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        why += f"; load its driver with: modprobe {driver.module}"
    elif number in (errno.EACCES, errno.EPERM):
        why += "; run this as root"
    raise OSError(number, why)
